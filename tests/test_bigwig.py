import struct
import time
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.validate import check_bigwig
from app.core.bigwig.write import BigWigWriter
from app.core.errors import AssemblyMismatch, BadTrackValues, EmptyTrack, EpifillError, NotABigWig, WriteFailed
from app.core.regions import Region

CHRM = Region("chrM", 0, 16_571)


def write(path: Path, region: Region, values: np.ndarray, size: int = 25) -> Path:
    with BigWigWriter(path, HG19, size) as writer:
        writer.add(region, values)
    return path


def read(path: Path, region: Region, size: int = 25) -> np.ndarray:
    with Tracks({"m": TrackFile(path, path.name)}, HG19, size) as tracks:
        return tracks.read(region).values[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 1e6, width=32), st.just(float("nan")), st.just(0.0)), min_size=1, max_size=60),
    st.booleans(),
)
def test_what_was_written_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], at_the_end: bool
) -> None:
    expected = np.array([*values, 1.0], np.float32)
    start = 16_575 - 25 * len(expected) if at_the_end else 0
    region = Region("chrM", start, min(start + 25 * len(expected), 16_571))
    path = write(tmp_path_factory.mktemp("w") / "x.bigWig", region, expected)
    np.testing.assert_array_equal(read(path, region), expected)


def test_another_reader_agrees_and_finds_zoom_levels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).gamma(0.5, 2, 20_000).astype(np.float32)
    values[100:300] = np.nan
    path = write(tmp_path / "x.bigWig", Region("chr21", 1_000_000, 1_500_000), values)
    file = pybigtools.open(str(path))
    assert file.chroms() == dict(HG19.chromosomes)
    assert len(file.zooms()) > 1
    records = list(file.records("chr21"))
    assert [r[2] for r in records] == [float(v) for v in values if not np.isnan(v)]
    assert (records[0][0], records[-1][1]) == (1_000_000, 1_500_000)


def test_last_bin_ends_with_the_chromosome(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bigWig", Region("chrM", 16_525, 16_571), np.array([1, 2], np.float32))
    with pyBigWig.open(str(path)) as file:
        assert file.intervals("chrM") == ((16_525, 16_550, 1.0), (16_550, 16_571, 2.0))


def test_never_passes_a_chromosomes_end(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="passes the end of chrM"),
        BigWigWriter(tmp_path / "x.bigWig", HG19, 25) as writer,
    ):
        writer.add(Region("chrM", 16_550, 16_575), np.ones(1, np.float32))
    assert not list(tmp_path.iterdir())


def test_infinity_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="infinite"):
        write(tmp_path / "x.bigWig", Region("chrM", 0, 25), np.array([np.inf], np.float32))


def test_an_interrupted_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), BigWigWriter(tmp_path / "x.bigWig", HG19, 25) as writer:  # noqa: PT012
        writer.add(Region("chrM", 0, 25), np.ones(1, np.float32))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_file_that_does_not_read_back_is_not_published(tmp_path: Path) -> None:
    writer = BigWigWriter(tmp_path / "x.bigWig", HG19, 25)
    with pytest.raises(WriteFailed, match=r"'x\.bigWig' did not read back"), writer:  # noqa: PT012
        writer.add(Region("chrM", 0, 50), np.ones(2, np.float32))
        writer._covered_bp += 25  # as if a block had been lost
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match=r"'x\.bigWig' cannot be written"):
        BigWigWriter(tmp_path / "none" / "x.bigWig", HG19, 25)


def test_bins_are_means_of_covered_bases(tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrM", 16_571)])
        file.addEntries(["chrM"] * 3, [0, 10, 60], ends=[10, 20, 61], values=[1.0, 4.0, 7.0])
    values = read(path, Region("chrM", 0, 100))
    np.testing.assert_array_equal(values, np.array([2.5, np.nan, 7.0, np.nan], np.float32))


def test_reads_in_pieces_as_in_one_go(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(250_000).astype(np.float32)
    path = write(tmp_path / "x.bw", Region("chr21", 0, 6_250_000), values)
    np.testing.assert_array_equal(read(path, Region("chr21", 0, 6_250_000)), values)
    np.testing.assert_array_equal(read(path, Region("chr21", 1000, 2000)), values[40:80])


def test_names_without_chr_and_chromosomes_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("21", 48_129_895)])
        file.addEntries(["21"], [0], ends=[50], values=[3.0])
    np.testing.assert_array_equal(read(path, Region("chr21", 0, 75)), np.array([3, 3, np.nan], np.float32))
    assert np.isnan(read(path, Region("chr1", 0, 75))).all()


