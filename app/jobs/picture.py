"""A picture of how far each mark of a sample can be trusted: its scores beside those of the panel mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from app.core.scores import Score

_MEASURES = (
    ("pearson", "Pearson r", "higher is better"),
    ("spearman", "Spearman r", "higher is better"),
    ("mse_arcsinh", "mean squared error of arcsinh", "lower is better"),
)
_SOURCES = {"model": ("imputed", "#c2410c"), "panel_mean": ("panel mean", "#9ca3af")}
_INK, _FAINT = "#374151", "#6b7280"
_ROW_INCHES, _BAR_INCHES, _FRAME_INCHES = 0.16, 0.19, 1.3


def draw_scores(scores: Mapping[str, Mapping[str, Score | None]], path: Path) -> None:
    """Draw bars of Pearson, Spearman and mean squared error, a row per mark, the model's above the panel mean's.

    Parameters
    ----------
    scores
        By mark, in the order from top to bottom: the scores of `model` and, where the panel has the mark, of
        `panel_mean`. A measure that is None is written as undefined; a source that no mark has is left out.
    path
        Where to write; `.png` or `.svg`, by the suffix.

    Raises
    ------
    ValueError
        There are no scores, or the suffix is of no format that can be drawn.
    """
    sources = [source for source in _SOURCES if any(given.get(source) for given in scores.values())]
    if not sources:
        raise ValueError("there are no scores to draw")
    height = _FRAME_INCHES + len(scores) * (_ROW_INCHES + _BAR_INCHES * len(sources))
    figure = Figure(figsize=(11, height), layout=ConstrainedLayoutEngine(wspace=0.05))
    axes = figure.subplots(1, len(_MEASURES), sharey=True)
    for axis, (measure, name, better) in zip(axes, _MEASURES, strict=True):
        for place, source in enumerate(sources):
            given = [by_source.get(source) for by_source in scores.values()]
            _bars(axis, [_written(score, measure) if score else None for score in given], source, place, len(sources))
        axis.set_title(name, fontsize=10, loc="left")
        axis.set_title(better, fontsize=8, loc="right", color=_FAINT)
        _frame(axis, bounded=measure != "mse_arcsinh")
    # A mark is a name, not a formula, whatever signs it has.
    axes[0].set_yticks(range(len(scores)), [*scores], parse_math=False, fontsize=9)
    axes[0].set_ylim(len(scores) - 0.5, -0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    title = "Each mark hidden, imputed from the others, and compared with its own track"
    figure.suptitle(title, fontsize=11, x=0.005, ha="left")
    figure.savefig(path, dpi=110)


def _written(score: Score, measure: str) -> tuple[float, str]:
    """A measure's length as a bar, and as text."""
    value: float | None = getattr(score, measure)
    if value is None:
        return 0.0, "undefined"
    return value, f"{value:.3f}" if measure == "mse_arcsinh" else f"{value:.2f}"


def _bars(axis: Axes, written: Sequence[tuple[float, str] | None], source: str, place: int, of: int) -> None:
    """One source's bar in each row, with its value at the end; nothing where there is no score."""
    label, colour = _SOURCES[source]
    thick = 0.8 / max(of, 1.4)  # a lone bar is no slab
    rows = np.arange(len(written)) + (place - (of - 1) / 2) * thick
    lengths = [bar[0] if bar else 0.0 for bar in written]
    axis.barh(rows, lengths, height=thick * 0.9, color=colour, label=label)
    for row, bar in zip(rows, written, strict=True):
        if bar:
            at = (max(bar[0], 0.0), row)
            axis.annotate(bar[1], at, (3, 0), textcoords="offset points", va="center", fontsize=8, color=_INK)


def _frame(axis: Axes, bounded: bool) -> None:
    """Correlations go up to 1 in every picture, so that pictures compare; all leave room for the numbers."""
    low, high = axis.get_xlim()
    if bounded:
        axis.set_xticks(np.arange(-1.0, 1.1, 0.5) if low < 0 else np.arange(0.0, 1.1, 0.2))
    axis.set_xlim(min(low, 0.0), 1.13 if bounded else max(high, 0.01) * 1.13)
    axis.axvline(0, color=_INK, linewidth=0.8)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
