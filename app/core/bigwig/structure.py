"""Is an uploaded bigWig sound in every part, so that libBigWig can neither crash on it nor misread it?

libBigWig trusts what a file says: ids, counts, offsets, extents. So all of it is checked here first, and what the track
holds is counted from the data itself.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.bigwig.blocks import Blocks, Intervals, read_intervals
from app.core.bigwig.source import Source
from app.core.bigwig.trees import POSITION_BITS, positions, read_chromosomes, read_index
from app.core.bigwig.validate import Header, Summary, no_values, read_header
from app.core.errors import BadTrackValues


class Coverage:
    """Where a track has values, in cells of 16 kb: runs of them, so that it takes no more room than the intervals."""

    _CELL_BITS = 14

    def __init__(self) -> None:
        self._firsts: list[NDArray[np.int64]] = []
        self._lasts: list[NDArray[np.int64]] = []

    def add(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        """Note sorted intervals, as `positions`, that lie behind all those before."""
        self._note(start >> self._CELL_BITS, (end - 1 >> self._CELL_BITS) + 1)

    def _note(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> None:
        gap = first[1:] > last[:-1]
        self._firsts.append(first[np.append(True, gap)])
        self._lasts.append(last[np.append(gap, True)])

    def may_cover(self, chromosome: int, start: int, end: int) -> bool:
        """False only if no value lies in bases `start` up to `end` of the chromosome with that id."""
        if len(self._firsts) > 1:
            first, last = np.concatenate(self._firsts), np.concatenate(self._lasts)
            self._firsts, self._lasts = [], []
            self._note(first, last)
        left = int(positions(chromosome, start)) >> self._CELL_BITS
        right = (int(positions(chromosome, end)) - 1 >> self._CELL_BITS) + 1
        run = int(np.searchsorted(self._lasts[0], left, side="right"))
        return run < len(self._firsts[0]) and bool(self._firsts[0][run] < right)


@dataclass(frozen=True)
class Structure:
    """What a sound bigWig holds."""

    version: int
    chromosomes: dict[str, int]
    """Names and lengths in bp, in the order of their ids in the file."""
    covered_bases: int
    """Bases with a value; NaN is none."""
    minimum: float
    maximum: float
    total: float
    """Sum over the covered bases of their values."""
    nan_items: int
    """Intervals whose value is NaN."""
    warnings: list[str]
    """What is odd but does no harm, a sentence each."""
    coverage: Coverage = field(default_factory=Coverage, compare=False, repr=False)
    """Where the values are."""
    ends: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Where the last value of each chromosome that has any ends, in bp."""


def check_structure(path: Path, name: str) -> Structure:
    """Check every part of an untrusted bigWig: after that, libBigWig reads it safely and truthfully.

    Parameters
    ----------
    path
        The file on disk.
    name
        What the user calls it, for the messages.

    Raises
    ------
    NotABigWig
        It is something else, cut off or damaged.
    EmptyTrack
        It has no bytes, or no values.
    BadTrackValues
        A value is infinite.
    """
    with path.open("rb") as file:
        source = Source(file, name)
        header = read_header(source)
        chromosomes = read_chromosomes(source, header.chromosomes_at)
        lengths = np.array(list(chromosomes.values()))
        index = read_index(source, header.index_at, len(lengths))
        _check_count(source, header, index)
        blocks = Blocks(source, header.buffer_bytes)
        _check_apart(source, index)
        tally = _Tally(source, list(chromosomes))
        for intervals in read_intervals(source, blocks, index, lengths):
            tally.add(intervals)
        closing = source.read(source.size - len(Header.CLOSING), len(Header.CLOSING), "end")
    if not tally.covered_bases:
        raise no_values(name)
    warnings = tally.warnings()
    if header.summary and not tally.agrees_with(header.summary):
        warnings.append("The file's own summary of its values is wrong; the values themselves are used.")
    if closing != Header.CLOSING:
        warnings.append("The file's last bytes are missing, but no value is.")
    return Structure(
        header.version,
        chromosomes,
        tally.covered_bases,
        tally.minimum,
        tally.maximum,
        tally.total,
        tally.nan_items,
        warnings,
        tally.coverage,
        tally.ends,
    )


