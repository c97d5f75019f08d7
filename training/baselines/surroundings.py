"""Features of a track around a bin: single values, and means over wider stretches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Surroundings:
    """The bins around a bin that are used.

    Attributes
    ----------
    offsets
        Single bins.
    widths
        Stretches centred on the bin; odd.
    """

    offsets: tuple[int, ...]
    widths: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.offsets) + len(self.widths)

    @property
    def reach(self) -> int:
        """Largest distance of a bin that is used."""
        return max(*map(abs, self.offsets), *(width // 2 for width in self.widths))


class Track:
    """A track with the surroundings of each of its bins; beyond a region's end nothing is measured.

    Parameters
    ----------
    values
        float32 (bins,); NaN = not measured.
    offsets
        First column of every region and the number of columns, int64 (regions + 1,).
    surroundings
        The bins that are used.
    """

    def __init__(self, values: NDArray[np.float32], offsets: NDArray[np.int64], surroundings: Surroundings) -> None:
        self._surroundings, gap = surroundings, surroundings.reach
        self._places = (
            np.arange(len(values)) + gap * np.searchsorted(offsets[1:], np.arange(len(values)), "right") + gap
        )
        self._spread = np.full(len(values) + gap * len(offsets), np.nan, dtype=np.float32)
        self._spread[self._places] = values
        there = ~np.isnan(self._spread)
        self._sums = _cumulative(np.where(there, self._spread, 0))
        self._counts = _cumulative(there)

    def features(self, columns: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Surroundings of some bins, float32 (len(surroundings), bins); a mean is of the measured bins, or NaN."""
        places = self._places[columns]
        seen = np.empty((len(self._surroundings), len(places)), dtype=np.float32)
        for row, offset in zip(seen, self._surroundings.offsets, strict=False):
            np.take(self._spread, places + offset, out=row)
        for row, width in zip(seen[len(self._surroundings.offsets) :], self._surroundings.widths, strict=True):
            first, last = places - width // 2, places + width // 2 + 1
            total, count = self._sums[last] - self._sums[first], self._counts[last] - self._counts[first]
            row[:] = np.divide(total, count, out=np.full(len(places), np.nan), where=count > 0)
        return seen


def _cumulative(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
