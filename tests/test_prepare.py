import gzip
from pathlib import Path

import numpy as np
import pytest

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.regions import Region
from training.common.errors import BadData
from training.data.counts import prepare_counts
from training.data.dataset import Dataset, open_dataset
from training.data.index import INDEX_FILE
from training.data.prepare import find_tracks, prepare
from training.data.wig import WigTrack

PLACES = (Region("chr1", 1_000_000, 1_002_500), Region("chr21", 500, 1000), Region("chrM", 0, 16_571))


def write_tracks(folder: Path, samples: dict[str, list[str]]) -> dict[tuple[str, str], list[np.ndarray]]:
    """Random tracks over PLACES, one bin in the middle of the first place left uncovered."""
    rng = np.random.default_rng(0)
    written = {}
    for sample, marks in samples.items():
        for mark in marks:
            values = [rng.random(place.n_bins(25)).astype(np.float32) for place in PLACES]
            values[0][50] = np.nan
            with BigWigWriter(folder / f"{sample}-{mark}.pval.signal.bigWig", HG19, 25) as writer:
                for place, row in zip(PLACES, values, strict=True):
                    writer.add(place, row)
            written[sample, mark] = values
    return written


def test_bigwigs_become_arrays_and_missing_stays_nan(tmp_path: Path) -> None:
    written = write_tracks(tmp_path, {"E1": ["H3K4me3", "DNase"], "E2": ["DNase"]})
    (tmp_path / "notes.txt").write_text("not a track")
    passes: list[None] = []
    prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25, ["H3K4me3", "DNase"], advance=lambda: passes.append(None))
    dataset = open_dataset(tmp_path / "d")
    assert dataset.samples == ("E1", "E2")
    assert dataset.marks == ("H3K4me3", "DNase")
    assert dataset.regions == PLACES
    for (sample, mark), values in written.items():
        row = dataset.values(sample)[dataset.marks.index(mark)]
        np.testing.assert_array_equal(row, np.concatenate(values))
    assert np.isnan(dataset.values("E2")[0]).all()
    assert isinstance(dataset.values("E1"), np.memmap)
    assert len(passes) == 2 * 3


def test_chosen_regions_bins_samples_and_marks(tmp_path: Path) -> None:
    written = write_tracks(tmp_path, {"E1": ["H3K4me3", "DNase"], "E2": ["DNase"]})
    region = Region("chr1", 1_000_000, 1_000_400)
    dataset = prepare(find_tracks(tmp_path, ["E1"], ["DNase"]), tmp_path / "d", HG19, 100, regions=[region])
    expected = written["E1", "DNase"][0][:16].reshape(4, 4).mean(axis=1, dtype=np.float64).astype(np.float32)
    np.testing.assert_allclose(dataset.values("E1")[0], expected, rtol=1e-6)


def test_chosen_regions_are_put_in_genome_order_and_overlaps_joined(tmp_path: Path) -> None:
    write_tracks(tmp_path, {"E1": ["DNase"]})
    regions = [PLACES[2], Region("chr1", 1_000_100, 1_000_200), Region("chr1", 1_000_000, 1_000_150)]
    dataset = prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25, regions=regions)
    assert dataset.regions == (Region("chr1", 1_000_000, 1_000_200), PLACES[2])


def test_places_of_columns(dataset: Dataset) -> None:
    assert dataset.region_of(0, 663) == Region("chrM", 0, 16_571)
    assert dataset.region_of(663 + 4, 663 + 6) == Region("chr21", 33_750_100, 33_750_150)


@pytest.mark.parametrize(
    ("samples", "marks", "says"),
    [
        (["E9"], [], "none of the wanted tracks"),
        (["E1", "E9"], [], "no track of sample E9"),
        ([], ["DNase", "X"], "no track of mark X"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, samples: list[str], marks: list[str], says: str) -> None:
    write_tracks(tmp_path, {"E1": ["DNase"]})
    with pytest.raises(BadData, match=says):
        find_tracks(tmp_path, samples, marks)


def test_a_half_made_data_set_does_not_open(tmp_path: Path) -> None:
    write_tracks(tmp_path, {"E1": ["DNase"]})
    prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25)
    (tmp_path / "E1-DNase.pval.signal.bigWig").write_bytes(b"broken")
    with pytest.raises(Exception, match="is not a bigWig"):
        prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25, regions=PLACES)
    with pytest.raises(BadData, match=f"it has no {INDEX_FILE}"):
        open_dataset(tmp_path / "d")
    (tmp_path / "d" / INDEX_FILE).write_text("{}")
    with pytest.raises(BadData, match="is not valid"):
        open_dataset(tmp_path / "d")


def test_a_data_set_that_was_tampered_with_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    copy = Dataset(tmp_path, dataset.index)
    np.save(tmp_path / "A.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(BadData, match=r"'A\.npy' does not fit"):
        copy.values("A")
    with pytest.raises(BadData, match="Sample 'Z' is not in the data set, which has A, B, C"):
        copy.values("Z")


WIG = """track type=wiggle_0 name="E003"
fixedStep chrom=chrM start=1 step=25 span=25
0.5
1.5
2
fixedStep chrom=chrM start=16551 step=25 span=25
7
fixedStep chrom=chrUn_x start=1 step=25 span=25
9
"""


def wig(path: Path, text: str = WIG) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_wig_sections_are_binned_and_gaps_stay_nan(tmp_path: Path) -> None:
    path = wig(tmp_path / "chrM_E003-H3K4me3.pval.signal.bedGraph.wig.gz")
    dataset = prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25)
    assert dataset.regions == (Region("chrM", 0, 75), Region("chrM", 16_550, 16_571))
    np.testing.assert_array_equal(dataset.values("E003")[0], np.array([0.5, 1.5, 2, 7], np.float32))
    with WigTrack(path, "H3K4me3", HG19, 50) as track:
        values = track.read(Region("chrM", 0, 150)).values[0]
    np.testing.assert_array_equal(values, np.array([1, 2, np.nan], np.float32))


