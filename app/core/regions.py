"""Regions of a genome, 0-based and half-open everywhere, and their bins."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.core.assemblies import Assembly
from app.core.errors import BadRegion
from app.core.positions import BLANK, read_position, read_span

PIECE_BINS = 4096
"""Bins of a piece of the grid on which tracks are stored and looked through: 16 KB."""

_SPELLING = re.compile(rf"(?P<chrom>[^:\s-]+)(?:(?P<between>{BLANK}*:{BLANK}*|{BLANK}+|-)(?P<ends>.+))?")
_DASHES = {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"} | {0x2026: ".."}
_AROUND_BP = 5_000
"""On either side of a position, in a sentence on how to ask for more than that."""


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

    Other ways of writing that leave no doubt are read, too: `CHR21`, `21`, blanks or a tab between the three, `..` or
    any dash between the ends, the numbers of `app.core.positions`.

    Raises
    ------
    BadRegion
        It cannot be read or in several ways, names no chromosome of the assembly, is one position, empty or backwards,
        or passes the chromosome's end.
    """
    shown = " ".join(text.split())[:80]
    match = _SPELLING.fullmatch(text.strip()[:200].translate(_DASHES))
    if not match:
        raise _unreadable(shown)
    chrom = _chromosome(match["chrom"], assembly)
    if chrom is None:
        raise BadRegion(
            f"'{match['chrom'][:40]}' is not a chromosome of {assembly.name};"
            f" it has chr1 to chr22, chrX, chrY and chrM.",
            shown,
        )
    length = assembly.length(chrom)
    if match["ends"] is None:
        return Region(chrom, 0, length)
    ends = _ends(match["ends"], grouped=":" in match["between"])
    if len(ends) == 1 and (position := read_position(ends[0])) is not None:
        around = Region(chrom, max(0, min(position, length) - _AROUND_BP), min(position + _AROUND_BP, length))
        raise BadRegion(
            f"'{shown}' is one position, but a region has a start and an end; write {around} for what is around it.",
            shown,
        )
    span = read_span(*ends) if len(ends) == 2 else None
    if span is None:
        raise _unreadable(shown)
    start, end = span
    if max(span) > length:
        raise BadRegion(
            f"Region {chrom}:{start:,}-{end:,} passes the end of {chrom}, which has {length:,} bp in {assembly.name};"
            f" end it at {length:,} or before.",
            shown,
        )
    if start > end:
        raise BadRegion(f"'{shown}' is backwards; write {Region(chrom, end, start)}, the lower end first.", shown)
    if start == end:
        base = Region(chrom, min(start, length - 1), min(start, length - 1) + 1)
        raise BadRegion(
            f"'{shown}' is empty, as the end does not belong to a region; write {base} for one base.", shown
        )
    return Region(chrom, start, end)


def _unreadable(shown: str) -> BadRegion:
    return BadRegion(f"'{shown}' is not a region; write chr21 or chr21:33,750,000-33,800,000.", shown)


def _chromosome(name: str, assembly: Assembly) -> str | None:
    """The assembly's spelling of a chromosome, in whatever case it was written."""
    spellings = (name, name.upper(), name.lower(), re.sub("(?i)^chr", "", name).upper())
    return next((found for spelling in spellings if (found := assembly.find(spelling))), None)


def _ends(text: str, *, grouped: bool) -> list[str]:
    """What stands on either side of a dash, `..` or blanks; `grouped`: blanks may part a number's thousands, too."""
    parts = re.split(rf"{BLANK}*(?:-|\.\.){BLANK}*", text)
    if len(parts) > 1 or (grouped and re.fullmatch("[0-9]{1,3}( [0-9]{3})+", text)):
        return parts
    return re.split("[ \t]+", text)