def test_covered_regions_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(Region("chr2", 5_100_000, 5_100_025), np.ones(1, np.float32))
        writer.add(Region("chrM", 0, 25), np.ones(1, np.float32))
    with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as tracks:
        assert list(tracks.covered_regions(1_000_000)) == [Region("chr2", 5_000_000, 6_000_000), CHRM]


def bigwig(tmp_path: Path) -> bytearray:
    return bytearray(write(tmp_path / "good.bw", CHRM, np.ones(663, np.float32)).read_bytes())


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", EmptyTrack, "'x.bw' is empty"),
        (b"\x26\xfc\x8f\x88", NotABigWig, "cut off after 4 bytes"),
        (b"\xff", NotABigWig, "is not a bigWig file but something else"),
        (b"fixedStep chrom=chr1 start=1 step=25\n1\n2\n", NotABigWig, "text \\(convert wig"),
        (b"\x1f\x8b" + bytes(100), NotABigWig, "gzip"),
        (b"PK\x03\x04" + bytes(100), NotABigWig, "zip archive"),
        (b"\x89HDF" + bytes(100), NotABigWig, "HDF5"),
        (struct.pack("<I", 0x8789F2EB) + bytes(100), NotABigWig, "bigBed"),
        (bytes(1000), NotABigWig, "something else"),
    ],
)
def test_what_is_no_bigwig_is_called_what_it_is(
    tmp_path: Path, content: bytes, error: type[EpifillError], says: str
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(error, match=says) as caught:
        check_bigwig(path, "x.bw")
    assert caught.value.subject == "x.bw"


def test_a_truncated_file_and_a_foreign_version_are_refused(tmp_path: Path) -> None:
    content = bigwig(tmp_path)
    path = tmp_path / "x.bw"
    path.write_bytes(content[:300])
    with pytest.raises(NotABigWig, match="points past its 300 bytes"):
        check_bigwig(path, "x.bw")
    content[4:6] = (9).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(NotABigWig, match="version 9"):
        check_bigwig(path, "x.bw")


def test_a_track_of_infinities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrM", 16_571)])
        file.addEntries(["chrM"] * 2, [0, 25], ends=[25, 50], values=[1.0, float("inf")])
    with pytest.raises(BadTrackValues, match=r"'x\.bw' holds infinite values"):
        read(path, Region("chrM", 0, 100))


def test_values_beyond_any_p_value_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bw", CHRM, np.full(663, 1e30, np.float32))
    with pytest.raises(BadTrackValues, match="values beyond 1,000,000"):
        read(path, CHRM)


def test_values_that_cancel_are_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    values -= values.mean()
    region = Region("chr1", 0, 1_000_000)
    np.testing.assert_array_equal(read(write(tmp_path / "x.bw", region, values), region), values)


def test_a_track_without_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chrM", 16_571)])
    with pytest.raises(EmptyTrack, match=r"'x\.bw' holds no values"):
        read(path, CHRM)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("derived.bigBed_renamed.bw", NotABigWig),
        ("bbi-js.chr22.bb", NotABigWig),
        ("kent-core.zero_length.bw", EmptyTrack),
        ("jbrowse.empty.bigWig", EmptyTrack),
        ("igv.js.nozooms.bw", AssemblyMismatch),
        ("bbi-js.volvox.bw", AssemblyMismatch),
        ("bigtools.valid.bigWig", AssemblyMismatch),
    ],
)
def test_files_of_other_programs_are_refused_for_what_they_are(
    real_data: Path, name: str, error: type[EpifillError]
) -> None:
    with pytest.raises(error, match=name):
        read(real_data / "bigwigs" / name, CHRM)


def test_a_file_of_another_program_reads_as_pybigwig_reads_it(real_data: Path) -> None:
    path = real_data / "bigwigs/bbi-js.ENCFF826FLP.bw"
    region = Region("chr22", 17_000_000, 18_000_000)
    with pyBigWig.open(str(path)) as file:
        bases = file.values(region.chrom, region.start, region.end, numpy=True).reshape(-1, 25)
    expected = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in bases.astype(float)])
    values = read(path, region)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(expected))
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert (~np.isnan(values)).sum() > 1000


