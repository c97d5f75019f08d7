"""Turn binned read counts with an Input control into a data set of -log10 p-values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated
from zipfile import BadZipFile

import numpy as np
import typer
from numpy.typing import NDArray

from app.core.assemblies import Assembly, get_assembly
from app.core.regions import Region
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, create_dataset, finish
from training.data.index import Index
from training.data.pvalue import local_background, poisson_neg_log10_p

_BACKGROUND_BP = (1_000, 5_000, 10_000)
"""MACS's windows around a bin (Zhang et al. 2008, Genome Biology 9:R137)."""

_FIELDS = ("counts", "samples", "tracks", "chrom", "start", "assembly")


@dataclass(frozen=True)
class Counts:
    """Read counts of several samples.

    Attributes
    ----------
    values
        (samples, tracks, bins), >= 0.
    samples, tracks
        Names; one of the tracks is Input.
    stretches
        First and one-past-last bin of every stretch of neighbouring bins.
    regions
        The same stretches on the genome.
    """

    values: NDArray[np.integer]
    samples: tuple[str, ...]
    tracks: tuple[str, ...]
    assembly: Assembly
    bin_size_bp: int
    stretches: list[tuple[int, int]]
    regions: list[Region]


def read_counts(path: Path, marks: Sequence[str] = ()) -> Counts:
    """Read an .npz as `prepare_counts` takes it, and make sure that it has some marks; raises BadData."""
    try:
        with np.load(path, allow_pickle=False) as file:
            counts, samples, tracks, chrom, start, assembly = (file[field] for field in _FIELDS)
    except (OSError, ValueError, KeyError, BadZipFile):
        raise BadData(f"'{path}' is no .npz file with {', '.join(_FIELDS)}.") from None
    names = [str(track) for track in tracks]
    if counts.shape != (len(samples), len(tracks), len(start)) or len(chrom) != len(start):
        raise BadData(f"'{path.name}': counts are {counts.shape}, not (samples, tracks, bins) of its other arrays.")
    for name in ("Input", *marks):
        if name not in names:
            raise BadData(f"'{path.name}' has no track {name}; it has {', '.join(names)}.")
    bin_size_bp = int(np.min(np.diff(start), where=np.diff(start) > 0, initial=1 << 30))
    stretches = _stretches(chrom, start, bin_size_bp)
    genome = get_assembly(str(assembly))
    unknown = sorted(set(map(str, chrom)) - set(genome.chromosomes))
    if unknown:
        raise BadData(f"'{path.name}' has the chromosome {unknown[0]}, which {genome.name} does not have.")
    if (start % bin_size_bp).any() or (counts < 0).any():
        raise BadData(f"'{path.name}' has bins off the grid of {bin_size_bp} bp, or negative counts.")
    if not counts[:, names.index("Input")].any(axis=1).all():
        raise BadData(f"'{path.name}' has a sample whose Input is all zero; it cannot be a background.")
    regions = [
        Region(str(chrom[a]), int(start[a]), int(start[a]) + bin_size_bp * (b - a)).snap(
            bin_size_bp, genome.length(str(chrom[a]))
        )
        for a, b in stretches
    ]
    return Counts(counts, tuple(map(str, samples)), tuple(names), genome, bin_size_bp, stretches, regions)


def prepare_counts(path: Path, out: Path, marks: Sequence[str] = ()) -> Dataset:
    """Make a data set of -log10 P(X > count), X Poisson with the local background of the sample's Input.

    Parameters
    ----------
    path
        An .npz of counts int (samples, tracks, bins), samples, tracks (one of them Input), chrom and start of every
        bin, in order, and assembly. The bin size is the distance of neighbouring starts.
    marks
        Order of the rows; default: the order of the tracks.

    Raises
    ------
    BadData
        The file is not of that form, has no Input, or lacks a mark.
    """
    counts = read_counts(path, marks)
    order = list(marks) or [name for name in counts.tracks if name != "Input"]
    index = Index(
        assembly=counts.assembly.name,
        bin_size_bp=counts.bin_size_bp,
        marks=order,
        samples=list(counts.samples),
        regions=[(region.chrom, region.start, region.end) for region in counts.regions],
        source="read counts, as -log10 p-value against the Input",
    )
    arrays = create_dataset(out, index)
    windows = [max(1, bp // counts.bin_size_bp) for bp in _BACKGROUND_BP]
    with progress("Preparing", len(index.samples) * len(order)) as advance:
        for sample, tracks in zip(index.samples, counts.values, strict=True):
            control = tracks[counts.tracks.index("Input")]
            for row, mark in zip(arrays[sample], order, strict=True):
                treatment = tracks[counts.tracks.index(mark)]
                scale = treatment.sum() / control.sum()
                for a, b in counts.stretches:
                    expected = local_background(control[a:b], scale, windows, float(control.mean()))
                    row[a:b] = poisson_neg_log10_p(treatment[a:b] + 1, expected)
                advance()
    return finish(out, index, arrays)


def _stretches(chrom: NDArray[np.str_], start: NDArray[np.integer], bin_size_bp: int) -> list[tuple[int, int]]:
    """First and one-past-last bin of every stretch of neighbouring bins."""
    breaks = np.flatnonzero((np.diff(start) != bin_size_bp) | (chrom[1:] != chrom[:-1])) + 1
    borders = [0, *map(int, breaks), len(start)]
    return list(pairwise(borders))


def command(
    path: Annotated[Path, typer.Argument(help="An .npz of counts (samples, tracks, bins) with an Input track.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set to make.")],
    mark: Annotated[list[str] | None, typer.Option(help="Keep this mark, in this order (default: all).")] = None,
) -> None:
    """Turn binned read counts with an Input control into a data set of -log10 p-values."""
    dataset = prepare_counts(path, out, mark or [])
    console.print(
        f"{len(dataset.samples)} samples, {len(dataset.marks)} marks, {dataset.n_bins:,} bins"
        f" of {dataset.bin_size_bp} bp in {out}"
    )
