"""Genome assemblies: chromosome lengths, and which assembly a file's chromosomes belong to."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import AssemblyMismatch, UnknownAssembly


@dataclass(frozen=True)
class Assembly:
    """A genome assembly: its name and the lengths in bp of its primary chromosomes, in order."""

    name: str
    chromosomes: Mapping[str, int]

    def length(self, chrom: str) -> int:
        """Length of a chromosome in bp; raises KeyError for an unknown one."""
        return self.chromosomes[chrom]

    def n_bins(self, bin_size_bp: int) -> int:
        """Bins of all chromosomes."""
        return sum(-(-length // bin_size_bp) for length in self.chromosomes.values())

    def find(self, name: str) -> str | None:
        """This assembly's spelling of a chromosome's name: `21`, `MT` and `chr21` are all understood."""
        if name in self.chromosomes:
            return name
        spelled = "chrM" if name in ("MT", "chrMT") else f"chr{name}"
        return spelled if spelled in self.chromosomes else None


def _primary(lengths: str) -> dict[str, int]:
    names = [*(f"chr{n}" for n in range(1, 23)), "chrX", "chrY", "chrM"]
    return dict(zip(names, map(int, lengths.split()), strict=True))


HG19 = Assembly(
    "hg19",
    _primary(
        "249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431 135534747"
        " 135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983 63025520"
        " 48129895 51304566 155270560 59373566 16571"
    ),
)
HG38 = Assembly(
    "hg38",
    _primary(
        "248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717 133797422"
        " 135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616 64444167"
        " 46709983 50818468 156040895 57227415 16569"
    ),
)
ASSEMBLIES: Mapping[str, Assembly] = {"hg19": HG19, "hg38": HG38}


def get_assembly(name: str) -> Assembly:
    """The assembly of that name; raises UnknownAssembly."""
    try:
        return ASSEMBLIES[name]
    except KeyError:
        known = ", ".join(ASSEMBLIES)
        raise UnknownAssembly(f"Assembly '{name}' is not known; the known ones are {known}.", name) from None


def _agreement(assembly: Assembly, lengths: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    """Which of a file's chromosomes an assembly has, and those of them with another length.

    chrM never decides: UCSC's hg19 carries another mitochondrial sequence (16,571 bp) than everybody else's.
    """
    matched, clashing = {}, []
    for theirs, length in lengths.items():
        ours = assembly.find(theirs)
        if ours is None:
            continue
        if assembly.length(ours) == length:
            matched[ours] = theirs
        elif ours != "chrM":
            clashing.append(ours)
    return matched, clashing


def match_chromosomes(lengths: Mapping[str, int], assembly: Assembly, name: str) -> dict[str, str]:
    """Map an assembly's chromosome names to a file's own.

    Parameters
    ----------
    lengths
        The file's chromosomes and their lengths in bp. Contigs that the assembly does not have are left out.
    assembly
        The assembly that the file should be in.
    name
        What the user calls the file, for the message.

    Raises
    ------
    AssemblyMismatch
        A chromosome has another length than in the assembly, or none of the chromosomes is known.
    """
    matched, clashing = _agreement(assembly, lengths)
    if matched and not clashing:
        return matched
    for other in ASSEMBLIES.values():
        agreed, differing = _agreement(other, lengths)
        if other is not assembly and agreed and not differing:
            raise AssemblyMismatch(
                f"'{name}' is in assembly {other.name}, but the model works in {assembly.name};"
                f" lift the track over to {assembly.name}, or choose a model for {other.name}.",
                name,
            )
    if clashing:
        chrom = clashing[0]
        length = next(n for c, n in lengths.items() if assembly.find(c) == chrom)
        raise AssemblyMismatch(
            f"'{name}' has a {chrom} of {length:,} bp, but in {assembly.name} it has"
            f" {assembly.length(chrom):,} bp; give a track that is aligned to {assembly.name}.",
            name,
        )
    listed = ", ".join(list(lengths)[:3]) or "none"
    raise AssemblyMismatch(
        f"'{name}' has no chromosome of {assembly.name} (its first are: {listed});"
        f" give a track that is aligned to {assembly.name}.",
        name,
    )


def recognise(lengths: Mapping[str, int], name: str) -> Assembly:
    """The assembly whose chromosomes a file has; raises AssemblyMismatch if it is none or could be several."""
    fitting = []
    for assembly in ASSEMBLIES.values():
        matched, clashing = _agreement(assembly, lengths)
        if matched and not clashing:
            fitting.append(assembly)
    if len(fitting) == 1:
        return fitting[0]
    known = " or ".join(ASSEMBLIES)
    listed = ", ".join(f"{chrom} of {length:,} bp" for chrom, length in list(lengths.items())[:2]) or "none"
    raise AssemblyMismatch(
        f"The assembly of '{name}' is not {'clear' if fitting else 'known'} from its chromosomes ({listed});"
        f" give a track in {known}{', or state which' if fitting else ''}.",
        name,
    )