def test_real_track_reads_as_pybigwig_reads_it(real_data: Path) -> None:
    path = real_data / "roadmap_pilot/E065-H3K4me3.pval.signal.bigWig"
    region = Region("chr21", 33_746_325, 35_442_375)
    with pyBigWig.open(str(path)) as file:
        expected = file.values(region.chrom, region.start, region.end, numpy=True)[::25]
    np.testing.assert_array_equal(read(path, region), expected)


def test_a_full_disk_is_met_before_it_breaks_the_writer(small_disk: Path) -> None:
    """libBigWig ends the process when a write fails, or leaves a file cut short."""
    path = small_disk / "x.bigWig"
    values = np.random.default_rng(0).random(40_000).astype(np.float32)
    regions = Region("chr1", 0, 200_000_000).pieces(25 * len(values))

    def fill() -> None:
        with BigWigWriter(path, HG19, 25) as writer:
            for region in regions:
                writer.add(region, values)

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert list(small_disk.iterdir()) == []
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(Region("chr1", 0, 1_000_000), values)
    assert [found.name for found in small_disk.iterdir()] == ["x.bigWig"]


def crafted(path: Path, lengths: dict[str, int], rows: list[tuple[str, int, int, float]]) -> Path:
    """A bigWig with these chromosomes and intervals."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for chrom, start, end, value in rows:
            file.addEntries([chrom], [start], ends=[end], values=[value])
    return path


def test_a_chromosome_under_two_names_is_read_as_one(tmp_path: Path) -> None:
    lengths = {"21": 48_129_895, "chr21": 48_129_895, "NC_000021.8": 48_129_895}
    rows = [("21", 0, 50, 1.0), ("21", 110, 125, 4.0), ("chr21", 50, 60, 2.0), ("chr21", 100, 110, 9.0)]
    path = crafted(tmp_path / "x.bw", lengths, [*rows, ("NC_000021.8", 48_129_890, 48_129_895, 5.0)])
    np.testing.assert_array_equal(
        read(path, Region("chr21", 0, 150)), np.array([1, 1, 2, np.nan, 6, np.nan], np.float32)
    )
    np.testing.assert_array_equal(read(path, Region("chr21", 48_129_875, 48_129_895)), np.array([5], np.float32))
    with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as tracks:
        assert list(tracks.covered_regions(1_000_000)) == [
            Region("chr21", 0, 1_000_000),
            Region("chr21", 48_000_000, 48_129_895),
        ]


def test_two_names_with_values_for_the_same_base_are_refused_for_that(tmp_path: Path) -> None:
    lengths = {"chr21": 48_129_895, "21": 48_129_895}
    path = crafted(
        tmp_path / "x.bw", lengths, [("chr21", 9_000_000, 9_000_100, 1.0), ("21", 9_000_099, 9_000_200, 1.0)]
    )
    says = (
        r"'x\.bw' holds chr21 under several names, chr21 and 21, with values of each for the same bases within chr21:"
    )
    with pytest.raises(BadTrackValues, match=says):
        read(path, CHRM)


def test_behind_the_end_that_a_file_gives_there_is_no_value(tmp_path: Path) -> None:
    path = crafted(tmp_path / "x.bw", {"chr21": 110}, [("chr21", 0, 110, 3.0)])
    np.testing.assert_array_equal(read(path, Region("chr21", 75, 175)), np.array([3, 3, np.nan, np.nan], np.float32))
    assert np.isnan(read(path, Region("chr21", 48_000_000, 48_129_895))).all()


def test_what_lies_behind_the_end_of_the_assemblys_chromosome_is_left_out(tmp_path: Path) -> None:
    path = crafted(tmp_path / "x.bw", {"chr21": 48_129_900}, [("chr21", 48_129_875, 48_129_900, 3.0)])
    np.testing.assert_array_equal(
        read(path, Region("chr21", 48_129_850, 48_129_895)), np.array([np.nan, 3], np.float32)
    )
    with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as tracks:
        assert tracks.fit("m").notes()[-1] == "What the file has behind the end of chr21 was left out."


def test_many_contigs_cost_little(tmp_path: Path) -> None:
    lengths = {"chr21": 48_129_895} | {f"scaffold_{i}": 1000 for i in range(60_000)}
    path = crafted(tmp_path / "x.bw", lengths, [("chr21", 0, 50, 3.0), ("scaffold_59999", 0, 50, 4.0)])
    began = time.process_time()
    np.testing.assert_array_equal(read(path, Region("chr21", 0, 75)), np.array([3, 3, np.nan], np.float32))
    assert time.process_time() - began < 3  # 0.3 s; a look through all contigs for each of them would take minutes
