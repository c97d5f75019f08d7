"""Make a model's panel: a bigWig of means over samples per mark and statistic, never the track of a single sample."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from app.core.assemblies import Assembly, get_assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.panel import panel_file
from app.core.quantiles import LEVELS
from app.core.regions import PIECE_BINS, Region, join_regions
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.prepare import find_tracks
from training.epifill.examples import normalise, panel_channels
from training.epifill.layers import STATISTICS
from training.epifill.reference import KNOT_LEVELS, Reference
from training.epifill.training import load_epifill

FEWEST = len(STATISTICS) + 1
"""Fewest samples of a panel: with as many statistics as samples, single samples could be reconstructed."""

STEP = 1 / 64
"""Channels are rounded to this; it takes half of the room, and is far below what a track's noise is."""

_CHUNK_PIECES = 64
_PLACES = [LEVELS.index(level) for level in KNOT_LEVELS]


def channel_names(marks: tuple[str, ...]) -> list[str]:
    """Names of the panel's channels in the order of the tensor's rows."""
    return [f"{mark}.{statistic}" for mark in marks for statistic in STATISTICS]


def write_panel(
    samples: Mapping[str, Mapping[str, Path]],
    reference: Reference,
    known: Mapping[str, NDArray[np.float32]],
    assembly: Assembly,
    bin_size_bp: int,
    out: Path,
    advance: Callable[[int], None] = lambda bins: None,
) -> list[Path]:
    """Write `out/panel/MARK.STATISTIC.bigWig`; memory does not grow with the genome.

    Parameters
    ----------
    samples
        bigWig files by sample and mark; a sample may lack marks.
    reference
        Of the model that the panel is for.
    known
        Quantile functions of the samples that it was trained on, float32 (marks, knots); those of other samples are
        taken from their whole tracks.
    advance
        Called with the number of bins after every chunk.

    Raises
    ------
    BadData
        There are too few samples: a panel holds means and must not reveal a single sample.
    """
    if len(samples) < FEWEST:
        raise BadData(f"A panel of {len(samples)} samples would show each of them; give {FEWEST} or more.")
    names = channel_names(reference.marks)
    paths = [out / panel_file(name) for name in names]
    (out / panel_file(names[0])).parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        opened = []
        for files in samples.values():
            wanted = {mark: TrackFile(path, path.name) for mark, path in files.items() if mark in reference.marks}
            opened.append(stack.enter_context(Tracks(wanted, assembly, bin_size_bp)))
        quantiles = [
            known[sample] if sample in known else _quantiles(tracks, reference.marks)
            for sample, tracks in zip(samples, opened, strict=True)
        ]
        writers = [stack.enter_context(BigWigWriter(path, assembly, bin_size_bp)) for path in paths]
        for region in covered(opened, assembly, bin_size_bp):
            parts = [
                normalise(reference, tracks.read(region).select(reference.marks).values, known)
                for tracks, known in zip(opened, quantiles, strict=True)
            ]
            channels = panel_channels(parts).reshape(len(writers), -1)
            for writer, row in zip(writers, np.round(channels / STEP) * STEP, strict=True):
                writer.add(region, row.astype(np.float32))
            advance(region.n_bins(bin_size_bp))
    return paths


def covered(opened: list[Tracks], assembly: Assembly, bin_size_bp: int) -> Iterator[Region]:
    """Where some sample may have a value, in genome order, in chunks that fit in memory."""
    piece_bp = PIECE_BINS * bin_size_bp
    pieces = chain.from_iterable(tracks.covered_regions(piece_bp, 8 * _CHUNK_PIECES * piece_bp) for tracks in opened)
    for region in join_regions(pieces, assembly):
        yield from region.pieces(_CHUNK_PIECES * piece_bp)


def _quantiles(tracks: Tracks, marks: tuple[str, ...]) -> NDArray[np.float32]:
    """Quantile functions of whole tracks at KNOT_LEVELS, float32 (marks, knots); NaN for a mark without a track."""
    found = np.full((len(marks), len(_PLACES)), np.nan, dtype=np.float32)
    for row, mark in enumerate(marks):
        if mark in tracks.marks:
            found[row] = tracks.distribution(mark).quantiles[_PLACES]
    return found


def command(
    checkpoint: Annotated[Path, typer.Argument(help="epifill.pt of a run.")],
    tracks: Annotated[Path, typer.Argument(help="Folder of bigWigs named like E003-H3K4me3.pval.signal.bigWig.")],
    out: Annotated[Path, typer.Option(help="Folder to write; `panel/` appears in it.")],
    sample: Annotated[list[str] | None, typer.Option(help="Use this sample (default: the training samples).")] = None,
    assembly: Annotated[str, typer.Option(help="hg19 (GRCh37) or hg38 (GRCh38).")] = "hg19",
    bin_size: Annotated[int, typer.Option(help="Width of a bin in bp.", min=1, max=10_000)] = 25,
) -> None:
    """Write a panel for a trained model: means over samples, from bigWigs, of a whole genome if they hold it."""
    training = load_epifill(checkpoint)
    files: dict[str, dict[str, Path]] = {}
    for source in find_tracks(tracks, sample or list(training.samples)):
        files.setdefault(source.sample, {})[source.mark] = source.path
    genome = get_assembly(assembly)
    total = sum(-(-length // bin_size) for length in genome.chromosomes.values())
    with progress("Writing the panel", total) as advance:
        paths = write_panel(files, training.reference, training.quantiles, genome, bin_size, out, advance)
    console.print(f"{len(paths)} channels of {len(files)} samples in {out / 'panel'}", markup=False)
