"""Which assembly a file's chromosomes belong to, and which of its chromosomes is which.

A file says its chromosomes' names and lengths, and nothing else of its assembly. So the lengths decide. Two kinds of
wrong lengths are known from writers that have no table of lengths: rounded to whole bins, and that of the last base
with a value. They are accepted where somebody names the assembly, and said.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum

from app.core.assemblies.assembly import ASSEMBLIES, Assembly
from app.core.errors import AssemblyMismatch

_STEPS_BP = (10, 20, 25, 50, 100, 128, 200, 250, 256, 500, 1000, 1024, 2000, 2048, 5000, 10_000)
"""Bins to which writers round."""
_MITOCHONDRION = "chrM"
"""Never decides: UCSC's hg19 carries another mitochondrial sequence (16,571 bp) than everybody else's."""


class Explanation(IntEnum):
    """How a length in a file is explained by that of the assembly's chromosome, the best first."""

    EQUAL = 0
    ROUNDED = 1
    CUT = 2
    """It ends where the values do."""
    NONE = 3


class Fit:
    """How a file's chromosomes are those of an assembly.

    Parameters
    ----------
    lengths
        The file's chromosomes and their lengths in bp.
    assembly
        The assembly.
    ends
        Where the values of each of the file's chromosomes end, in bp, where that is known.

    Attributes
    ----------
    names
        The file's names of each chromosome of the assembly that it has; several where it stands there under several.
    """

    def __init__(self, lengths: Mapping[str, int], assembly: Assembly, ends: Mapping[str, int]) -> None:
        self.assembly = assembly
        self.names: dict[str, tuple[str, ...]] = {}
        self._lengths, self._ends = lengths, ends
        self._odd: dict[Explanation, list[tuple[str, str]]] = {}  # the assembly's name and the file's, by how
        self._mitochondria: list[str] = []  # those of another length
        self._foreign: list[str] = []
        for theirs, length in lengths.items():
            ours = assembly.find(theirs, length)
            if ours is None:
                self._foreign.append(theirs)
                continue
            how = _explain(length, assembly.length(ours), ends.get(theirs, 0))
            if how is not Explanation.EQUAL and ours == _MITOCHONDRION:
                self._mitochondria.append(theirs)
                continue
            if how is not Explanation.EQUAL:
                self._odd.setdefault(how, []).append((ours, theirs))
            if how is not Explanation.NONE:
                self.names[ours] = (*self.names.get(ours, ()), theirs)

    @property
    def grade(self) -> Explanation:
        """The worst of its lengths; NONE where it has no chromosome of the assembly."""
        return max(self._odd, default=Explanation.EQUAL) if self.names else Explanation.NONE

    def notes(self) -> list[str]:
        """What is odd about the file's chromosomes and what was done with it, a sentence each."""
        return [*self._note_names(), *self._note_lengths(), *self._note_left_out()]

    def _note_names(self) -> list[str]:
        notes = []
        renamed = [f"{theirs} as {ours}" for ours, names in self.names.items() for theirs in names if ours != theirs]
        if renamed:
            notes.append(f"Chromosome names were mapped: {_some(renamed)}.")
        several = [f"{ours} ({' and '.join(names)})" for ours, names in self.names.items() if len(names) > 1]
        if several:
            notes.append(f"Chromosomes that stand in the file under several names were put together: {_some(several)}.")
        return notes

    def _note_lengths(self) -> list[str]:
        notes = []
        for kind, words in (
            (Explanation.ROUNDED, "are rounded to whole bins"),
            (Explanation.CUT, "end where the values end"),
        ):
            odd = [
                f"{ours} has {self._lengths[theirs]:,} bp and not {self.assembly.length(ours):,}"
                for ours, theirs in self._odd.get(kind, ())
            ]
            if odd:
                notes.append(
                    f"Chromosome lengths in the file {words} ({_some(odd)}); it was read as {self.assembly.name}, as"
                    " was asked for, so make sure that it is."
                )
        beyond = [
            ours
            for ours, theirs in self._odd.get(Explanation.ROUNDED, ())
            if self._ends.get(theirs, 0) > self.assembly.length(ours)
        ]
        if beyond:
            notes.append(f"What the file has behind the end of {_some(beyond)} was left out.")
        return notes

    def _note_left_out(self) -> list[str]:
        notes = []
        for theirs in self._mitochondria:
            notes.append(
                f"{theirs} was left out: it has {self._lengths[theirs]:,} bp, but {_MITOCHONDRION} of"
                f" {self.assembly.name} has {self.assembly.length(_MITOCHONDRION):,}."
            )
        if self._foreign:
            contigs = "1 contig" if len(self._foreign) == 1 else f"{len(self._foreign):,} contigs"
            were = "was" if len(self._foreign) == 1 else "were"
            notes.append(f"{contigs} that {self.assembly.name} does not have {were} left out: {_some(self._foreign)}.")
        return notes

    def clash(self) -> tuple[str, str] | None:
        """The assembly's and the file's name of a chromosome whose length nothing explains; None if there is none."""
        clashing = self._odd.get(Explanation.NONE, []) + [(_MITOCHONDRION, theirs) for theirs in self._mitochondria]
        return clashing[0] if clashing else None


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - 3
    return f"{', '.join(texts[:3])}{f' and {more:,} more' if more > 0 else ''}"


