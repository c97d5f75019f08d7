"""The check of uploads: files of other programs, one crafted file per fault, and mutants (fuzz_structure.py)."""

import collections
import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from app.core.bigwig.structure import Structure, check_structure
from app.core.errors import BadTrackValues, EmptyTrack, EpifillError, NotABigWig
from tests import fuzz_structure
from tests.mutants import SECTION, Field, Layout, fields

ACCEPTED, SUMMARY = (None, ""), (None, "summary")
BIG_BED = (NotABigWig, "is not a bigWig file but a bigBed file")

VERDICTS: dict[str, tuple[tuple[type[EpifillError] | None, str], str]] = {
    # file: ((error or None for accepted, words of the error or warning), why)
    "bbi-js.ENCFF826FLP.bw": (SUMMARY, "bedGraph, deep index; a writer that counted bases at block borders twice"),
    "bbi-js.chr22.bb": (BIG_BED, "a bigBed"),
    "bbi-js.cow.bw": (ACCEPTED, "a chromosome named GK000001.2"),
    "bbi-js.fixedStep.bw": (SUMMARY, "fixedStep, negative values, wrong summary"),
    "bbi-js.hg18.bb": (BIG_BED, "a bigBed"),
    "bbi-js.pvalues.bw": (ACCEPTED, "by a Java program, which trims zoom records"),
    "bbi-js.uncompressed.bw": (ACCEPTED, "not compressed, thousands of zoom blocks"),
    "bbi-js.variable_step.bw": (ACCEPTED, "variableStep"),
    "bbi-js.volvox.bw": (ACCEPTED, "bedGraph of every base"),
    "bbi-js.volvox_microarray.bw": (SUMMARY, "more covered bases in the summary than the chromosome has"),
    "bigtools.mini.bb": (BIG_BED, "a bigBed"),
    "bigtools.mini.bw": (ACCEPTED, "no zoom levels, an exact buffer size"),
    "bigtools.valid.bigWig": (ACCEPTED, "no count before the data"),
    "clodius.test.bw": (ACCEPTED, "one interval"),
    "clodius.test1.bw": (SUMMARY, "its summary has a maximum of 2e-308"),
    "d4-format.input.bw": (ACCEPTED, "two chromosomes in one zoom block"),
    "deeptools.bamCompare_result2.bw": (SUMMARY, "its summary has a maximum of 2e-308"),
    "deeptools.bamCoverage_result4.bw": (ACCEPTED, "values up to a million"),
    "deeptools.bigwigCompare_result1.bw": (ACCEPTED, "three chromosomes"),
    "deeptools.test.bw": (ACCEPTED, "three chromosomes, two zoom levels"),
    "deeptools.test1.bw.bw": (ACCEPTED, "a chromosome named 3R"),
    "deeptools.testA_skipNAs.bw": (ACCEPTED, "gaps"),
    "deeptools.test_paired2.bw": (ACCEPTED, "data in the middle of a chromosome"),
    "deeptools.unscaled.bigWig": (ACCEPTED, "a chromosome named 1"),
    "derived.bigBed_renamed.bw": (BIG_BED, "a bigBed with the name of a bigWig"),
    "igv.dummy_var_sample.bigwig": (ACCEPTED, "variableStep on twelve chromosomes"),
    "igv.js.bigtools.bigWig": (ACCEPTED, "zoom levels that all hold one record"),
    "igv.js.fixedStep.bw": (ACCEPTED, "fixedStep in several sections"),
    "igv.js.history.chr1.bw": (ACCEPTED, "fixedStep, deep index"),
    "igv.js.history.random_10000.bigwig": (SUMMARY, "bases at block borders counted twice"),
    "igv.js.history.test.bw": (SUMMARY, "bases at block borders counted twice"),
    "igv.js.nozooms.bw": (ACCEPTED, "no zoom levels"),
    "jbrowse.empty.bigWig": ((EmptyTrack, "holds no values"), "44,278 intervals, all of no length"),
    "jbrowse.malformed.bb": ((NotABigWig, "is not a bigWig file but something else"), "begins with zeros"),
    "jbrowse.peaks.bb": (BIG_BED, "a bigBed"),
    "jbrowse.volvox_sine.bw": (SUMMARY, "bases at block borders counted twice"),
    "kent-core.zero_length.bw": ((EmptyTrack, "is empty"), "0 bytes"),
    "libbigwig.test.bw": (ACCEPTED, "two chromosomes named 1 and 10"),
    "pygenometracks.bigwig2_X_2.5e6_3.5e6.bw": (ACCEPTED, "a chromosome named X"),
    "pygenometracks.bigwig_chrx_2e6_5e6.bw": (ACCEPTED, "a part of chrX"),
    "tangermeme.test.bw": (ACCEPTED, "its index reaches farther than its data and than the chromosomes"),
    "tangermeme.test2.bw": (ACCEPTED, "its index reaches farther than its data and than the chromosomes"),
    "tangermeme.test3.bw": (ACCEPTED, "variableStep by pyBigWig"),
    "wiggletools.fixedStep.bw": (ACCEPTED, "fixedStep of ten bases"),
    "wiggletools.overlapping.bb": (BIG_BED, "a bigBed"),
    "wiggletools.variableStep.bw": (ACCEPTED, "variableStep of five bases"),
}


