"""One quantile function per track: that of the whole track, whatever region is asked for."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.binned import BinnedTracks
from app.core.quantiles import LEVELS, Distribution, look_through, quantile_function
from app.core.regions import Region
from app.store.files import ORIGINAL
from app.store.ingest import Limits, take_in
from tests.conftest import MARKS
from tests.test_ingest import sparse_track
from training.data.dataset import Dataset


def ingest(folder: Path, region: Region | None = None) -> Distribution:
    asyncio.run(take_in(folder / ORIGINAL, folder, "x.bw", "hg19", 25, Limits(), [region] if region else []))
    return BinnedTracks({"m": folder}).distribution("m")


def of_file(path: Path) -> Distribution:
    with Tracks({"m": TrackFile(path, "x")}, HG19, 25) as tracks:
        return tracks.distribution("m")


def assert_same(one: Distribution, other: Distribution) -> None:
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    assert one.covered_fraction == other.covered_fraction


def test_levels_rise_from_0_to_1() -> None:
    assert (LEVELS[0], LEVELS[-1]) == (0, 1)
    assert list(LEVELS) == sorted(set(LEVELS))


def test_quantiles_are_those_of_the_values_that_are_there() -> None:
    values = np.random.default_rng(0).gamma(0.5, 1, 1001).astype(np.float32)
    with_holes = np.insert(values, [0, 7, 500], np.nan)
    found = quantile_function(with_holes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.quantile(values, LEVELS), rtol=1e-6)
    assert np.isnan(quantile_function([np.nan, np.nan])).all()


@pytest.mark.parametrize(("pieces", "step"), [(1, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 3)])
def test_every_kth_piece_is_looked_at_so_that_1024_are_enough(pieces: int, step: int) -> None:
    looked_at: list[int] = []

    def read(piece: int) -> np.ndarray:
        looked_at.append(piece)
        return np.array([piece, np.nan], np.float32)

    found = look_through(range(pieces), read, assembly_bins=10 * pieces)
    assert looked_at == list(range(0, pieces, step))
    assert found.covered_fraction == pytest.approx(0.1)
    np.testing.assert_array_equal(found.quantiles, quantile_function(looked_at))


def test_pieces_that_turn_out_empty_are_not_the_whole_track() -> None:
    found = look_through(range(3000), lambda piece: np.array([1.0 if piece % 3 == 1 else np.nan], np.float32), 3000)
    assert found.quantiles.tolist() == [1.0] * len(LEVELS)
    empty = look_through(range(3000), lambda piece: np.array([np.nan], np.float32), 3000)
    assert np.isnan(empty.quantiles).all()
    assert empty.covered_fraction == look_through([], np.asarray, 3000).covered_fraction == 0


def test_the_region_that_is_asked_for_changes_nothing(
    tracks: dict[str, Path], dataset: Dataset, tmp_path: Path
) -> None:
    """A file on disk, one taken in whole, and one taken in around a region, or where it has nothing."""
    expected = quantile_function(dataset.values("B")[MARKS.index("H3K4me1")])
    assert_same(of_file(tracks["H3K4me1"]), Distribution(expected, 2653 / HG19.n_bins(25)))
    for number, region in enumerate(
        (None, Region("chr21", 33_750_000, 33_751_000), Region("chrM", 0, 25), Region("chr1", 0, 1000))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / ORIGINAL).write_bytes(tracks["H3K4me1"].read_bytes())
        assert_same(ingest(folder, region), of_file(tracks["H3K4me1"]))


def test_of_a_long_track_the_same_pieces_are_looked_at_on_every_way(tmp_path: Path) -> None:
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
        sparse_track(tmp_path / name / ORIGINAL, 3000)
    whole = ingest(tmp_path / "whole")
    assert_same(whole, of_file(tmp_path / "whole" / ORIGINAL))
    assert_same(whole, ingest(tmp_path / "part", Region("chr21", 30_000_000, 30_001_000)))
    assert 0.8 < whole.covered_fraction / (3000 * 16 / HG19.n_bins(25)) < 1.2


def test_a_sample_that_was_stored_without_them_has_them_from_its_pieces(
    tracks: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / ORIGINAL).write_bytes(tracks["H3K4me1"].read_bytes())
    new = ingest(tmp_path)
    form = json.loads((tmp_path / "form.json").read_text())
    del form["quantiles"], form["covered_fraction"]
    (tmp_path / "form.json").write_text(json.dumps(form))
    assert_same(BinnedTracks({"m": tmp_path}).distribution("m"), new)
