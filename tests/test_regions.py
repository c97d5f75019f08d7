from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.assemblies import HG19
from app.core.errors import BadRegion
from app.core.regions import Region, parse_region

LOCUS = Region("chr21", 33_750_000, 33_800_000)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chr21:33,750,000-33,800,000", LOCUS),
        ("chr21:0-1", Region("chr21", 0, 1)),
        (" 21:10-20 ", Region("chr21", 10, 20)),
        ("MT", Region("chrM", 0, 16_571)),
        ("chrM:16570-16571", Region("chrM", 16_570, 16_571)),
        ("CHR21:33750000-33800000", LOCUS),
        ("Chr21", Region("chr21", 0, 48_129_895)),
        ("x", Region("chrX", 0, 155_270_560)),
        ("chrm", Region("chrM", 0, 16_571)),
        ("21:33750000..33800000", LOCUS),
        ("chr21 33750000 33800000", LOCUS),
        ("chr21\t33750000\t33800000", LOCUS),
        ("chr21: 33750000 33800000", LOCUS),
        ("chr21 33 750", Region("chr21", 33, 750)),
        ("  21 : 33750000 - 33800000 ", LOCUS),
        ("chr21-33750000-33800000", LOCUS),
        ("chr21:33750000\u201333800000", LOCUS),
        ("chr21:33750000 \u2212 33800000", LOCUS),
        ("chr21:33750000\u202633800000", LOCUS),
        ("chr21:33.75M-33.8M", LOCUS),
        ("chr21:33.75 Mb - 33.8 Mb", LOCUS),
        ("chr21:33.75-33.8Mbp", LOCUS),
        ("chr21:33750k-33800kb", LOCUS),
        ("chr21:33750000-33.8m", LOCUS),
        ("chr21:0-34M", Region("chr21", 0, 34_000_000)),
        ("chr21:33750000-33800000 bp", LOCUS),
        ("chr21:33'750'000-33\u2019800\u2019000", LOCUS),
        ("chr21:33 750 000-33 800 000", LOCUS),
        ("chr21:33\u202f750\u202f000 33\u2009800\u2009000", LOCUS),
        ("chr21:33_750_000-33_800_000", LOCUS),
        ("chr21:33.750.000-33.800.000", LOCUS),
    ],
)
def test_reads_regions(text: str, region: Region) -> None:
    assert parse_region(text, HG19) == region


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a region; write chr21 or chr21:33,750,000-33,800,000"),
        ("chr21:", "is not a region"),
        ("chr21:1-", "is not a region"),
        ("chr21:,-,", "is not a region"),
        ("chr21:-5-10", "is not a region"),
        ("chr21:1e3-2e3", "is not a region"),
        ("chr21:1-9999999999999999999999", "is not a region"),
        ("chr21:1-9999999999999999999999M", "is not a region"),
        ("chr21:٣-٤", "is not a region"),
        ("chr21:1-2-3", "is not a region"),
        ("chr21:1 2 3", "is not a region"),
        ("chr21:5-6:+", "is not a region"),
        ("chr21 33 750 000 33 800 000", "is not a region"),
        ("chr99:1-2", "not a chromosome of hg19"),
        ("chr21:20-10", "is backwards; write chr21:10-20, the lower end first"),
        ("chr21:33.8M-33.75M", "is backwards; write chr21:33,750,000-33,800,000"),
        ("chr21:20-20", "is empty, .* write chr21:20-21"),
        ("chrM:16571-16571", "is empty, .* write chrM:16,570-16,571"),
        ("chr21:48,129,800-48,129,896", "48,129,895 bp"),
        ("chr21:48,129,896-48,129,800", "48,129,895 bp"),
        ("chr21:33750000", "is one position, .* write chr21:33,745,000-33,755,000"),
        ("chr21 33750000", "is one position"),
        ("chr21:33.75M", "is one position"),
        ("chr21:33 750 000", "is one position, .* write chr21:33,745,000-33,755,000"),
        ("chrM:99999", "is one position, .* write chrM:11,571-16,571"),
        ("chr21:33,75-33,8", "'33,75' is not clear as a number of bases; write it like 33,750,000 or 33.75M"),
        ("chr21:33,75M-33,8M", "'33,75M' is not clear"),
        ("chr21:33.750-33.800", "'33.750' is not clear"),
        ("chr21:1,000,00-2,000,000", "'1,000,00' is not clear"),
        ("chr21:1,000.000-2,000,000", "'1,000.000' is not clear"),
        ("chr21:33.7500005M-34M", "'33.7500005M' is not clear"),
        ("chr21:33-34M", "may start at 33 bp or at 33M; .* such as 33M-34M"),
        ("chr21\n:1-2", "is not a region"),
        ("chr21:1-2\nchr22:1-2", "is not a region"),
        ("x" * 5000, "not a chromosome"),
    ],
)
def test_refuses_what_is_no_region(text: str, says: str) -> None:
    with pytest.raises(BadRegion, match=says) as caught:
        parse_region(text, HG19)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@st.composite
def _written(draw: st.DrawFn) -> tuple[str, Region]:
    """A region and one of the ways to write it."""
    start = draw(st.just(0) | st.integers(1000, 48_129_894))  # `5-33.75M` may start at 5 Mb
    region = Region("chr21", start, draw(st.integers(start + 1, 48_129_895)))
    blank = st.sampled_from(["", " ", "\t", "\u00a0"])
    chrom = draw(st.sampled_from(["chr21", "21", "CHR21", "Chr21"]))
    between = draw(st.sampled_from([":", " : ", " ", "\t", "-"]))
    dash = draw(blank) + draw(st.sampled_from(["-", "..", "\u2010", "\u2013", "\u2014", "\u2212"])) + draw(blank)
    ends = [_number(draw, position) for position in (region.start, region.end)]
    return f"{draw(blank)}{chrom}{between}{dash.join(ends)}{draw(blank)}", region


def _number(draw: st.DrawFn, position: int) -> str:
    way = draw(st.sampled_from(["plain", "grouped", "bp", "k", "M"]))
    if way == "k":
        return f"{Decimal(position) / 1000:f}{draw(st.sampled_from(['k', 'kb', ' kb', 'Kbp']))}"
    if way == "M":
        return f"{Decimal(position) / 1_000_000:f}{draw(st.sampled_from(['M', 'm', 'Mb', ' Mb', 'mbp']))}"
    if way == "grouped":
        return f"{position:,}".replace(",", draw(st.sampled_from([",", "'", "\u2019", "_", " ", "\u2009", "\u202f"])))
    return f"{position}{' bp' if way == 'bp' else ''}"


@given(_written())
def test_all_ways_of_writing_are_the_same_region(written: tuple[str, Region]) -> None:
    text, region = written
    assert parse_region(text, HG19) == region


@given(_written())
def test_what_is_written_is_read_back(written: tuple[str, Region]) -> None:
    assert parse_region(str(written[1]), HG19) == written[1]


@given(st.text(st.sampled_from("chrX219 \t:-.,'_kMb0567\u2013\u2009"), max_size=30))
def test_whatever_is_typed_is_read_or_refused_in_one_sentence(text: str) -> None:
    said = ""
    try:
        region = parse_region(text, HG19)
    except BadRegion as refused:
        said = str(refused)
    assert said or 0 <= region.start < region.end <= HG19.length(region.chrom)
    assert said.translate({0x2009: " "}).isprintable()
    assert len(said) < 300


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