def check(path: Path, data: bytes) -> Structure:
    """The verdict on some bytes, which the user calls x.bw."""
    path = path / "upload"
    path.write_bytes(data)
    return check_structure(path, "x.bw")


def test_every_file_of_other_programs_has_a_verdict(real_data: Path) -> None:
    assert {path.name for path in (real_data / "bigwigs").iterdir()} == set(VERDICTS)


@pytest.mark.parametrize("name", VERDICTS)
def test_file_of_another_program(real_data: Path, name: str) -> None:
    (error, words), _ = VERDICTS[name]
    path = real_data / "bigwigs" / name
    if error:
        with pytest.raises(error, match=f"'{name}' .*{words}.*[.]$"):
            check_structure(path, name)
        return
    structure = check_structure(path, name)
    assert [words in warning for warning in structure.warnings] == [True] * bool(words)
    covered, minimum, maximum, total = 0, np.inf, -np.inf, 0.0
    with pyBigWig.open(str(path)) as file:
        assert structure.chromosomes == file.chroms()
        for chrom, length in structure.chromosomes.items():
            for start in range(0, length, 2_500_000):
                bases = file.values(chrom, start, min(start + 2_500_000, length), numpy=True)
                bases = bases[~np.isnan(bases)]
                if len(bases):
                    covered += len(bases)
                    minimum, maximum = min(minimum, bases.min()), max(maximum, bases.max())
                    total += bases.sum(dtype=float)
    assert (structure.covered_bases, structure.minimum, structure.maximum) == (covered, minimum, maximum)
    assert structure.total == pytest.approx(total, rel=1e-9, abs=1e-6)


