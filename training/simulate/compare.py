"""Compare simulated tracks with real ones: a table and a picture."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.regions import Region
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.prepare import find_tracks
from training.simulate.chromatin import BIN_BP, CORE_MARKS
from training.simulate.picture import draw
from training.simulate.simulator import Simulator, merge
from training.simulate.statistics import LAGS_BINS, LEVELS, SampleTracks, Statistics, measure

_PIECE_BP = 500_000


def read_real(folder: Path, assembly: Assembly) -> SampleTracks:
    """Read every sample that has all core marks, over the bins that all of their tracks cover.

    Raises
    ------
    BadData
        No two samples have all core marks, or no bin is covered by all.
    """
    sources = find_tracks(folder, marks=CORE_MARKS)
    by_sample: dict[str, dict[str, TrackFile]] = {}
    for source in sources:
        by_sample.setdefault(source.sample, {})[source.mark] = TrackFile(source.path, source.path.name)
    complete = {name: files for name, files in sorted(by_sample.items()) if len(files) == len(CORE_MARKS)}
    if len(complete) < 2:
        raise BadData(f"'{folder}' has not two samples with all of {', '.join(CORE_MARKS)}.")
    first = next(iter(complete.values()))
    with Tracks({CORE_MARKS[0]: first[CORE_MARKS[0]]}, assembly, BIN_BP) as tracks:
        pieces = list(tracks.covered_regions(_PIECE_BP))
    regions, parts = [], []
    with ExitStack() as stack, progress("Reading", len(pieces)) as advance:
        samples = [
            stack.enter_context(Tracks({mark: files[mark] for mark in CORE_MARKS}, assembly, BIN_BP))
            for files in complete.values()
        ]
        for piece in pieces:
            for region, part in _covered_by_all(piece, np.stack([tracks.read(piece).values for tracks in samples])):
                regions.append(region)
                parts.append(part)
            advance()
    if not regions:
        raise BadData(f"No bin is covered by all tracks of the core marks in '{folder}'.")
    joined = merge(regions, assembly, BIN_BP)  # the pieces cut long stretches
    return SampleTracks(np.concatenate(parts, axis=2), tuple(complete), CORE_MARKS, tuple(joined))


def _covered_by_all(piece: Region, values: NDArray[np.float32]) -> list[tuple[Region, NDArray[np.float32]]]:
    """The stretches of a piece without NaN in any track."""
    present = ~np.isnan(values).any(axis=(0, 1))
    edges = np.flatnonzero(np.diff(present.astype(np.int8), prepend=0, append=0)).reshape(-1, 2).tolist()
    return [
        (
            Region(piece.chrom, piece.start + first * BIN_BP, min(piece.start + last * BIN_BP, piece.end)),
            values[..., first:last],
        )
        for first, last in edges
    ]


def simulate_tracks(simulator: Simulator, regions: Sequence[Region], samples: int) -> SampleTracks:
    """The first simulated samples over some regions."""
    parts = []
    with progress("Simulating", samples * len(regions)) as advance:
        for sample in range(samples):
            rows = []
            for region in regions:
                rows.append(simulator.simulate(region, sample).values)
                advance()
            parts.append(np.concatenate(rows, axis=1))
    names = tuple(f"SIM{sample + 1:03d}" for sample in range(samples))
    return SampleTracks(np.stack(parts), names, CORE_MARKS, tuple(regions))


def tables(real: Statistics, simulated: Statistics, marks: Sequence[str]) -> str:
    """Both, side by side, as Markdown: every cell is real / simulated."""

    def table(title: str, columns: Sequence[str], a: NDArray[np.float64], b: NDArray[np.float64], digits: int) -> str:
        lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        for mark, left, right in zip(marks, a, b, strict=True):
            cells = [f"{x:.{digits}f} / {y:.{digits}f}" for x, y in zip(left, right, strict=True)]
            lines.append(f"| {mark} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    return "\n".join(
        [
            table("quantile of -log10 p", [f"{100 * p:g} %" for p in LEVELS], real.quantiles, simulated.quantiles, 3),
            table("correlation of marks", marks, real.between_marks, simulated.between_marks, 2),
            table("correlation of samples", ["mean over pairs"], real.between_samples[:, None],
                  simulated.between_samples[:, None], 2),
            table("autocorrelation at", [f"{lag} bin{'s'[:lag > 1]}" for lag in LAGS_BINS],
                  real.autocorrelation, simulated.autocorrelation, 2),
        ]
    )  # fmt: skip


def compare_with_real(simulator: Simulator, folder: Path, out: Path) -> None:
    """Write `comparison.md` and `comparison.png` of the real tracks in a folder and as many simulated samples."""
    real = read_real(folder, simulator.assembly)
    simulated = simulate_tracks(simulator, real.regions, len(real.samples))
    text = tables(measure(real), measure(simulated), real.marks)
    (out / "comparison.md").write_text(text, encoding="utf-8")
    draw(real, simulated, out / "comparison.png")
    console.print(f"comparison.md and comparison.png in {out}")