def chromosomes_of(path: Path, name: str) -> dict[str, int]:
    """A file's chromosomes and their lengths in bp, looking at nothing else; raises NotABigWig or EmptyTrack."""
    with path.open("rb") as file:
        source = Source(file, name)
        return read_chromosomes(source, read_header(source).chromosomes_at)


def _check_count(source: Source, header: Header, index: NDArray[np.void]) -> None:
    """Compare the number of blocks that stands before the data with the index: some may be missing there."""
    count = int.from_bytes(source.read(header.data_at, 8, "data"), "little")
    first = int(index["offset"].min()) if len(index) else header.data_at + 8
    # bigtools before 0.5 wrote no number: its data begin where it should be.
    if first < header.data_at or (first >= header.data_at + 8 and count != len(index)):
        raise source.damaged(f"its index lists {len(index):,} data blocks but there are {count:,}")


def _check_apart(source: Source, blocks: NDArray[np.void]) -> None:
    """No two blocks may share bytes: only in a bomb would they."""
    blocks = blocks[np.argsort(blocks["offset"], kind="stable")]
    if (blocks["offset"][1:] < (blocks["offset"] + blocks["size"])[:-1]).any():
        raise source.damaged("its data blocks share bytes")


class _Tally:
    """What the intervals that were seen so far add up to."""

    def __init__(self, source: Source, chromosomes: list[str]) -> None:
        self._source = source
        self._chromosomes = chromosomes
        self._empty_items = 0
        self._nan_bases = 0
        self.nan_items = 0
        self.covered_bases = 0
        self.coverage = Coverage()
        self.ends: dict[str, int] = {}
        self.minimum, self.maximum = np.inf, -np.inf
        self.total = 0.0

    def add(self, items: Intervals) -> None:
        """Count some intervals.

        Raises
        ------
        BadTrackValues
            A value is infinite.
        """
        start, end, value = items.start, items.end, items.value
        width = end - start
        lowest, highest = float(value.min()), float(value.max())
        if not width.all() or not np.isfinite(lowest + highest):  # min and max are NaN if any value is
            if np.isinf(value).any():
                raise BadTrackValues(
                    f"'{self._source.name}' holds infinite values; replace them by a finite -log10 p-value.",
                    self._source.name,
                )
            missing, empty = np.isnan(value), width == 0
            self.nan_items += int(missing.sum())
            self._nan_bases += int(width[missing].sum())
            self._empty_items += int(empty.sum())
            kept = ~(missing | empty)
            if not kept.any():
                return
            start, end, value, width = start[kept], end[kept], value[kept], width[kept]
            lowest, highest = float(value.min()), float(value.max())
        self.covered_bases += int(width.sum())
        self.coverage.add(start, end)
        self.total += float((width * value).sum())
        self.minimum, self.maximum = min(self.minimum, lowest), max(self.maximum, highest)
        chromosome = start >> POSITION_BITS
        for last in np.flatnonzero(np.diff(chromosome, append=-1)).tolist():  # of each chromosome; they are sorted
            number = int(chromosome[last])
            self.ends[self._chromosomes[number]] = int(end[last] - positions(number, 0))

    def agrees_with(self, summary: Summary) -> bool:
        """Is the summary right, within what writers round? NaN intervals may count as covered there, or not."""
        if summary.covered_bases not in (self.covered_bases, self.covered_bases + self._nan_bases):
            return False
        if self.nan_items:
            return True  # writers' sums and extremes over NaN are anything
        largest = max(abs(self.minimum), abs(self.maximum), 1e-30)
        told = np.array([summary.minimum, summary.maximum, summary.total])
        seen = np.array([self.minimum, self.maximum, self.total])
        allowed = np.array(
            [1e-6 * largest, 1e-6 * largest, 1e-3 * abs(self.total) + 1e-6 * largest * self.covered_bases]
        )
        return bool((np.abs(told - seen) <= allowed).all())

    def warnings(self) -> list[str]:
        """A sentence on each oddity of the intervals."""
        found = []
        if self.nan_items:
            found.append(f"Intervals whose value is NaN, taken as not covered: {self.nan_items:,}.")
        if self._empty_items:
            found.append(f"Intervals of no length, left out: {self._empty_items:,}.")
        return found