def test_real_tracks_are_sound(real_data: Path) -> None:
    for path in sorted((real_data / "roadmap_pilot").glob("*.bigWig"))[::4]:
        structure = check_structure(path, path.name)
        assert (structure.covered_bases, structure.warnings) == (28_161_725, [])


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small sound files: fixed, deep, mixed, bigtools, uncompressed."""
    return {
        path.name.removesuffix(".bw"): path.read_bytes()
        for path in fuzz_structure.originals(tmp_path_factory.mktemp("good"))
    }


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """chrA, 1000 bp: 0-10, 10-20, 30-40 | an empty block | 50-60, 70-80 bp; chrB, 100 bp: 0-5 bp; a zoom level."""
    path = tmp_path_factory.mktemp("bed") / "bed.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrA", 1000), ("chrB", 100)])
        file.addEntries(["chrA"] * 3, [0, 10, 30], ends=[10, 20, 40], values=[1.0, 2.0, 3.0])
        file.addEntries("chrA", [50, 70], values=[4.0, 5.0], span=10)
        file.addEntries(["chrB"], [0], ends=[5], values=[6.0])
    return path.read_bytes()


def test_structure_is_counted_from_the_data(tmp_path: Path, bed: bytes) -> None:
    assert check(tmp_path, bed) == Structure(4, {"chrA": 1000, "chrB": 100}, 55, 1.0, 6.0, 180.0, 0, [])


@pytest.mark.parametrize("kind", ["fixed", "deep", "mixed", "bigtools", "uncompressed"])
def test_every_kind_of_sound_file_is_accepted(tmp_path: Path, good: dict[str, bytes], kind: str) -> None:
    structure = check(tmp_path, good[kind])
    track = fuzz_structure.decode(good[kind])
    widths = [end - start for rows in track.values() for start, end, value in rows if value == value]
    assert structure.covered_bases == sum(widths)
    assert structure.nan_items == (kind == "mixed")
    assert [("NaN" in warning) for warning in structure.warnings] == [True] * (kind == "mixed")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_older_versions_and_files_without_a_summary_or_zoom_levels_are_accepted(
    tmp_path: Path, bed: bytes, version: int
) -> None:
    data, layout = bytearray(bed), Layout(bed)
    layout.header[1].set(data, version)
    layout.header[2].set(data, 0)
    layout.header[9].set(data, 0)
    structure = check(tmp_path, data)
    assert (structure.version, structure.covered_bases, structure.warnings) == (version, 55, [])
    assert fuzz_structure.verdict(fuzz_structure.decode(bed), bytes(data), tmp_path / "x") == "identical"


# Faults. Each damages the parts of `bed` that a Layout finds.


def header(number: int, value: int | Callable[[int], int]) -> Callable[[bytearray, Layout], None]:
    def damage(data: bytearray, layout: Layout) -> None:
        field = layout.header[number]
        field.set(data, value(field.get(data)) if callable(value) else value)

    return damage


def put(find: Callable[[Layout], Field], value: int) -> Callable[[bytearray, Layout], None]:
    return lambda data, layout: find(layout).set(data, value)


def name(new: bytes) -> Callable[[bytearray, Layout], None]:
    def damage(data: bytearray, layout: Layout) -> None:
        at = layout.chromosomes[0][0]
        data[at : at + 4] = new

    return damage


def section(number: int, value: int, block: int = 0) -> Callable[[bytearray, Layout], None]:
    """Another value in a field of a block's own header."""

    def damage(data: bytearray, layout: Layout) -> None:
        content = layout.block(data, layout.leaves[block])
        fields(SECTION, 0)[number].set(content, value)
        layout.put(data, layout.leaves[block], content)

    return damage


def items(*rows: tuple[int, int, float], size: int = 0) -> Callable[[bytearray, Layout], None]:
    """Other items in the first block, the header unchanged; then cut or padded to `size`."""

    def damage(data: bytearray, layout: Layout) -> None:
        content = layout.block(data, layout.leaves[0])
        content[24:] = b"".join(struct.pack("<IIf", *row) for row in rows)
        if size:
            content = (content + bytes(size))[:size]
        layout.put(data, layout.leaves[0], content)

    return damage


def zoom_record(number: int, value: int) -> Callable[[bytearray, Layout], None]:
    def damage(data: bytearray, layout: Layout) -> None:
        content = layout.block(data, layout.zoom_leaves[0])
        Field(4 * number, 4).set(content, value)
        layout.put(data, layout.zoom_leaves[0], content)

    return damage


def circle_of_chromosomes(data: bytearray, layout: Layout) -> None:
    at = layout.nodes[0][0].at
    data[at : at + 4] = struct.pack("<BBH", 0, 0, 1)
    Field(at + 4 + layout.key, 8).set(data, at)


def circle_of_index(data: bytearray, layout: Layout) -> None:
    at = layout.leaves[0][0].at - 4
    data[at : at + 28] = struct.pack("<BBHIIIIQ", 0, 0, 1, 0, 0, 1, 1000, at)


def bomb_of_index(data: bytearray, layout: Layout) -> None:
    """Nodes of 500 children each, all the same node below: 500**8 leaves in 100 kB."""
    at = layout.leaves[0][0].at - 4
    for _ in range(8):
        here = len(data)
        data += struct.pack("<BBH", 0, 0, 500) + struct.pack("<IIIIQ", 0, 0, 1, 1000, at) * 500
        at = here
    layout.header[5].set(data, len(data))
    data += struct.pack("<IIQIIIIQII", 0x2468ACE0, 500, 0, 0, 0, 1, 1000, 0, 1, 0)
    data += struct.pack("<BBHIIIIQ", 0, 0, 1, 0, 0, 1, 1000, at)


