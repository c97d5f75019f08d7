"""An assembly: the names and lengths of its chromosomes, and what else people call them and it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from app.core.errors import UnknownAssembly

_PATCH = re.compile(r"\.p\d+$")
"""The end of GRCh38.p14: patches add contigs and leave the chromosomes as they are."""


@dataclass(frozen=True)
class Assembly:
    """A genome assembly.

    Attributes
    ----------
    name
        The one that answers give: UCSC's.
    chromosomes
        The lengths in bp of its primary chromosomes, by name, in order.
    aliases
        Accessions and other names of chromosomes, and whose they are. Case and a leading `chr` do not matter.
    numbers
        Numbers that some programs give to chromosomes without one: 23 for chrX.
    names
        What else the assembly is called.
    """

    name: str
    chromosomes: Mapping[str, int]
    aliases: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def length(self, chrom: str) -> int:
        """Length of a chromosome in bp; raises KeyError for an unknown one."""
        return self.chromosomes[chrom]

    def n_bins(self, bin_size_bp: int) -> int:
        """Bins of all chromosomes."""
        return sum(-(-length // bin_size_bp) for length in self.chromosomes.values())

    def find(self, name: str, length: int | None = None) -> str | None:
        """This assembly's spelling of a chromosome's name; None for one that it does not have.

        `21`, `CHR21`, `chr01`, `x`, `MT` and `NC_000021.8` are all understood. A number that stands for a letter, such
        as 23 for chrX, is so only for a sequence as long as that chromosome: other species do have a chromosome 23.

        Parameters
        ----------
        length
            Of the sequence in bp, where it is known.
        """
        if name in self.chromosomes:
            return name
        key = _plain(name)
        found = self._spellings.get(key)
        if found is None and length is not None and key in self.numbers:
            lettered = self.numbers[key]
            return lettered if self.chromosomes[lettered] == length else None
        return found

    @cached_property
    def _spellings(self) -> dict[str, str]:
        own = {_plain(chrom): chrom for chrom in self.chromosomes}
        return {_plain(alias): chrom for alias, chrom in self.aliases.items()} | own

    @classmethod
    def read(cls, path: Path) -> Self:
        """The assembly of a table: comments, then chromosome, length_bp, aliases, numbers, a tab between."""
        lines = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
        names = next(line[1] for line in lines if line[0] == "# names").split()
        rows = [line for line in lines if not line[0].startswith("#")][1:]
        return cls(
            path.stem,
            {chrom: int(length) for chrom, length, _, _ in rows},
            {alias: chrom for chrom, _, aliases, _ in rows for alias in aliases.split(",")},
            {number: chrom for chrom, _, _, numbers in rows for number in numbers.split(",") if number},
            tuple(names),
        )


def _plain(name: str) -> str:
    """What spellings of a chromosome's name have in common."""
    plain = name.casefold().removeprefix("chr")
    return plain.lstrip("0") if plain.isdecimal() else plain


ASSEMBLIES: Mapping[str, Assembly] = {
    path.stem: Assembly.read(path) for path in sorted(Path(__file__).parent.glob("*.tsv"))
}
HG19, HG38 = ASSEMBLIES["hg19"], ASSEMBLIES["hg38"]
_BY_ANY_NAME = {
    name.casefold(): assembly for assembly in ASSEMBLIES.values() for name in (assembly.name, *assembly.names)
}


def get_assembly(name: str) -> Assembly:
    """The assembly of that name, UCSC's or another (`GRCh37`, `b37`, `GRCh38.p14`), in any case.

    Raises
    ------
    UnknownAssembly
    """
    wanted = name.strip().casefold()
    found = _BY_ANY_NAME.get(wanted) or _BY_ANY_NAME.get(_PATCH.sub("", wanted))
    if found is None:
        known = ", ".join(f"{assembly.name} ({assembly.names[0]})" for assembly in ASSEMBLIES.values())
        raise UnknownAssembly(f"Assembly '{name}' is not known; the known ones are {known}.", name)
    return found
