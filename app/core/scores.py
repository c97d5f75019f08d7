"""How well an imputed track agrees with the measured one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """Agreement of one imputed track with the truth, over the bins that have both.

    Attributes
    ----------
    pearson, spearman
        Correlations of the values as they are (-log10 p); None where a side is constant or has under 2 bins.
    pearson_arcsinh, mse_arcsinh
        Pearson correlation and mean squared error of arcsinh(-log10 p), which keeps single peaks from deciding.
    bins
        Number of bins compared.
    every
        Every so many bins one was compared: 1 = all.
    reason
        Why a measure is None, in one sentence.
    """

    pearson: float | None
    pearson_arcsinh: float | None
    spearman: float | None
    mse_arcsinh: float | None
    bins: int
    every: int = 1
    reason: str | None = None


MOST_SCORED_BINS = 4_000_000
"""Most bins of a track that are compared, so that memory does not grow with the genome."""


def scored_every(bins: int) -> int:
    """Of a track of so many bins, every how many one is compared: 1, or the least that keeps to MOST_SCORED_BINS."""
    return max(1, -(-bins // MOST_SCORED_BINS))


def pearson(x: NDArray[np.floating], y: NDArray[np.floating]) -> float | None:
    """Pearson correlation of two vectors without NaN, computed in float64; None if one is constant."""
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return None
    a = x.astype(np.float64) - x.mean(dtype=np.float64)
    b = y.astype(np.float64) - y.mean(dtype=np.float64)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip((a @ b) / scale, -1.0, 1.0)) if scale > 0 else None


def ranks(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks counted from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: NDArray[np.float64] = last - (counts - 1) / 2
    return mean_rank[inverse]


def score(truth: NDArray[np.floating], imputed: NDArray[np.floating], every: int = 1) -> Score:
    """Compare an imputed track with the measured one.

    Parameters
    ----------
    truth, imputed
        Both (bins,), -log10 p-value. Bins with NaN on either side are left out.
    every
        What to say of how many bins these are of all; they are all compared.
    """
    both = ~(np.isnan(truth) | np.isnan(imputed))
    x, y = truth[both], imputed[both]
    if not len(x):
        measured = "no bin was measured" if np.isnan(truth).all() else "no track that was imputed from covers a bin"
        reason = f"{measured} where it could be compared."
        return Score(None, None, None, None, 0, every, reason)
    ax, ay = np.arcsinh(x, dtype=np.float64), np.arcsinh(y, dtype=np.float64)
    return Score(
        pearson=pearson(x, y),
        pearson_arcsinh=pearson(ax, ay),
        spearman=pearson(ranks(x), ranks(y)),
        mse_arcsinh=float(np.mean((ax - ay) ** 2)),
        bins=len(x),
        every=every,
        reason=_undefined(x, y),
    )


def _undefined(truth: NDArray[np.floating], imputed: NDArray[np.floating]) -> str | None:
    """Why there is no correlation; None if there is one."""
    if len(truth) < 2:
        return "one bin has no correlation."
    for values, name in ((truth, "measured"), (imputed, "imputed")):
        if values.min() == values.max():
            return f"the {name} track is {values[0]:g} in every bin that was compared, so it has no correlation."
    return None