def zlib_bomb(data: bytearray, layout: Layout) -> None:
    packed = zlib.compress(bytes(100_000_000))
    layout.leaves[0][4].set(data, len(data))
    layout.leaves[0][5].set(data, len(packed))
    data += packed


def no_inflation(data: bytearray, layout: Layout) -> None:
    at = layout.leaves[0][4].get(data)
    data[at + 2 : at + 12] = bytes(10)


def no_checksum(data: bytearray, layout: Layout) -> None:
    layout.leaves[0][5].set(data, layout.leaves[0][5].get(data) - 4)


def wrong_checksum(data: bytearray, layout: Layout) -> None:
    """In a block that fills the buffer to its last byte."""
    layout.header[10].set(data, len(layout.block(data, layout.leaves[0])))
    data[layout.leaves[0][4].get(data) + layout.leaves[0][5].get(data) - 1] ^= 1


def same_block_twice(data: bytearray, layout: Layout) -> None:
    for i in (4, 5):
        layout.leaves[1][i].set(data, layout.leaves[0][i].get(data))


def swapped_blocks(data: bytearray, layout: Layout) -> None:
    one, other = layout.leaves[0], layout.leaves[2]
    kept = bytes(data[one[0].at : one[0].at + 32])
    data[one[0].at : one[0].at + 32] = data[other[0].at : other[0].at + 32]
    data[other[0].at : other[0].at + 32] = kept


def left_out_block(data: bytearray, layout: Layout) -> None:
    layout.nodes[1][2].set(data, len(layout.leaves) - 1)


def leaf(field: int, value: int) -> Callable[[bytearray, Layout], None]:
    return put(lambda layout: layout.leaves[0][field], value)


def grown(end: int) -> Sequence[Callable[[bytearray, Layout], None]]:
    """The first block ends elsewhere, as both its header and the index say."""
    return [section(2, end), leaf(3, end)]


THREE = ((0, 10, 1.0), (10, 20, 2.0), (30, 40, 3.0))

