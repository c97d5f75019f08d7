"""The picture of a comparison: quantiles, correlations, and a locus of each."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.core.regions import Region
from training.simulate.chromatin import BIN_BP, CORE_MARKS
from training.simulate.statistics import SampleTracks, Statistics, measure

_LOCUS_BP = 200_000
_REAL, _SIMULATED = "#1e3a8a", "#c2410c"


def draw(real: SampleTracks, simulated: SampleTracks, path: Path) -> None:
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


def _draw_quantiles(axis: Axes, real: Statistics, simulated: Statistics) -> None:
    for m, mark in enumerate(CORE_MARKS):
        axis.loglog(real.quantiles[m], simulated.quantiles[m], "o-", markersize=5, linewidth=1, label=mark)
    ends = (0.01, 300)
    axis.plot(ends, ends, "--", color="black", linewidth=1)
    axis.fill_between(ends, np.multiply(ends, 0.8), np.multiply(ends, 1.2), color="grey", alpha=0.2, linewidth=0)
    axis.set(xlim=ends, ylim=ends, xlabel="real, -log10 p", ylabel="simulated, -log10 p", box_aspect=1)
    axis.set_title("quantiles at 10, 50, 90, 99, 99.9 %\n(band: ±20 %)", fontsize=10)
    axis.legend(fontsize=8)


def _draw_locus(axes: NDArray[np.object_], tracked: SampleTracks, colour: str, title: str) -> None:
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
