"""A benchmark's figures: accuracy per mark and against the number of observed marks, and how intervals hold."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from training.common.metrics import COMPARED
from training.common.results import Result, average


def draw_marks(results: Sequence[Result], methods: Sequence[str], path: Path) -> None:
    """Bars of every measure by mark, a bar per method: one sample left out, each mark hidden alone."""
    marks = list(dict.fromkeys(mark for result in results for mark in result.marks))
    figure = Figure(figsize=(3 + (0.6 + 0.12 * len(methods)) * len(marks), 2.2 * len(COMPARED)), layout="constrained")
    width = 0.85 / len(methods)
    axes = figure.subplots(len(COMPARED), sharex=True)
    for axis, measure in zip(axes, COMPARED, strict=True):
        for i, (method, colour) in enumerate(_coloured(methods)):
            own = [result for result in results if result.method == method]
            heights = [average(own, measure, mark) for mark in marks]
            places = np.arange(len(marks)) + (i - (len(methods) - 1) / 2) * width
            axis.bar(places, _numbers(heights), width, color=colour, label=method)
        axis.set_ylabel(measure)
        axis.set_xticks(np.arange(len(marks)), marks)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(path, dpi=110)


def draw_sizes(results: Sequence[Result], methods: Sequence[str], path: Path) -> None:
    """Lines of every measure against the number of observed marks, a line per method."""
    sizes = sorted({len(result.observed) for result in results})
    figure = Figure(figsize=(3 * len(COMPARED), 3.6), layout="constrained")
    axes = figure.subplots(1, len(COMPARED))
    for axis, measure in zip(axes, COMPARED, strict=True):
        for method, colour in _coloured(methods):
            own = [result for result in results if result.method == method]
            means = [average([r for r in own if len(r.observed) == size], measure) for size in sizes]
            axis.plot(sizes, _numbers(means), "o-", color=colour, label=method, markersize=4)
        axis.set(title=measure, xlabel="observed marks", xticks=sizes)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(path, dpi=110)


def draw_reliability(results: Sequence[Result], method: str, path: Path) -> None:
    """Reliability of one method's intervals: the share of true values inside, and predicted against true signal.

    Both by tenths of predicted signal, a line per mark, the mean over the samples.
    """
    own = [result for result in results if result.method == method and result.reliability]
    marks = list(dict.fromkeys(mark for result in own for mark in result.reliability))
    nominal = next(result.nominal for result in own if result.nominal)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    shares, levels = figure.subplots(1, 2)
    shares.axhspan(nominal - 0.05, nominal + 0.05, color="#e5e7eb")
    shares.axhline(nominal, color="black", linestyle="--", linewidth=1)
    for mark, colour in _coloured(marks):
        tracks = [result.reliability[mark] for result in own if result.reliability.get(mark)]
        fields = {
            field: [_mean(getattr(group, field) for group in groups) for groups in zip(*tracks, strict=False)]
            for field in ("coverage", "predicted", "true")
        }
        shares.plot(range(1, len(fields["coverage"]) + 1), fields["coverage"], "o-", color=colour, label=mark)
        levels.plot(fields["predicted"], fields["true"], "o-", color=colour, markersize=4)
    reach = [*levels.get_xlim(), *levels.get_ylim()]
    ends = (max(0.02, min(reach)), max(reach))
    levels.plot(ends, ends, "--", color="black", linewidth=1)
    levels.set(xscale="log", yscale="log", xlabel="mean predicted, -log10 p", ylabel="mean true, -log10 p")
    shares.set(xlabel="tenth of bins by predicted signal", ylabel="share of the truth held", ylim=(0, 1))
    shares.legend(frameon=False, loc="lower left")
    for axis in (shares, levels):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{method}: intervals that mean to hold {nominal:.0%}", fontsize=10)
    figure.savefig(path, dpi=110)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _coloured(methods: Sequence[str]) -> list[tuple[str, tuple[float, float, float, float]]]:
    return [(method, mpl.colormaps["tab20"](i % 20)) for i, method in enumerate(methods)]


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]