FAULTS: dict[str, tuple[Sequence[Callable[[bytearray, Layout], None]], str]] = {
    "version": ([header(1, 9)], "bigWig version 9"),
    "chromosomes past the end": ([header(3, 2**40)], "header points past"),
    "data past the end": ([header(4, 2**63)], "header points past"),
    "index past the end": ([header(5, 2**64 - 1)], "header points past"),
    "index in the header": ([header(5, 8)], "header points past"),
    "index in the last bytes": ([header(5, lambda _: 10**9)], "header points past"),
    "summary past the end": ([header(9, 2**64 - 1)], "header points past"),
    "huge buffer": ([header(10, 2**32 - 1)], "blocks of 4,294,967,295 bytes"),
    "small buffer": ([header(10, 40)], "does not unpack to the size"),
    "no compression claimed": ([header(10, 0)], "a data block"),
    "65,535 zoom levels": ([header(2, 65_535)], "65,535 zoom levels"),
    "one zoom level too many": ([header(2, 3)], "zoom"),
    "zoom index past the end": ([put(lambda at: at.zooms[0][3], 2**63)], "zoom levels point out of its"),
    "zoom data past the end": ([put(lambda at: at.zooms[0][2], 2**63)], "zoom levels point out of its"),
    "zoom index in the header": ([put(lambda at: at.zooms[0][3], 0)], "or into its header"),
    "zoom levels over the summary": ([header(9, 80)], "list of zoom levels lies over other parts"),
    "zoom levels over the chromosomes": ([header(3, 64)], "list of zoom levels lies over other parts"),
    "no tree of chromosomes": ([put(lambda at: at.tree[0], 1)], "list of chromosomes does not begin as one"),
    "chromosome values of 9 bytes": ([put(lambda at: at.tree[3], 9)], "list of chromosomes does not begin as one"),
    "names of 2**32-1 bytes": ([put(lambda at: at.tree[2], 2**32 - 1)], "list of chromosomes does not begin as one"),
    "names of 0 bytes": ([put(lambda at: at.tree[2], 0)], "list of chromosomes does not begin as one"),
    "2**31 chromosomes": ([put(lambda at: at.tree[4], 2**31)], "2,147,483,648 chromosomes"),
    "0 chromosomes": ([put(lambda at: at.tree[4], 0)], "0 chromosomes"),
    "3 chromosomes": ([put(lambda at: at.tree[4], 3)], "2 different chromosomes but says it has 3"),
    "circle of chromosomes": ([circle_of_chromosomes], "list of chromosomes leads in a circle"),
    "id out of range": ([put(lambda at: at.chromosomes[1][1], 2)], "not numbered one by one"),
    "huge id": ([put(lambda at: at.chromosomes[1][1], 2**32 - 1)], "not numbered one by one"),
    "two of an id": ([put(lambda at: at.chromosomes[1][1], 0)], "not numbered one by one"),
    "two of a name": ([name(b"chrB")], "1 different chromosomes but says it has 2"),
    "no name": ([name(bytes(4))], "characters that no name can have"),
    "newline in a name": ([name(b"ch\nA")], "characters that no name can have"),
    "NUL in a name": ([name(b"c\0rA")], "characters that no name can have"),
    "markup in a name": ([name(b"<hr>")], "characters that no name can have"),
    "not ASCII": ([name("chÄ".encode())], "characters that no name can have"),
    "chromosome of 0 bp": ([put(lambda at: at.chromosomes[0][2], 0)], "0 bp long"),
    "chromosome of 2**32-1 bp": ([put(lambda at: at.chromosomes[0][2], 2**32 - 1)], "4,294,967,295 bp long"),
    "no index": ([put(lambda at: at.index[0], 1)], "index does not begin as one"),
    "2**31 blocks": ([put(lambda at: at.index[2], 2**31)], "but says it has 2,147,483,648"),
    "65,535 blocks in a node": ([put(lambda at: at.nodes[1][2], 65_535)], "index points past|contradicts"),
    "left out block": ([left_out_block], "blocks but says it has"),
    "left out block, index agreeing": (
        [left_out_block, lambda data, at: at.index[2].set(data, len(at.leaves) - 1)],
        "data blocks but there are",
    ),
    "node that is no leaf and no branch": ([put(lambda at: at.nodes[1][0], 2)], "a part that is none"),
    "circle of the index": ([circle_of_index], "index leads in a circle"),
    "bomb of the index": ([bomb_of_index], "index leads in a circle"),
    "index on no chromosome": ([leaf(2, 2)], "a chromosome that it does not list"),
    "index ends before it starts": ([leaf(1, 500)], "index contradicts itself"),
    "block past the end": ([leaf(4, 2**63)], "index points past"),
    "block of 2**64-1 bytes": ([leaf(5, 2**64 - 1)], "index points past"),
    "block of 0 bytes": ([leaf(5, 0)], "does not unpack"),
    "blocks swapped": ([swapped_blocks], "is not sorted"),
    "one block twice": ([same_block_twice], "share bytes"),
    "block that does not inflate": ([no_inflation], "does not unpack"),
    "block without checksum": ([no_checksum], "does not unpack"),
    "block with a wrong checksum": ([wrong_checksum, lambda data, at: at.header[2].set(data, 0)], "does not unpack"),
    "zlib bomb": ([zlib_bomb], "does not unpack to the size"),
    "block on another chromosome": ([section(0, 1)], "not the one that the index says"),
    "block with an id out of range": ([section(0, 2**31)], "not the one that the index says"),
    "block starts elsewhere": ([section(1, 3)], "not the one that the index says"),
    "block ends elsewhere": ([section(2, 35)], "not the one that the index says"),
    "type 4": ([section(5, 4)], "type that does not exist"),
    "bedGraph called variableStep": ([section(5, 2)], "no length|as many intervals as it says"),
    "span 0": ([section(4, 0, block=2)], "intervals of no length"),
    "more items than the block has": ([section(7, 65_535)], "as many intervals as it says"),
    "fewer items than the block has": ([section(7, 2)], "as many intervals as it says"),
    "block shorter than its header": ([items(*THREE, size=20)], "shorter than its own header"),
    "block cut in an item": ([items(*THREE, size=55)], "as many intervals as it says"),
    "interval ends before it starts": ([items((0, 10, 1.0), (20, 10, 2.0), (30, 40, 3.0))], "ends before it starts"),
    "intervals overlap": ([items((0, 11, 1.0), *THREE[1:])], "overlap or are not sorted"),
    "intervals not sorted": ([items(THREE[1], THREE[0], THREE[2])], "overlap or are not sorted"),
    "blocks overlap": ([items(*THREE[:2], (30, 55, 3.0)), *grown(55)], "overlap or are not sorted"),
    "interval outside the index": ([items(*THREE[:2], (30, 45, 3.0))], "outside of what the index says"),
    "interval past its chromosome": ([put(lambda at: at.chromosomes[1][2], 4)], "the end of"),
    "interval of 2**32-1": ([items(*THREE[:2], (30, 2**32 - 1, 3.0)), *grown(2**32 - 1)], "overlap|past"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_refused(tmp_path: Path, bed: bytes, fault: str) -> None:
    damages, words = FAULTS[fault]
    data = bytearray(bed)
    for damage in damages:
        damage(data, Layout(bed))
    with pytest.raises(NotABigWig, match=f"^'x.bw' .*({words}).*[.]$") as caught:
        check(tmp_path, data)
    assert caught.value.subject == "x.bw"
    assert str(tmp_path) not in str(caught.value)


def nonsense_zooms(data: bytearray, layout: Layout) -> None:
    """All zoom blocks and all that the zoom indexes say of them."""
    rng = np.random.default_rng(0)
    for block in layout.zoom_leaves:
        at, size = block[4].get(data), block[5].get(data)
        data[at : at + size] = rng.bytes(size)
    for zoom in layout.zooms:
        at = zoom[3].get(data)
        data[at : at + 48 + 4 + 32] = rng.bytes(48 + 4 + 32)


HARMLESS: dict[str, Callable[[bytearray, Layout], None]] = {
    "zoom reduction 0": put(lambda at: at.zooms[0][0], 0),
    "zoom levels from coarse to fine": put(lambda at: at.zooms[0][0], 2**31),
    "zoom index is somewhere else": put(lambda at: at.zooms[0][3], 200),
    "zoom block past the end": put(lambda at: at.zoom_leaves[0][4], 2**50),
    "zoom record on no chromosome": zoom_record(0, 7),
    "zoom record past its chromosome": zoom_record(2, 10**6),
    "zoom record that leaves out values": zoom_record(3, 0),
    "nonsense in the zoom levels": nonsense_zooms,
}


@pytest.mark.parametrize("oddity", HARMLESS)
@pytest.mark.parametrize("kind", ["bed", "deep"])
def test_what_only_zoom_levels_say_wrong_does_no_harm(
    tmp_path: Path, good: dict[str, bytes], bed: bytes, kind: str, oddity: str
) -> None:
    """Nothing reads them: every value is read as from the sound file, by pyBigWig too."""
    sound = {**good, "bed": bed}[kind]
    data = bytearray(sound)
    HARMLESS[oddity](data, Layout(sound))
    assert bytes(data) != sound
    assert check(tmp_path, data) == check(tmp_path, sound)
    assert fuzz_structure.verdict(fuzz_structure.decode(sound), bytes(data), tmp_path / "x") == "identical"


def test_value_that_is_infinite_is_refused(tmp_path: Path, bed: bytes) -> None:
    for value in (float("inf"), -float("inf")):
        data = bytearray(bed)
        items((0, 10, value), *THREE[1:])(data, Layout(bed))
        with pytest.raises(BadTrackValues, match=r"^'x\.bw' holds infinite values"):
            check(tmp_path, data)


def test_nan_is_not_covered_and_said(tmp_path: Path, bed: bytes) -> None:
    data = bytearray(bed)
    items((0, 10, float("nan")), *THREE[1:])(data, Layout(bed))
    structure = check(tmp_path, data)
    assert (structure.covered_bases, structure.nan_items) == (45, 1)
    assert structure.warnings == ["Intervals whose value is NaN, taken as not covered: 1."]


def test_a_track_of_nan_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "nan.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrA", 100)])
        file.addEntries(["chrA"], [0], ends=[5], values=[float("nan")])
    with pytest.raises(EmptyTrack, match=r"'x\.bw' holds no values"):
        check(tmp_path, path.read_bytes())


