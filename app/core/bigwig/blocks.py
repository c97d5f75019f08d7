"""Read all data blocks of an untrusted bigWig and check every interval."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.bigwig.source import Source
from app.core.bigwig.trees import MAX_BLOCK_BYTES, first_bases, last_bases, positions

_BATCH_BYTES = 2**20  # blocks that are worked on together: the arrays stay in the processor's cache
_SECTION = np.dtype(
    [
        ("chrom", "<u4"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("step", "<u4"),
        ("span", "<u4"),
        ("kind", "u1"),
        ("reserved", "u1"),
        ("count", "<u2"),
    ]
)
_BED_GRAPH, _VARIABLE_STEP, _FIXED_STEP = 1, 2, 3
_ITEM = {
    _BED_GRAPH: np.dtype([("start", "<u4"), ("end", "<u4"), ("value", "<f4")]),
    _VARIABLE_STEP: np.dtype([("start", "<u4"), ("value", "<f4")]),
    _FIXED_STEP: np.dtype([("value", "<f4")]),
}


class Blocks:
    """Unpacks blocks, up to a limit for each and for all together.

    Parameters
    ----------
    source
        The file.
    buffer_bytes
        Most bytes of an unpacked block, as the header says; 0 if blocks are not compressed.
    """

    def __init__(self, source: Source, buffer_bytes: int) -> None:
        if buffer_bytes > MAX_BLOCK_BYTES:
            raise source.damaged(f"it claims to have blocks of {buffer_bytes:,} bytes")
        self._source = source
        self._buffer_bytes = buffer_bytes
        # A track of zeros by pyBigWig unpacks to 290 times its size; zlib can reach 1,032 times.
        self._bytes_left = max(2**26, 600 * source.size)

    def batches(self, index: NDArray[np.void]) -> Iterator[tuple[NDArray[np.void], list[bytes]]]:
        """The records of an index and their unpacked blocks, about `_BATCH_BYTES` at a time."""
        first, blocks, size = 0, [], 0
        for last, (offset, packed) in enumerate(zip(index["offset"].tolist(), index["size"].tolist(), strict=True), 1):
            block = self._unpack(self._source.read(offset, packed, "data block"))
            blocks.append(block)
            size += len(block)
            if size >= _BATCH_BYTES or last == len(index):
                yield index[first:last], blocks
                first, blocks, size = last, [], 0

    def _unpack(self, packed: bytes) -> bytes:
        block = packed
        if self._buffer_bytes:
            stream = zlib.decompressobj()
            try:
                block = stream.decompress(packed, self._buffer_bytes)
                # A block that just fills the buffer may have its checksum still unread.
                excess = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
            except zlib.error:
                raise self._source.damaged("a data block does not unpack") from None
            if excess or not stream.eof:
                raise self._source.damaged("a data block does not unpack to the size that the header allows")
            if stream.unused_data:
                raise self._source.damaged("a data block is shorter than its index says")
        self._bytes_left -= len(block)
        if self._bytes_left < 0:
            raise self._source.damaged("it unpacks to far more than a track of its size can")
        return block


@dataclass(frozen=True)
class Intervals:
    """One or more intervals, sorted and not overlapping, each array (intervals,)."""

    start: NDArray[np.int64]
    """`positions`, which hold the chromosome too."""
    end: NDArray[np.int64]
    value: NDArray[np.float32]


def read_intervals(
    source: Source, blocks: Blocks, index: NDArray[np.void], lengths: NDArray[np.int64]
) -> Iterator[Intervals]:
    """All intervals of a track in order, checked against the index and the chromosomes.

    Parameters
    ----------
    source
        The file.
    blocks
        Unpacks its blocks.
    index
        Its blocks, as `read_index` gives them.
    lengths
        Of the chromosomes in bp, int64 (chromosomes,), by id.

    Raises
    ------
    NotABigWig
    """
    reached = 0  # where the intervals so far end
    for records, unpacked in blocks.batches(index):
        if min(map(len, unpacked)) < _SECTION.itemsize:
            raise source.damaged("a data block is shorter than its own header")
        heads = np.frombuffer(b"".join([block[: _SECTION.itemsize] for block in unpacked]), _SECTION)
        _check_heads(source, heads, records)
        counts = heads["count"].astype(np.int64)
        if (_item_bytes(heads["kind"]) * counts + _SECTION.itemsize != [len(block) for block in unpacked]).any():
            raise source.damaged("a data block does not hold as many intervals as it says")
        items = _items(heads, unpacked)
        start, end = items.start, items.end
        if not len(start):
            continue
        if (start > end).any():
            raise source.damaged("an interval ends before it starts")
        if start[0] < reached or (start[1:] < end[:-1]).any():
            raise source.damaged("its intervals overlap or are not sorted")
        filled = counts > 0  # writers leave empty blocks behind
        records, lasts = records[filled], np.cumsum(counts)[filled] - 1
        firsts = lasts + 1 - counts[filled]
        # As they are sorted, the others end before the last one of each block does.
        if (end[lasts] > positions(records["chrom"], lengths[records["chrom"]])).any():
            raise source.damaged("an interval passes the end of its chromosome")
        if (start[firsts] < first_bases(records)).any() or (end[lasts] > last_bases(records)).any():
            raise source.damaged("an interval lies outside of what the index says of its block")
        reached = end[-1]
        yield items


def _check_heads(source: Source, heads: NDArray[np.void], records: NDArray[np.void]) -> None:
    """Each block's own header must be possible and say what the index says."""
    if not ((heads["kind"] >= _BED_GRAPH) & (heads["kind"] <= _FIXED_STEP)).all():
        raise source.damaged("a data block is of a type that does not exist")
    if (
        (heads["chrom"] != records["chrom"]).any()
        or (heads["chrom"] != records["last_chrom"]).any()
        or (heads["start"] != records["start"]).any()
        or (heads["end"] != records["end"]).any()
    ):
        raise source.damaged("a data block is not the one that the index says")
    if ((heads["kind"] != _BED_GRAPH) & (heads["span"] == 0)).any():
        raise source.damaged("a data block has intervals of no length")


def _item_bytes(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.array([0, *(_ITEM[kind].itemsize for kind in sorted(_ITEM))])[kinds]


def _items(heads: NDArray[np.void], unpacked: list[bytes]) -> Intervals:
    """The items of some blocks."""
    counts = heads["count"].astype(np.int64)
    total = int(counts.sum())
    start, end, value = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.float32)
    for kind in np.unique(heads["kind"]).tolist():
        ours = heads["kind"] == kind
        here: slice | NDArray[np.bool_] = slice(None) if ours.all() else np.repeat(ours, counts)
        number, step, span = counts[ours], heads["step"][ours].astype(np.int64), heads["span"][ours].astype(np.int64)
        payload = b"".join([unpacked[i][_SECTION.itemsize :] for i in np.flatnonzero(ours).tolist()])
        items = np.frombuffer(payload, _ITEM[kind])
        value[here] = items["value"]
        chromosome = positions(heads["chrom"][ours], 0)
        if kind == _FIXED_STEP:
            begun = np.cumsum(number) - number  # items before each block
            origin = chromosome + heads["start"][ours] - begun * step
            starts = np.repeat(step, number) * np.arange(len(items)) + np.repeat(origin, number)
        else:
            starts = items["start"] + np.repeat(chromosome, number)
        start[here] = starts
        end[here] = (
            items["end"] + np.repeat(chromosome, number) if kind == _BED_GRAPH else starts + np.repeat(span, number)
        )
    return Intervals(start, end, value)
