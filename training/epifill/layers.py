"""Layers before the trained network: a common scale, and surroundings at several scales.

They have no trained weights, and are the same in training and in the exported graph.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn

from training.epifill.reference import KNOT_LEVELS, NARROWEST, Reference

STATISTICS = ("mean", "normal", "raw")
"""Channels of the panel per mark: the means over the samples of the normalised tracks, of their normal scores, and of
the tracks as they are, -log10 p-value."""

TAPS, DILATIONS = (3, 3, 3, 3, 5, 5), (1, 3, 9, 27, 81, 405)
"""A box of 3 bins, of 3 such boxes, and so on: means over 3, 9, 27, 81, 405 and 2025 bins for a few additions each.
Running sums would cost as little, but their rounding depends on where a tile begins."""

BOXES = tuple(int(width) for width in np.cumprod(TAPS))
PANEL_SHIFTS = (-14, -6, -2, 2, 6, 14)
HALO_BINS = BOXES[-1] // 2
"""Bins to either side that a bin's result depends on."""


def normal_scores() -> NDArray[np.float64]:
    """Standard normal quantile of each of KNOT_LEVELS, clipped at the ends; float64 (knots,)."""
    scores: NDArray[np.float64] = norm.ppf(np.clip(KNOT_LEVELS, 0.02, 1 - 3e-5))
    return scores


def cummax(values: Tensor, dim: int, step: float = 0.0) -> Tensor:
    """Cumulative maximum along an axis; with a `step`, each value exceeds the one before by at least that."""
    rows = list(values.unbind(dim))
    for i in range(1, len(rows)):
        rows[i] = rows[i].maximum(rows[i - 1] + step)
    return torch.stack(rows, dim)


def knots_of(quantiles: Tensor) -> Tensor:
    """Quantile functions (..., knots), -log10 p-value, as strictly rising knots in arcsinh; as `reference.knots`."""
    return cummax(torch.asinh(quantiles), -1, NARROWEST)


class Normaliser(nn.Module):
    """Give every track the reference's distribution, or a normal one: piecewise linear maps between knots.

    Below the first knot they are constant, beyond the last one parallel to arcsinh. The result for a mark without
    quantiles is meaningless; `own_features` masks it.
    """

    reference: Tensor
    scores: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.register_buffer("reference", torch.tensor(reference.knots, dtype=torch.float32))
        scores = np.broadcast_to(normal_scores(), reference.knots.shape)
        self.register_buffer("scores", torch.tensor(scores.copy(), dtype=torch.float32))

    def forward(self, signal: Tensor, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised signal and normal scores, each (batch, marks, bins), of a signal (batch, marks, bins)."""
        height, xs = torch.asinh(signal), knots_of(quantiles)
        normalised, scores = interp(height, xs, self.reference, self.scores)
        beyond = (height - xs[..., -1:]).clamp(min=0)
        return normalised + beyond, scores + beyond / 2


def interp(values: Tensor, xs: Tensor, *ys: Tensor) -> list[Tensor]:
    """Piecewise linear maps of values, constant beyond the ends: a sum of clipped ramps between each two knots.

    Parameters
    ----------
    values
        (batch, marks, bins).
    xs
        Strictly rising knots, (batch, marks, knots).
    ys
        For each map its values at the knots, (batch, marks, knots).

    Returns
    -------
    One (batch, marks, bins) per map.
    """
    mapped = [y[..., :1].expand_as(values) for y in ys]
    for k in range(xs.shape[-1] - 1):
        width = (xs[..., k + 1] - xs[..., k])[..., None]
        ramp = (values - xs[..., k, None]).clamp(min=0).minimum(width) / width
        mapped = [m + ramp * (y[..., k + 1] - y[..., k])[..., None] for m, y in zip(mapped, ys, strict=True)]
    return mapped


def surroundings(values: Tensor, there: Tensor) -> list[Tensor]:
    """Means of rows over the bins around each bin, at every scale of BOXES; bins without a value do not count.

    Parameters
    ----------
    values
        (batch, k * rows, bins), 0 where `there` is 0.
    there
        (batch, rows, bins), 1 = has a value.

    Returns
    -------
    One (batch, k * rows, bins) for each of BOXES, 0 where no bin has a value.
    """
    times = values.shape[1] // there.shape[1]
    means = []
    for taps, dilation in zip(TAPS, DILATIONS, strict=True):
        values, there = box(values, taps, dilation), box(there, taps, dilation)
        means.append(values / there.clamp(min=1e-6).repeat(1, times, 1))
    return means


def box(rows: Tensor, taps: int, dilation: int) -> Tensor:
    """Mean of `taps` bins that lie `dilation` apart, around each bin; 0 beyond the ends; (batch, rows, bins)."""
    bins = rows.shape[-1]
    padded = F.pad(rows, (taps // 2 * dilation,) * 2)
    total = padded[..., :bins]
    for tap in range(1, taps):
        total = total + padded[..., tap * dilation : tap * dilation + bins]
    return total / taps


def shift(rows: Tensor, bins: int) -> Tensor:
    """Shift rows left by `bins` (right if negative); 0 beyond the ends."""
    length = rows.shape[-1]
    reach = max(PANEL_SHIFTS)
    return F.pad(rows, (reach, reach))[..., reach + bins : reach + bins + length]