def test_a_track_without_a_single_interval_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "none.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrA", 100)])
    with pytest.raises(EmptyTrack, match=r"'x\.bw' holds no values"):
        check(tmp_path, path.read_bytes())


def test_intervals_of_no_length_are_left_out_and_said(tmp_path: Path, bed: bytes) -> None:
    data = bytearray(bed)
    items((0, 10, 1.0), (10, 10, 2.0), (30, 40, 3.0))(data, Layout(bed))
    structure = check(tmp_path, data)
    assert (structure.covered_bases, structure.maximum) == (45, 6.0)
    assert "Intervals of no length, left out: 1." in structure.warnings
    assert fuzz_structure.verdict(fuzz_structure.decode(bed), bytes(data), tmp_path / "x") == "consistent"


def test_a_lying_summary_is_said_and_not_believed(tmp_path: Path, bed: bytes) -> None:
    for i in range(4):
        data, layout = bytearray(bed), Layout(bed)
        layout.summary[i].set(data, 2**62)
        structure = check(tmp_path, data)
        assert (structure.covered_bases, structure.total) == (55, 180.0)
        assert structure.warnings == ["The file's own summary of its values is wrong; the values themselves are used."]


def test_a_missing_end_is_said(tmp_path: Path, bed: bytes) -> None:
    assert check(tmp_path, bed[:-4]).warnings == ["The file's last bytes are missing, but no value is."]