def _explain(length: int, true: int, end: int) -> Explanation:
    if length == true:
        return Explanation.EQUAL
    if any(length in (true // step * step, _up(true, step)) for step in _STEPS_BP):
        return Explanation.ROUNDED
    if length < true and any(length == _up(end, step) for step in (1, *_STEPS_BP)):
        return Explanation.CUT
    return Explanation.NONE


def _up(length: int, step: int) -> int:
    return -(-length // step) * step


def match_chromosomes(
    lengths: Mapping[str, int], assembly: Assembly, name: str, ends: Mapping[str, int] | None = None
) -> Fit:
    """Find an assembly's chromosomes among a file's.

    Parameters
    ----------
    lengths
        The file's chromosomes and their lengths in bp. Contigs that the assembly does not have are left out.
    assembly
        The assembly that the file should be in.
    name
        What the user calls the file, for the message.
    ends
        Where the values of each of the file's chromosomes end, in bp, if that is known.

    Raises
    ------
    AssemblyMismatch
        A chromosome has another length than in the assembly that nothing explains, the lengths are those of another
        assembly, or none of the chromosomes is known.
    """
    fit = Fit(lengths, assembly, ends or {})
    others = (Fit(lengths, other, ends or {}) for other in ASSEMBLIES.values() if other is not assembly)
    better = min(others, key=lambda other: other.grade, default=fit)
    if better.grade < min(fit.grade, Explanation.CUT):
        raise AssemblyMismatch(
            f"'{name}' is in assembly {better.assembly.name}, but the model works in {assembly.name};"
            f" lift the track over to {assembly.name}, or choose a model for {better.assembly.name}.",
            name,
        )
    if fit.grade < Explanation.NONE:
        return fit
    clash = fit.clash()
    if clash:
        ours, theirs = clash
        raise AssemblyMismatch(
            f"'{name}' has a {ours} of {lengths[theirs]:,} bp, but in {assembly.name} it has"
            f" {assembly.length(ours):,} bp; give a track that is aligned to {assembly.name}.",
            name,
        )
    raise AssemblyMismatch(
        f"'{name}' has no chromosome of {assembly.name} (its first are: {_some(list(lengths)) or 'none'});"
        f" give a track that is aligned to {assembly.name}.",
        name,
    )


def recognise(lengths: Mapping[str, int], name: str) -> Assembly:
    """The assembly whose chromosomes a file has, by their exact lengths.

    Raises
    ------
    AssemblyMismatch
        It is none or could be several.
    """
    fits = [Fit(lengths, assembly, {}) for assembly in ASSEMBLIES.values()]
    exact = [fit.assembly for fit in fits if fit.grade is Explanation.EQUAL]
    if len(exact) == 1:
        return exact[0]
    known = " or ".join(ASSEMBLIES)
    listed = ", ".join(f"{chrom} of {length:,} bp" for chrom, length in list(lengths.items())[:2]) or "none"
    if exact:
        raise AssemblyMismatch(
            f"The assembly of '{name}' is not clear from its chromosomes ({listed}); name the sample's: {known}.", name
        )
    unknown = f"The assembly of '{name}' is not known from its chromosomes ({listed})"
    rounded = [fit.assembly.name for fit in fits if fit.grade is Explanation.ROUNDED]
    if rounded:
        raise AssemblyMismatch(
            f"{unknown}: their lengths are those of {' or '.join(rounded)} rounded to whole bins; name the sample's"
            " assembly if it is that.",
            name,
        )
    differing = [clash[0] for clash in (fit.clash() for fit in fits) if clash]
    if differing:
        true = ", ".join(f"{fit.assembly.length(differing[0]):,} bp in {fit.assembly.name}" for fit in fits)
        raise AssemblyMismatch(
            f"{unknown}: {differing[0]} has {true}; give a track in {known}, or name the sample's assembly if the"
            " file's lengths are not the chromosomes' but end where its values do.",
            name,
        )
    raise AssemblyMismatch(f"{unknown}; give a track in {known}.", name)
