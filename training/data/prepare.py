"""Turn bigWig or wig.gz tracks into a binned data set."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from app.core.assemblies import Assembly, get_assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.regions import Region, join_regions, parse_region
from app.core.signal import runs
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, create_dataset, finish
from training.data.index import Index
from training.data.wig import WigTrack

_NAME = re.compile(
    r"(?:chr\w+_)?(?P<sample>[A-Za-z0-9]+)-(?P<mark>[A-Za-z0-9]+(?:\.Z)?)\.(?:.*\.)?(?:bigwig|bw|wig\.gz)",
    re.IGNORECASE,
)
_PIECE_BP = 2_500_000
_JOIN_BP = 5_000
"""Covered stretches closer than this become one region: a narrow gap is no reason to cut a window."""


@dataclass(frozen=True)
class SampleTrack:
    """One track on disk."""

    sample: str
    mark: str
    path: Path


def find_tracks(folder: Path, samples: Sequence[str] = (), marks: Sequence[str] = ()) -> list[SampleTrack]:
    """The tracks in a folder, recognised by names like `E003-H3K4me3.pval.signal.bigWig`.

    Raises
    ------
    BadData
        There is none, or a sample or mark that was asked for has none.
    """
    sources = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match and (not samples or match["sample"] in samples) and (not marks or match["mark"] in marks):
            sources.append(SampleTrack(match["sample"], match["mark"], path))
    if not sources:
        raise BadData(f"'{folder}' holds none of the wanted tracks; name them like E003-H3K4me3.pval.signal.bigWig.")
    for kind, wanted in (("sample", samples), ("mark", marks)):
        for name in wanted:
            if name not in {getattr(source, kind) for source in sources}:
                raise BadData(f"'{folder}' has no track of {kind} {name}.")
    return sources


def prepare(
    sources: Sequence[SampleTrack],
    out: Path,
    assembly: Assembly,
    bin_size_bp: int,
    marks: Sequence[str] = (),
    regions: Sequence[Region] = (),
    advance: Callable[[], None] = lambda: None,
) -> Dataset:
    """Bin tracks into a data set.

    Parameters
    ----------
    sources
        The tracks; a sample may lack some of the marks (its rows are NaN then).
    marks
        Order of the rows; default: as first seen.
    regions
        What to keep; default: every stretch that any track covers.
    advance
        Called after every pass over a track.
    """
    order = list(dict.fromkeys(marks)) or list(dict.fromkeys(source.mark for source in sources))
    stretches = [region.snap(bin_size_bp, assembly.length(region.chrom)) for region in regions]
    if not stretches:
        for source in sources:
            with _open(source, assembly, bin_size_bp) as track:
                stretches += _covered(track, bin_size_bp)
            advance()
    kept = join_regions(stretches, assembly, 0 if regions else _JOIN_BP)
    index = Index(
        assembly=assembly.name,
        bin_size_bp=bin_size_bp,
        marks=order,
        samples=sorted({source.sample for source in sources}),
        regions=[(region.chrom, region.start, region.end) for region in kept],
        source="bigWig or wig tracks, -log10 p-value",
    )
    arrays = create_dataset(out, index)
    offsets = Dataset(out, index).offsets
    for source in sources:
        row = arrays[source.sample][order.index(source.mark)]
        with _open(source, assembly, bin_size_bp) as track:
            for region, first in zip(kept, offsets, strict=False):
                at = int(first)
                for piece in region.pieces(_piece_bp(bin_size_bp)):
                    values = track.read(piece).values[0]
                    there = ~np.isnan(values)  # another file of this track may hold other chromosomes
                    row[at : at + len(values)][there] = values[there]
                    at += len(values)
        advance()
    return finish(out, index, arrays)


def _piece_bp(bin_size_bp: int) -> int:
    return max(1, _PIECE_BP // bin_size_bp) * bin_size_bp


def _open(source: SampleTrack, assembly: Assembly, bin_size_bp: int) -> Tracks | WigTrack:
    if source.path.name.lower().endswith(".gz"):
        return WigTrack(source.path, source.mark, assembly, bin_size_bp)
    return Tracks({source.mark: TrackFile(source.path, source.path.name)}, assembly, bin_size_bp)


def _covered(track: Tracks | WigTrack, bin_size_bp: int) -> list[Region]:
    """Runs of bins with a value."""
    covered = []
    for piece in track.covered_regions(_piece_bp(bin_size_bp)):
        for first, last in runs(track.read(piece).covered()):
            start = piece.start + first * bin_size_bp
            covered.append(Region(piece.chrom, start, min(piece.start + last * bin_size_bp, piece.end)))
    return covered


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of tracks named like E003-H3K4me3.pval.signal.bigWig.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set to make.")],
    sample: Annotated[list[str] | None, typer.Option(help="Keep this sample (repeatable; default: all).")] = None,
    mark: Annotated[list[str] | None, typer.Option(help="Keep this mark, in this order (default: all).")] = None,
    region: Annotated[list[str] | None, typer.Option(help="chr21 or chr21:1,000-2,000 (default: all covered).")] = None,
    assembly: Annotated[str, typer.Option(help="hg19 (GRCh37) or hg38 (GRCh38).")] = "hg19",
    bin_size: Annotated[int, typer.Option(help="Width of a bin in bp.", min=1, max=10_000)] = 25,
) -> None:
    """Bin bigWig or wig.gz tracks into a data set of memory-mapped arrays (NaN = not covered)."""
    genome = get_assembly(assembly)
    regions = [parse_region(text, genome) for text in region or []]
    sources = find_tracks(folder, sample or [], mark or [])
    with progress("Preparing", len(sources) * (1 if regions else 2)) as advance:
        dataset = prepare(sources, out, genome, bin_size, mark or [], regions, advance)
    console.print(
        f"{len(dataset.samples)} samples, {len(dataset.marks)} marks, {len(dataset.regions)} regions,"
        f" {dataset.n_bins:,} bins of {bin_size} bp in {out}"
    )