def test_a_track_in_several_files_keeps_all_its_chromosomes(tmp_path: Path) -> None:
    wig(tmp_path / "chrM_E003-H3K4me3.pval.signal.bedGraph.wig.gz", "fixedStep chrom=chrM start=1 step=25\n3\n")
    wig(tmp_path / "chr1_E003-H3K4me3.pval.signal.bedGraph.wig.gz", "fixedStep chrom=chr1 start=1 step=25\n1\n")
    dataset = prepare(find_tracks(tmp_path), tmp_path / "d", HG19, 25)
    assert dataset.regions == (Region("chr1", 0, 25), Region("chrM", 0, 25))
    np.testing.assert_array_equal(dataset.values("E003"), [[1, 3]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("variableStep chrom=chrM\n1 2\n", "only fixedStep wig is read"),
        ("fixedStep chrom=chrM start=2 step=25\n1\n", "do not fill 25-bp bins"),
        ("fixedStep chrom=chrM start=1 step=10\n1\n", "do not fill 25-bp bins"),
        ("fixedStep chrom=chrM start=16576 step=25\n1\n", "passes the end of chrM"),
        ("fixedStep start=1 step=25\n1\n", "malformed"),
        ("fixedStep chrom=chrM start=1 step=0\n1\n", "bad start, step or value"),
        ("fixedStep chrom=chrM start=-24 step=25\n1\n", "bad start, step or value"),
        ("fixedStep chrom=chrM start=1 step=25\n1e999\n", "bad start, step or value"),
        ("fixedStep chrom=chrM start=1 step=25\n1.2.3\n", "malformed"),
        ("fixedStep chrom=chr77 start=1 step=25\n1\n", "no value on a chromosome of hg19"),
    ],
)
def test_bad_wigs_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadData, match=f"'x.wig.gz' .*{says}"):
        WigTrack(wig(tmp_path / "x.wig.gz", text), "m", HG19, 25)


def test_a_wig_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = wig(tmp_path / "x.wig.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadData, match="not a whole gzip file"):
        WigTrack(path, "m", HG19, 25)


def counts_file(path: Path, **changes: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, (1, 3, 100))
    counts[0, 0, 40:45] = 40
    start = np.concatenate([np.arange(60), 500 + np.arange(40)]) * 200
    fields = {
        "counts": counts.astype(np.int32),
        "samples": np.array(["E1"]),
        "tracks": np.array(["H3K4me3", "DNase", "Input"]),
        "chrom": np.array(["chr1"] * 60 + ["chr2"] * 40),
        "start": start.astype(np.int32),
        "assembly": np.array("hg19"),
    }
    np.savez(path, **{**fields, **changes})
    return path


def test_counts_become_p_values_against_the_input(tmp_path: Path) -> None:
    dataset = prepare_counts(counts_file(tmp_path / "c.npz"), tmp_path / "d", ["DNase", "H3K4me3"])
    assert dataset.marks == ("DNase", "H3K4me3")
    assert dataset.bin_size_bp == 200
    assert dataset.regions == (Region("chr1", 0, 12_000), Region("chr2", 100_000, 108_000))
    peaks = dataset.values("E1")[1]
    assert (peaks[40:45] > 5).all()
    assert np.median(peaks) < 1
    assert np.isfinite(dataset.values("E1")).all()


def test_bad_counts_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no")
    with pytest.raises(BadData, match=r"is no \.npz file with counts"):
        prepare_counts(tmp_path / "x.npz", tmp_path / "d")
    with pytest.raises(BadData, match="has no track Input"):
        prepare_counts(counts_file(tmp_path / "c.npz", tracks=np.array(["a", "b", "c"])), tmp_path / "d")
    with pytest.raises(BadData, match="has no track CTCF"):
        prepare_counts(counts_file(tmp_path / "c.npz"), tmp_path / "d", ["CTCF"])
    for changes, says in (
        ({"chrom": np.array(["chrZ"] * 100)}, "has the chromosome chrZ"),
        ({"chrom": np.array(["chr1"] * 99)}, "not \\(samples, tracks, bins\\)"),
        ({"start": np.arange(100) * 200 + 7}, "off the grid"),
        ({"counts": np.zeros((1, 3, 100), np.int32)}, "Input is all zero"),
    ):
        with pytest.raises(BadData, match=says):
            prepare_counts(counts_file(tmp_path / "c.npz", **changes), tmp_path / "d")


def test_pilot_tracks_give_the_pilot_regions(real_data: Path, tmp_path: Path) -> None:
    """The published table of the pilot bins, found again from what the tracks cover."""
    sources = find_tracks(real_data / "roadmap_pilot", ["E065"], ["H3K4me3"])
    dataset = prepare(sources, tmp_path / "d", HG19, 25)
    rows = [line.split("\t") for line in (real_data / "roadmap_pilot/pilot_bins.hg19.tsv").read_text().splitlines()[1:]]
    assert dataset.regions == tuple(Region(row[2], int(row[8]), int(row[9])) for row in rows)
    assert dataset.n_bins == 1_126_469
    assert not np.isnan(dataset.values("E065")).any()
