"""How much the simulated tracks resemble real ones: a table and a picture."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.regions import Region
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.prepare import find_tracks
from training.simulate.chromatin import BIN_BP, CORE_MARKS
from training.simulate.simulator import Simulator, merge

LEVELS = (0.10, 0.50, 0.90, 0.99, 0.999)
LAGS_BINS = (1, 4, 16, 64)

REAL_QUANTILES = {
    "H3K4me1": (0.042, 0.153, 0.920, 7.756, 21.288),
    "H3K4me3": (0.028, 0.132, 0.542, 19.790, 124.288),
    "H3K36me3": (0.053, 0.188, 0.981, 5.330, 10.859),
    "H3K27me3": (0.044, 0.176, 1.012, 4.241, 9.673),
    "H3K9me3": (0.046, 0.181, 0.809, 2.677, 5.664),
}
"""At 10, 50, 90, 99 and 99.9 %, means over E017, E065, E116 and E117 in the pilot regions; what `chromatin`
is fitted to."""

_PIECE_BP = 500_000
_LOCUS_BP = 200_000
_REAL, _SIMULATED = "#1e3a8a", "#c2410c"


@dataclass(frozen=True)
class Tracked:
    """Tracks of several samples over the same regions.

    Attributes
    ----------
    values
        float32 (samples, marks, bins), -log10 p-value, without NaN; the regions one after another.
    samples, marks, regions
        What the axes hold.
    """

    values: NDArray[np.float32]
    samples: tuple[str, ...]
    marks: tuple[str, ...]
    regions: tuple[Region, ...]

    @property
    def offsets(self) -> list[int]:
        """First bin of every region, and the end of the last."""
        return [0, *np.cumsum([region.n_bins(BIN_BP) for region in self.regions]).tolist()]


@dataclass(frozen=True)
class Resemblance:
    """What is compared, each a mean over samples (or pairs of samples).

    Attributes
    ----------
    quantiles
        (marks, levels), -log10 p-value at `LEVELS`.
    between_marks
        (marks, marks), Pearson correlation of arcsinh(-log10 p) within a sample.
    between_samples
        (marks,), the same between two samples.
    autocorrelation
        (marks, lags), the same of a track with itself at `LAGS_BINS`.
    """

    quantiles: NDArray[np.float64]
    between_marks: NDArray[np.float64]
    between_samples: NDArray[np.float64]
    autocorrelation: NDArray[np.float64]


def read_real(folder: Path, assembly: Assembly) -> Tracked:
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
    return Tracked(np.concatenate(parts, axis=2), tuple(complete), CORE_MARKS, tuple(joined))


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


def simulate_tracks(simulator: Simulator, regions: Sequence[Region], samples: int) -> Tracked:
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
    return Tracked(np.stack(parts), names, CORE_MARKS, tuple(regions))


def measure(tracked: Tracked) -> Resemblance:
    """Measure what is compared; needs two samples or more."""
    values = np.arcsinh(tracked.values)
    n_samples, n_marks, _ = values.shape
    pairs = list(combinations(range(n_samples), 2))
    return Resemblance(
        quantiles=np.quantile(tracked.values, LEVELS, axis=2).mean(axis=1).T,
        between_marks=np.mean([np.corrcoef(sample) for sample in values], axis=0),
        between_samples=np.array(
            [np.mean([np.corrcoef(values[a, m], values[b, m])[0, 1] for a, b in pairs]) for m in range(n_marks)]
        ),
        autocorrelation=np.array(
            [
                np.mean([_autocorrelation(values[s, m], tracked.offsets) for s in range(n_samples)], axis=0)
                for m in range(n_marks)
            ]
        ),
    )


def _autocorrelation(values: NDArray[np.float32], offsets: Sequence[int]) -> list[float]:
    """Of one track at `LAGS_BINS`, from pairs of bins within a region; float (lags,)."""
    centred = values - values.mean()
    result = []
    for lag in LAGS_BINS:
        products, count = 0.0, 0
        for first, last in pairwise(offsets):
            if last - first > lag:
                products += float(centred[first : last - lag] @ centred[first + lag : last])
                count += last - first - lag
        result.append(products / max(count, 1) / float(values.var()))
    return result


def tables(real: Resemblance, simulated: Resemblance, marks: Sequence[str]) -> str:
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


def draw(real: Tracked, simulated: Tracked, path: Path) -> None:
    """Quantiles and correlations of both, and one locus of the sample with the strongest signal."""
    a, b = measure(real), measure(simulated)
    figure = Figure(figsize=(12, 11), layout="constrained")
    halves = figure.subfigures(2, 1, height_ratios=[1, 1.45], squeeze=False)[:, 0]
    axes = halves[0].subplots(1, 3, width_ratios=[1.15, 1, 1])
    _draw_quantiles(axes[0], a, b)
    for axis, result, title in ((axes[1], a, "real"), (axes[2], b, "simulated")):
        axis.imshow(result.between_marks, vmin=-0.5, vmax=0.5, cmap="RdBu_r")
        for (i, j), value in np.ndenumerate(result.between_marks):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="w" if i == j else "k")
        ticks = range(len(real.marks))
        axis.set_xticks(ticks, real.marks, rotation=45, ha="right", fontsize=8)
        axis.set_yticks(ticks, real.marks, fontsize=8)
        axis.set_title(f"correlation of marks, {title}", fontsize=10)
    columns = halves[1].subplots(len(real.marks), 2, sharex="col", squeeze=False)
    for column, tracked, colour, title in (
        (0, real, _REAL, "real"),
        (1, simulated, _SIMULATED, "simulated"),
    ):
        _draw_locus(columns[:, column], tracked, colour, title)
    figure.savefig(path, dpi=90)


def _draw_quantiles(axis: Axes, real: Resemblance, simulated: Resemblance) -> None:
    for m, mark in enumerate(CORE_MARKS):
        axis.loglog(real.quantiles[m], simulated.quantiles[m], "o-", markersize=5, linewidth=1, label=mark)
    ends = (0.01, 300)
    axis.plot(ends, ends, "--", color="black", linewidth=1)
    axis.fill_between(ends, np.multiply(ends, 0.8), np.multiply(ends, 1.2), color="grey", alpha=0.2, linewidth=0)
    axis.set(xlim=ends, ylim=ends, xlabel="real, -log10 p", ylabel="simulated, -log10 p", box_aspect=1)
    axis.set_title("quantiles at 10, 50, 90, 99, 99.9 %\n(band: ±20 %)", fontsize=10)
    axis.legend(fontsize=8)


def _draw_locus(axes: NDArray[np.object_], tracked: Tracked, colour: str, title: str) -> None:
    """The stretch of the strongest sample with the most varied marks."""
    values = np.arcsinh(tracked.values)
    sample = int(values.std(axis=2).sum(axis=1).argmax())
    width = _LOCUS_BP // BIN_BP
    best, place = -1.0, (tracked.regions[0], 0)
    for region, (first, last) in zip(tracked.regions, pairwise(tracked.offsets), strict=True):
        for left in range(first, last - width + 1, width // 2):
            # The mark that varies least decides: a locus where every mark has something to show.
            spread = values[sample, :, left : left + width].std(axis=1) / values[sample].std(axis=1)
            if (least := float(spread.min())) > best:
                best, place = least, (Region(region.chrom, region.start + (left - first) * BIN_BP, region.end), left)
    start, left = place[0], place[1]
    shown = tracked.values[sample, :, left : left + width]
    position = (start.start + BIN_BP * np.arange(shown.shape[1])) / 1e6
    for axis, mark, row in zip(axes, tracked.marks, shown, strict=True):
        axis.fill_between(position, row, step="mid", color=colour, linewidth=0)
        axis.set(xlim=(position[0], position[-1]), ylim=(0, max(2.0, float(row.max()) * 1.05)))
        axis.set_ylabel(mark, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title(f"{title}: {tracked.samples[sample]}, -log10 p", fontsize=10)
    axes[-1].set_xlabel(f"{start.chrom}, Mb", fontsize=8)


def compare_with_real(simulator: Simulator, folder: Path, out: Path) -> None:
    """Write `comparison.md` and `comparison.png` of the real tracks in a folder and as many simulated samples."""
    real = read_real(folder, simulator.assembly)
    simulated = simulate_tracks(simulator, real.regions, len(real.samples))
    text = tables(measure(real), measure(simulated), real.marks)
    (out / "comparison.md").write_text(text, encoding="utf-8")
    draw(real, simulated, out / "comparison.png")
    console.print(f"comparison.md and comparison.png in {out}")
