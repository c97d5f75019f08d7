"""The paper's figures: predicted against true values, and imputed above true tracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.core.regions import Region
from training.data.dataset import Dataset

LOCUS_BINS = 4000
"""Bins shown of a track: 100 kb of 25-bp bins."""

IMPUTED, TRUE, PANEL = "#c2410c", "#1e3a8a", "#6b7280"


@dataclass(frozen=True)
class Locus:
    """A stretch of one track to show; values are -log10 p, float32 (bins,)."""

    title: str
    region: Region
    imputed: NDArray[np.float32]
    truth: NDArray[np.float32] | None
    lower: NDArray[np.float32] | None = None
    upper: NDArray[np.float32] | None = None
    panel: NDArray[np.float32] | None = None


def find_locus(truth: NDArray[np.float32], dataset: Dataset) -> tuple[int, int]:
    """First and one-past-last column of the stretch, within one region, where the truth varies most."""
    best, place = -1.0, (0, 0)
    values = np.arcsinh(np.nan_to_num(truth))
    for first, last in zip(dataset.offsets, dataset.offsets[1:], strict=False):
        width = min(LOCUS_BINS, int(last - first))
        for left in range(int(first), int(last) - width + 1, max(1, width // 2)):
            spread = float(values[left : left + width].std())
            if spread > best:
                best, place = spread, (left, left + width)
    return place


def draw_scatter(panels: Sequence[tuple[str, NDArray[np.float32], NDArray[np.float32]]], path: Path) -> None:
    """Figure 1: predicted against true values, both -log10 p, as counts of bins, with the unit slope dashed."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 4 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, truth, predicted) in zip(axes, panels, strict=False):
        both = ~(np.isnan(truth) | np.isnan(predicted))
        x, y = truth[both], predicted[both]
        top = float(np.quantile(x, 0.9999)) if len(x) else 1.0
        bottom = min(0.0, float(y.min())) if len(y) else 0.0
        counts = axis.hist2d(
            x, y, bins=120, range=[[0, top], [bottom, top]], norm=mpl.colors.LogNorm(), cmap="viridis", rasterized=True
        )
        axis.plot([0, top], [0, top], "--", color="black", linewidth=1)
        axis.set(title=title, xlabel="true, -log10 p", ylabel="predicted, -log10 p", xlim=(0, top), ylim=(bottom, top))
        figure.colorbar(counts[3], ax=axis, label="bins", shrink=0.8)
    figure.savefig(path, dpi=110)


def draw_tracks(loci: Sequence[Locus], bin_size_bp: int, path: Path) -> None:
    """Figure 2: for each locus the imputed track above the true one, each on its own scale.

    Where a locus has an interval, it is drawn pale behind the imputed track; where it has the panel's mean, that is a
    track between the two.
    """
    rows = [
        (locus, values, colour, what)
        for locus in loci
        for values, colour, what in (
            (locus.imputed, IMPUTED, "imputed"),
            (locus.panel, PANEL, "panel mean"),
            (locus.truth, TRUE, "true"),
        )
        if values is not None
    ]
    figure = Figure(figsize=(11, 1.1 * len(rows)), layout="constrained")
    for axis, (locus, values, colour, what) in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True):
        position = (locus.region.start + bin_size_bp * np.arange(len(values))) / 1e6
        top = float(np.nanmax(values))
        if what == "imputed" and locus.lower is not None and locus.upper is not None:
            axis.fill_between(position, locus.lower, locus.upper, step="mid", color=colour, alpha=0.25, linewidth=0)
            top = max(top, float(np.nanmax(locus.upper)))
        axis.fill_between(position, np.nan_to_num(values), step="mid", color=colour, linewidth=0)
        axis.set(xlim=(position[0], position[-1]), ylim=(0, max(1.0, top)))
        axis.set_ylabel(what, rotation=0, ha="right", va="center", fontsize=8)
        axis.tick_params(labelsize=7, labelbottom=what == "true" or locus.truth is None)
        axis.ticklabel_format(axis="x", useOffset=False)
        axis.spines[["top", "right"]].set_visible(False)
        if what == "imputed":
            axis.set_title(f"{locus.title}   {locus.region}   (-log10 p, Mb)", fontsize=9, loc="left")
    figure.savefig(path, dpi=110)
