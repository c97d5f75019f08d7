"""The quantile function of a whole track: what makes tracks of different strength comparable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = (
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95,
    0.96, 0.97, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9965, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 1.0,
)  # fmt: skip
"""Levels at which every track's quantile function is known; a model takes its own from among them."""

_MOST_PIECES = 1024
"""Most pieces of a track that are looked at: 4.2 million bins, in 17 MB."""

_Piece = TypeVar("_Piece")


@dataclass(frozen=True)
class Distribution:
    """How the values of a whole track are distributed.

    Attributes
    ----------
    quantiles
        float32 (levels,), -log10 p-value at each of LEVELS; NaN for a track without values.
    covered_fraction
        Share of the assembly's bins that have a value.
    values
        float32 (bins,), the covered bins that were looked at; none where only the figures were kept.
    """

    quantiles: NDArray[np.float32]
    covered_fraction: float
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32), compare=False, repr=False)


def quantile_function(values: ArrayLike) -> NDArray[np.float32]:
    """Value at each of LEVELS, float32 (levels,), over the values that are not NaN; NaN where there is none."""
    given = np.asarray(values)
    there = given[~np.isnan(given)]
    if not len(there):
        return np.full(len(LEVELS), np.nan, dtype=np.float32)
    return np.asarray(np.quantile(there, LEVELS), dtype=np.float32)


def look_through(
    pieces: Sequence[_Piece], read: Callable[[_Piece], NDArray[np.float32]], assembly_bins: int
) -> Distribution:
    """The distribution of a track, from evenly spread pieces of it: every k-th, with the smallest k that does.

    The one rule for it, so that a track has one quantile function whatever region is asked for, and however.

    Parameters
    ----------
    pieces
        Every piece of the grid of PIECE_BINS that may hold a value of the track, in genome order.
    read
        The bins of a piece, float32 (bins,), NaN = not covered.
    assembly_bins
        Bins of the whole assembly.
    """
    step = max(1, -(-len(pieces) // _MOST_PIECES))
    for first in range(step):  # the first pieces may all turn out empty
        spread = pieces[first::step]
        values = np.concatenate([np.empty(0, np.float32), *map(read, spread)])
        values = values[~np.isnan(values)]
        if len(values):
            share = len(values) * len(pieces) / len(spread) / assembly_bins
            return Distribution(quantile_function(values), share, values)
    return Distribution(quantile_function([]), 0.0)
