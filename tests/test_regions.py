from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.assemblies import HG19
from app.core.errors import BadRegion
from app.core.regions import Region, parse_region


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chr21:33,750,000-33,800,000", Region("chr21", 33_750_000, 33_800_000)),
        ("chr21:0-1", Region("chr21", 0, 1)),
        (" 21:10-20 ", Region("chr21", 10, 20)),
        ("MT", Region("chrM", 0, 16_571)),
        ("chrM:16570-16571", Region("chrM", 16_570, 16_571)),
    ],
)
def test_reads_regions(text: str, region: Region) -> None:
    assert parse_region(text, HG19) == region


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a region"),
        ("chr21:", "is not a region"),
        ("chr21:1-", "is not a region"),
        ("chr21:,-,", "is not a region"),
        ("chr21:-5-10", "is not a region"),
        ("chr21:1e3-2e3", "is not a region"),
        ("chr21:1-9999999999999999999999", "is not a region"),
        ("chr21:٣-٤", "is not a region"),
        ("chr99:1-2", "not a chromosome of hg19"),
        ("chr21:20-10", "empty or backwards"),
        ("chr21:20-20", "empty or backwards"),
        ("chr21:48,129,800-48,129,896", "48,129,895 bp"),
        ("chr21\n:1-2", "is not a region"),
        ("x" * 5000, "not a chromosome"),
    ],
)
def test_refuses_what_is_no_region(text: str, says: str) -> None:
    with pytest.raises(BadRegion, match=says) as caught:
        parse_region(text, HG19)
    assert len(str(caught.value)) < 300


@given(st.integers(0, 16_570), st.integers(1, 16_571), st.integers(1, 1000))
def test_snaps_outwards_to_whole_bins_within_the_chromosome(start: int, width: int, size: int) -> None:
    region = Region("chrM", start, min(start + width, 16_571))
    whole = region.snap(size, 16_571)
    assert whole.start <= region.start < region.end <= whole.end <= 16_571
    assert whole.start % size == 0
    assert whole.end % size == 0 or whole.end == 16_571
    assert whole.n_bins(size) == region.n_bins(size)
    assert region.start - whole.start < size
    assert whole.end - region.end < size


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(1, 300))
def test_pieces_cover_the_region_without_overlap(start: int, width: int, size: int) -> None:
    pieces = list(Region("chr1", start, start + width).pieces(size))
    assert (pieces[0].start, pieces[-1].end) == (start, start + width)
    assert all(a.end == b.start for a, b in pairwise(pieces))
    assert all(piece.end - piece.start == size for piece in pieces[:-1])
