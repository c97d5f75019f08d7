"""The Roadmap Epigenomics tracks: the paper's samples and marks, and where the files of each are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import httpx2

from app.core.assemblies import HG19
from app.core.errors import EpifillError


class BadSelection(EpifillError):
    """Samples, marks, chromosomes or a base URL that name no file."""


class Preset(StrEnum):
    """The sets of samples that the paper names; `paper` is all three."""

    TRAIN = "paper-train"
    TEST = "paper-test"
    MISSING = "paper-missing"
    ALL = "paper"


class Source(StrEnum):
    """Which files: Roadmap's own bigWigs, or ChromImpute's 25-bp wig files made from them."""

    BIGWIG = "bigwig"
    CHROMIMPUTE = "chromimpute"


MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3", "H3K27ac", "H3K9ac", "DNase")
TRAIN_SAMPLES = tuple(
    f"E{number:03}" for number in (4, 5, 6, 7, 8, 17, 114, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127)
)
TEST_SAMPLES = ("E003", "E128")
# What the paper imputes was never measured, so there is no file to fetch: only these samples' other marks.
NEVER_MEASURED = {("E020", "DNase"), ("E071", "H3K9ac"), ("E071", "DNase"), ("E092", "H3K9ac")}
MISSING_SAMPLES = tuple(sorted({sample for sample, _ in NEVER_MEASURED}))
PRESETS = {
    Preset.TRAIN: TRAIN_SAMPLES,
    Preset.TEST: TEST_SAMPLES,
    Preset.MISSING: MISSING_SAMPLES,
    Preset.ALL: (*TRAIN_SAMPLES, *TEST_SAMPLES, *MISSING_SAMPLES),
}

ALL_CHROMOSOMES = "all"
ROADMAP_URL = "https://egg2.wustl.edu/roadmap/data/byFileType/signal/consolidated/macs2signal/pval/"


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server and what it is called here.

    Parameters
    ----------
    url
        Where it is.
    name
        Its name in the output folder.
    chromosomes
        The chromosomes that `name` holds; empty for all that the source has.
    by_range
        Whether only the chromosomes' part of the source is read; otherwise the file is downloaded as it is.
    """

    url: str
    name: str
    chromosomes: tuple[str, ...]
    by_range: bool


def select_tracks(preset: Preset | None, samples: Sequence[str], marks: Sequence[str]) -> list[tuple[str, str]]:
    """Every (sample, mark) of the preset's samples and the further ones, without those never measured.

    Parameters
    ----------
    preset
        A set of samples named in the paper.
    samples
        Further samples, by Roadmap's numbers: E001 to E129.
    marks
        Marks by Roadmap's names; none means the paper's eight.

    Raises
    ------
    BadSelection
        No sample is named, a name cannot be one, or nothing that was measured is left.
    """
    named = [*(PRESETS[preset] if preset else ()), *samples]
    if not named:
        raise BadSelection("No sample is named; give --preset paper-train or --sample E003.")
    for sample in named:
        if not re.fullmatch(r"E\d{3}", sample, re.ASCII):
            raise BadSelection(f"'{sample[:40]}' is not a Roadmap sample; write E003.")
    tracks = [(sample, _mark(mark)) for sample in named for mark in marks or MARKS]
    measured = [track for track in dict.fromkeys(tracks) if track not in NEVER_MEASURED]
    if not measured:
        listed = ", ".join(f"{mark} of {sample}" for sample, mark in dict.fromkeys(tracks))
        raise BadSelection(f"Roadmap never measured {listed}; name other marks or samples.")
    return measured


def _mark(name: str) -> str:
    """A mark as Roadmap spells it: the paper itself writes DNAse."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.]{0,19}", name, re.ASCII):
        raise BadSelection(f"'{name[:40]}' is not a mark; the paper's are {', '.join(MARKS)}.")
    return {mark.lower(): mark for mark in MARKS}.get(name.lower(), name)


def select_chromosomes(names: Iterable[str]) -> tuple[str, ...]:
    """Chromosomes of hg19 in the assembly's order, each once; empty where `all` is asked for.

    Raises
    ------
    BadSelection
        A name is no chromosome of hg19, or none is given.
    """
    names = tuple(names)
    if names == (ALL_CHROMOSOMES,):
        return ()
    found = {name: HG19.find(name) for name in names}
    for name, chrom in found.items():
        if chrom is None:
            raise BadSelection(
                f"'{name[:40]}' is not a chromosome of hg19; write chr1 to chr22, chrX, chrY or chrM,"
                f" or {ALL_CHROMOSOMES} alone."
            )
    if not found:
        raise BadSelection("No chromosome is named; write chr21, or all.")
    return tuple(chrom for chrom in HG19.chromosomes if chrom in found.values())


def locate(
    tracks: Iterable[tuple[str, str]], chromosomes: tuple[str, ...], source: Source, base_url: str | None
) -> list[RemoteFile]:
    """The files that hold these tracks on these chromosomes.

    Parameters
    ----------
    tracks
        (sample, mark), as `select_tracks` gives them.
    chromosomes
        As `select_chromosomes` gives them; empty for all.
    source
        One bigWig per track, or one wig file per track and chromosome.
    base_url
        The folder of the files on the server; for Roadmap's bigWigs it is known.

    Raises
    ------
    BadSelection
        The base URL is missing or not one of HTTP, or the source has no file of all chromosomes.
    """
    if source is Source.BIGWIG:
        base = _folder_url(base_url or ROADMAP_URL)
        return [_bigwig(base, f"{sample}-{mark}.pval.signal", chromosomes) for sample, mark in tracks]
    if base_url is None:
        raise BadSelection("ChromImpute's files have no address that is known for good; give --base-url.")
    if not chromosomes:
        raise BadSelection("ChromImpute has one file per chromosome; name each with --chromosome.")
    base = _folder_url(base_url)
    named = [
        (chrom, f"{chrom}_{sample}-{mark}.pval.signal.bedGraph.wig.gz")
        for sample, mark in tracks
        for chrom in chromosomes
    ]
    return [RemoteFile(base + name, name, (chrom,), by_range=False) for chrom, name in named]


def _bigwig(base: str, stem: str, chromosomes: tuple[str, ...]) -> RemoteFile:
    url = f"{base}{stem}.bigwig"
    if not chromosomes:
        return RemoteFile(url, f"{stem}.bigwig", (), by_range=False)
    return RemoteFile(url, f"{stem}.{'_'.join(chromosomes)}.bigWig", chromosomes, by_range=True)


def _folder_url(base_url: str) -> str:
    wrong = BadSelection(f"'{base_url[:200]}' is not a base URL; it starts with http:// or https:// and a host.")
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        raise wrong from None
    readable_host = re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", url.host)
    if url.scheme not in ("http", "https") or not readable_host or url.query or url.fragment:
        raise wrong
    return base_url.rstrip("/") + "/"