@pytest.mark.parametrize("kind", ["fixed", "deep", "mixed", "bigtools", "uncompressed"])
def test_a_truncated_file_is_refused_unless_all_its_values_are_there(
    tmp_path: Path, good: dict[str, bytes], kind: str
) -> None:
    whole, layout = good[kind], Layout(good[kind])
    ends = [block[4].get(whole) + block[5].get(whole) for block in layout.leaves]
    needed = max(ends + [zoom[3].get(whole) for zoom in layout.zooms])
    for twentieth in range(20):
        cut = whole[: len(whole) * twentieth // 20]
        if kind == "uncompressed" and len(cut) >= needed:  # only there do the zoom levels' blocks come last
            structure = check(tmp_path, cut)
            assert structure.covered_bases == check(tmp_path, whole).covered_bases
            assert structure.warnings == ["The file's last bytes are missing, but no value is."]
            continue
        with pytest.raises(NotABigWig if twentieth else EmptyTrack, match=r"^'x\.bw' is"):
            check(tmp_path, cut)


def test_other_formats_are_named(tmp_path: Path, bed: bytes) -> None:
    with pytest.raises(NotABigWig, match="gzip-compressed data"):
        check(tmp_path, gzip.compress(bed))
    with pytest.raises(NotABigWig, match="a bigBed file"):
        check(tmp_path, struct.pack("<I", 0x8789F2EB) + bed[4:])
    with pytest.raises(NotABigWig, match="big-endian byte order, which cannot be read"):
        check(tmp_path, bed[3::-1] + bed[4:])


def test_bombs_cost_little_memory(tmp_path: Path, bed: bytes) -> None:
    for damage in (bomb_of_index, zlib_bomb):
        data = bytearray(bed)
        damage(data, Layout(bed))
        tracemalloc.start()
        with pytest.raises(NotABigWig):
            check(tmp_path, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30_000_000


def tally(count: int, seed: int, good_files: Path) -> collections.Counter[str]:
    files = fuzz_structure.originals(good_files)
    verdicts = [said for path in files for said in fuzz_structure.run(path, seed, count // len(files))]
    wrong = [said for said in verdicts if said.split(":")[0].isupper()]
    assert not wrong, wrong
    return collections.Counter(verdicts)


def test_no_mutant_crashes_or_lies(tmp_path: Path) -> None:
    counts = tally(300, 1, tmp_path)
    assert counts["refused"] > 150  # the mutants do damage
    assert counts["identical"] > 15  # and what does no harm is not refused
    assert counts.total() == 300


@pytest.mark.slow
def test_no_mutant_of_ten_thousand_crashes_or_lies(tmp_path: Path) -> None:
    assert tally(10_000, 2, tmp_path).total() == 10_000
