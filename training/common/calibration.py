"""How well the intervals of an imputed track hold the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUPS = 10
"""Groups of equally many bins, by predicted signal."""


@dataclass(frozen=True)
class Reliability:
    """Intervals of the bins of one group of predicted signal.

    Attributes
    ----------
    bins
        How many.
    predicted, true
        Means, -log10 p-value.
    coverage
        Share of the bins whose truth lies within the interval, bounds included.
    width
        Mean of upper - lower, -log10 p-value.
    """

    bins: int
    predicted: float
    true: float
    coverage: float
    width: float


def reliability(
    truth: NDArray[np.floating],
    imputed: NDArray[np.floating],
    lower: NDArray[np.floating],
    upper: NDArray[np.floating],
) -> list[Reliability]:
    """Compare intervals with the truth, by groups of rising predicted signal; all -log10 p-value, (bins,).

    Bins with NaN on any side are left out; of fewer bins than groups, each is a group.
    """
    there = ~np.isnan(np.stack([truth, imputed, lower, upper])).any(axis=0)
    t, p, low, high = (side[there].astype(np.float64) for side in (truth, imputed, lower, upper))
    groups = np.array_split(np.argsort(p, kind="stable"), min(GROUPS, max(1, len(p))))
    return [
        Reliability(
            bins=len(group),
            predicted=float(p[group].mean()),
            true=float(t[group].mean()),
            coverage=float(np.mean((low[group] <= t[group]) & (t[group] <= high[group]))),
            width=float(np.mean(high[group] - low[group])),
        )
        for group in groups
        if len(group)
    ]


def coverage(groups: list[Reliability]) -> float | None:
    """Share of all bins whose truth lies within the interval; None without bins."""
    bins = sum(group.bins for group in groups)
    return sum(group.coverage * group.bins for group in groups) / bins if bins else None
