"""Check the zoom levels of an untrusted bigWig: where they say that a track has values is where one looks for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.bigwig.blocks import Blocks
from app.core.bigwig.source import Source
from app.core.bigwig.trees import first_bases, last_bases, positions, read_index
from app.core.bigwig.validate import Header

_MAX_LEVELS = 32
_ZOOM = np.dtype([("reduction", "<u4"), ("reserved", "<u4"), ("data_at", "<u8"), ("index_at", "<u8")])
_RECORD = np.dtype(
    [
        ("chrom", "<u4"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("covered", "<u4"),
        ("minimum", "<f4"),
        ("maximum", "<f4"),
        ("sum", "<f4"),
        ("sum_of_squares", "<f4"),
    ]
)


@dataclass(frozen=True)
class Reach:
    """Stretches of the genome, sorted and apart: their first and last `positions`, int64 (stretches,)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def of(cls, first: NDArray[np.int64], last: NDArray[np.int64]) -> "Reach":
        """What sorted intervals reach, those that touch being joined."""
        gap = first[1:] != last[:-1]
        return cls(first[np.append(True, gap)[: len(first)]], last[np.append(gap, True)[: len(last)]])

    def holds(self, other: "Reach") -> bool:
        """Is all of another reach inside this one?"""
        home = np.searchsorted(self.first, other.first, side="right")  # the one after the one to be in
        return bool((other.last <= np.append(0, self.last)[home]).all())


def read_zoom_indexes(source: Source, header: Header, chromosomes: int) -> list[NDArray[np.void]]:
    """The index of each zoom level, finest first, as `read_index` gives it; raises NotABigWig."""
    if header.zoom_levels > _MAX_LEVELS:
        raise source.damaged(f"it claims to have {header.zoom_levels:,} zoom levels")
    zooms = source.array(Header.BYTES, _ZOOM, header.zoom_levels, "zoom levels")
    begin = Header.BYTES + zooms.nbytes
    if min(header.chromosomes_at, header.data_at, header.index_at) < begin:
        raise source.damaged("its zoom levels lie over other parts of it")
    if (np.diff(zooms["reduction"].astype(np.int64), prepend=0) <= 0).any():
        raise source.damaged("its zoom levels are not sorted")
    if (zooms["data_at"] > np.uint64(source.size)).any():
        raise source.damaged(f"its zoom levels point past its {source.size:,} bytes")
    return [read_index(source, at, "zoom index", chromosomes, counted=False) for at in zooms["index_at"].tolist()]


def read_zooms(
    source: Source, blocks: Blocks, levels: list[NDArray[np.void]], lengths: NDArray[np.int64]
) -> list[Reach]:
    """Check all records of all zoom levels, and give the reach of each.

    Parameters
    ----------
    source
        The file.
    blocks
        Unpacks its blocks.
    levels
        The index of each zoom level.
    lengths
        Of the chromosomes in bp, int64 (chromosomes,), by id.

    Raises
    ------
    NotABigWig
    """
    return [_read_level(source, blocks, index, lengths) for index in levels]


def _read_level(source: Source, blocks: Blocks, index: NDArray[np.void], lengths: NDArray[np.int64]) -> Reach:
    reaches = [Reach(np.empty(0, np.int64), np.empty(0, np.int64))]
    reached = 0  # where the records so far end
    for extents, unpacked in blocks.batches(index):
        sizes = np.array([len(block) for block in unpacked])
        if (sizes % _RECORD.itemsize).any() or not sizes.all():
            raise source.damaged("a zoom block has a broken record")
        records = np.frombuffer(b"".join(unpacked), _RECORD)
        chrom = records["chrom"]
        if (chrom >= len(lengths)).any():
            raise source.damaged("a zoom record is on a chromosome that it does not list")
        first, last = positions(chrom, records["start"]), positions(chrom, records["end"])
        if (records["end"] > lengths[chrom]).any() or (first > last).any():
            raise source.damaged("a zoom record passes the end of its chromosome")
        if first[0] < reached or (first[1:] < last[:-1]).any():
            raise source.damaged("its zoom records overlap or are not sorted")
        ends = np.cumsum(sizes) // _RECORD.itemsize
        begins = ends - sizes // _RECORD.itemsize
        if (first[begins] < first_bases(extents)).any() or (last[ends - 1] > last_bases(extents)).any():
            raise source.damaged("a zoom record lies outside of what the index says of its block")
        reached = last[-1]
        some = records["covered"] > 0
        reaches.append(Reach.of(first[some], last[some]))
    return Reach.of(np.concatenate([r.first for r in reaches]), np.concatenate([r.last for r in reaches]))
