"""The one travelling object: the signal of some marks over one region."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.regions import Region


@dataclass(frozen=True)
class Signal:
    """Signal of several marks over the bins of one region.

    Attributes
    ----------
    values
        float32 (marks, bins), -log10 p-value. NaN = not measured: not assayed, or not covered. Never 0 for that.
    marks
        Names of the rows.
    region
        From the first bin's start to the last bin's end, on bin borders; only a chromosome's last bin is shorter.
    bin_size_bp
        Width of a bin.
    """

    values: NDArray[np.float32]
    marks: tuple[str, ...]
    region: Region
    bin_size_bp: int

    def __post_init__(self) -> None:
        shape = (len(self.marks), self.region.n_bins(self.bin_size_bp))
        if self.values.shape != shape or self.values.dtype != np.float32:
            raise ValueError(f"values are {self.values.dtype} {self.values.shape}, not float32 {shape}")
        if self.region.start % self.bin_size_bp:
            raise ValueError(f"{self.region} does not start on a border of {self.bin_size_bp}-bp bins")
        if len(set(self.marks)) != len(self.marks):
            raise ValueError(f"a mark stands twice in {self.marks}")

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.values.shape[1])

    def row(self, mark: str) -> NDArray[np.float32]:
        """Values of one mark, float32 (bins,)."""
        row: NDArray[np.float32] = self.values[self.marks.index(mark)]
        return row

    def select(self, marks: Sequence[str]) -> "Signal":
        """The same region with these marks, in this order; a mark that is not there becomes a row of NaN."""
        rows = np.full((len(marks), self.n_bins), np.nan, dtype=np.float32)
        for i, mark in enumerate(marks):
            if mark in self.marks:
                rows[i] = self.row(mark)
        return Signal(rows, tuple(marks), self.region, self.bin_size_bp)

    def crop(self, region: Region) -> "Signal":
        """The part of the signal within a region on bin borders that lies inside this one."""
        first = (region.start - self.region.start) // self.bin_size_bp
        last = first + region.n_bins(self.bin_size_bp)
        return Signal(self.values[:, first:last], self.marks, region, self.bin_size_bp)

    def covered(self) -> NDArray[np.bool_]:
        """Which bins have a value of at least one mark, bool (bins,)."""
        return np.asarray(~np.isnan(self.values).all(axis=0))


def runs(present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one-past-last index of every run of True."""
    edges = np.flatnonzero(np.diff(present.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
