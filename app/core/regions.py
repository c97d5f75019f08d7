"""Regions of a genome, 0-based and half-open everywhere, and their bins."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.core.assemblies import Assembly
from app.core.errors import BadRegion

PIECE_BINS = 4096
"""Bins of a piece of the grid on which tracks are stored and looked through: 16 KB."""

_SPELLING = re.compile(r"(?P<chrom>[^:\s]+?)(?::(?P<start>[\d,]+)-(?P<end>[\d,]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of one chromosome: bases `start` (counted from 0) up to, but without, `end`."""

    chrom: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise BadRegion(f"Region {self} is empty or backwards; its start must lie before its end.", str(self))

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start:,}-{self.end:,}"

    def n_bins(self, bin_size_bp: int) -> int:
        """How many bins of the chromosome's grid the region touches."""
        return -(-self.end // bin_size_bp) - self.start // bin_size_bp

    def snap(self, bin_size_bp: int, chrom_length: int) -> "Region":
        """The region widened to whole bins; a chromosome's last bin ends with the chromosome."""
        start = self.start // bin_size_bp * bin_size_bp
        end = -(-self.end // bin_size_bp) * bin_size_bp
        return Region(self.chrom, start, min(end, chrom_length))

    def extend(self, bp: int, chrom_length: int) -> "Region":
        """The region widened on both sides by `bp`, as far as the chromosome goes."""
        return Region(self.chrom, max(0, self.start - bp), min(self.end + bp, chrom_length))

    def overlaps(self, other: "Region") -> bool:
        """Whether the two share a base."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end

    def pieces(self, bp: int) -> Iterator["Region"]:
        """The region cut into pieces of `bp` bases; the last may be shorter."""
        for start in range(self.start, self.end, bp):
            yield Region(self.chrom, start, min(start + bp, self.end))


def join_regions(regions: Iterable[Region], assembly: Assembly, gap_bp: int = 0) -> list[Region]:
    """Regions in the assembly's order; those that overlap, touch, or lie at most `gap_bp` apart become one."""
    order = list(assembly.chromosomes)
    joined: list[Region] = []
    for region in sorted(regions, key=lambda r: (order.index(r.chrom), r.start)):
        last = joined[-1] if joined else None
        if last and last.chrom == region.chrom and region.start - last.end <= gap_bp:
            joined[-1] = Region(last.chrom, last.start, max(last.end, region.end))
        else:
            joined.append(region)
    return joined


def join_pieces(pieces: Iterable[Region], most_bp: int) -> Iterator[Region]:
    """Pieces in genome order, those that touch as one region of at most `most_bp` (or one piece)."""
    run: Region | None = None
    for piece in pieces:
        if run and (run.chrom, run.end) == (piece.chrom, piece.start) and piece.end - run.start <= most_bp:
            run = Region(run.chrom, run.start, piece.end)
        else:
            if run:
                yield run
            run = piece
    if run:
        yield run


def parse_region(text: str, assembly: Assembly) -> Region:
    """Read `chr21` (a whole chromosome) or `chr21:33,750,000-33,800,000` (0-based, half-open).

    Raises
    ------
    BadRegion
        It cannot be read, names no chromosome of the assembly, is empty, or passes the chromosome's end.
    """
    match = _SPELLING.fullmatch(text.strip()[:200])
    if not match:
        raise BadRegion(f"'{text[:80]}' is not a region; write chr21 or chr21:33,750,000-33,800,000.", text[:80])
    chrom = assembly.find(match["chrom"])
    if chrom is None:
        raise BadRegion(
            f"'{match['chrom'][:40]}' is not a chromosome of {assembly.name};"
            f" it has chr1 to chr22, chrX, chrY and chrM.",
            text[:80],
        )
    length = assembly.length(chrom)
    if match["start"] is None:
        return Region(chrom, 0, length)
    digits = [match[side].replace(",", "") for side in ("start", "end")]
    if not all(digits) or max(map(len, digits)) > 18:
        raise BadRegion(f"'{text[:80]}' is not a region; write chr21 or chr21:33,750,000-33,800,000.", text[:80])
    start, end = map(int, digits)
    region = Region(chrom, start, end)
    if end > length:
        raise BadRegion(
            f"Region {region} passes the end of {chrom}, which has {length:,} bp in {assembly.name};"
            f" end it at {length:,} or before.",
            text[:80],
        )
    return region
