from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.assemblies import HG19, HG38, recognise
from app.core.binned import BinnedTracks, write_binned
from app.core.errors import AssemblyMismatch
from app.core.quality import QualityMeter, examine, units_warning
from app.core.quantiles import Distribution, quantile_function
from app.core.regions import PIECE_BINS, Region

PIECE_BP = PIECE_BINS * 25
UNKNOWN = Distribution(quantile_function([]), 0.0)


def binned(folder: Path, parts: list[tuple[Region, np.ndarray]]) -> BinnedTracks:
    folder.mkdir()
    write_binned(folder, HG19, 25, UNKNOWN, iter(parts))
    return BinnedTracks({"m": folder})


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_what_was_written_is_read_at_every_place(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """chr21 from piece 3 and the whole of chrM, whose last bin is partial; a third of the bins not covered."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    first = Region("chr21", 3 * PIECE_BP, 3 * PIECE_BP + 9000 * 25)
    parts = []
    for region in (first, Region("chrM", 0, 16_571)):
        values = rng.random(region.n_bins(25)).astype(np.float32)
        values[rng.random(len(values)) < 0.3] = np.nan
        parts.append((region, values))
    tracks = binned(tmp_path_factory.mktemp("b") / "t", parts)
    whole = np.full(1_925_196, np.nan, np.float32)
    whole[3 * PIECE_BINS : 3 * PIECE_BINS + 9000] = parts[0][1]
    left = data.draw(st.integers(2 * PIECE_BINS, 3 * PIECE_BINS + 9500))
    right = data.draw(st.integers(left + 1, left + 9000))
    read = tracks.read(Region("chr21", left * 25, right * 25))
    np.testing.assert_array_equal(read.values[0], whole[left:right])
    np.testing.assert_array_equal(tracks.read(parts[1][0]).values[0], parts[1][1])
    end = tracks.read(Region("chrM", 16_550, 16_571)).values[0]
    np.testing.assert_array_equal(end, parts[1][1][-1:])
    there = np.flatnonzero(~np.isnan(whole))
    assert tracks.covered_spans()["chr21"] == Region("chr21", int(there[0]) * 25, (int(there[-1]) + 1) * 25)


def test_what_has_no_value_takes_no_room_and_reads_as_nan(tmp_path: Path) -> None:
    values = np.full(40 * PIECE_BINS, np.nan, np.float32)
    values[7 * PIECE_BINS + 5] = 0
    tracks = binned(tmp_path / "t", [(Region("chr1", 0, 40 * PIECE_BP), values)])
    assert (tmp_path / "t/pieces.npy").stat().st_size == 4 * PIECE_BINS
    read = tracks.read(Region("chr1", 0, 40 * PIECE_BP)).values[0]
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(read)), [7 * PIECE_BINS + 5])
    assert read[7 * PIECE_BINS + 5] == 0
    assert np.isnan(tracks.read(Region("chrY", 0, 1000)).values).all()


def test_an_empty_track_reads_as_nan(tmp_path: Path) -> None:
    tracks = binned(tmp_path / "t", [])
    assert np.isnan(tracks.read(Region("chr1", 0, 1000)).values).all()
    assert tracks.covered_spans() == {}


def test_tracks_of_different_assemblies_do_not_mix(tmp_path: Path) -> None:
    for name, assembly in (("a", HG19), ("b", HG38)):
        (tmp_path / name).mkdir()
        write_binned(tmp_path / name, assembly, 25, UNKNOWN, iter([]))
    with pytest.raises(AssemblyMismatch, match="hg19 and hg38"):
        BinnedTracks({"x": tmp_path / "a", "y": tmp_path / "b"})


def test_quality_is_that_of_all_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(0.5, 1, 100_000).astype(np.float32)
    values[::10] = np.nan
    meter = QualityMeter(HG19, 25)
    for part in np.array_split(values, 37):
        meter.add(part)
    quality = meter.finish(quantile_function(values))
    assert quality is not None
    there = values[~np.isnan(values)]
    assert quality.covered_bins == 90_000
    assert quality.covered_fraction == pytest.approx(90_000 / 123_832_000, rel=0.01)
    assert quality.mean == pytest.approx(there.mean(dtype=float))
    assert (quality.minimum, quality.maximum) == (there.min(), there.max())
    assert quality.quantiles["0.5"] == pytest.approx(np.quantile(there, 0.5))


def with_outliers(rng: np.random.Generator, every: int) -> np.ndarray:
    values = rng.gamma(0.5, 1, 100_000)
    values[::every] = 999_999
    return values


@pytest.mark.parametrize(
    ("values", "says", "usable"),
    [
        (lambda rng: rng.normal(0, 1, 10_000), "values are negative", True),
        (lambda rng: rng.gamma(20, 0.05, 10_000), "look like fold changes", True),
        (lambda rng: rng.poisson(rng.gamma(0.5, 60, 10_000)), "look like counts of reads", True),
        (lambda rng: with_outliers(rng, 50_000), "Single values lie far above the rest: up to 999,999", True),
        (lambda rng: with_outliers(rng, 1000), "0.10% of its values lie far above the rest, up to 999,999", False),
        (lambda rng: np.full(100, 3.0), "every value is 3", False),
        (lambda rng: np.zeros(100), "every value is 0", False),
        (lambda rng: np.full(100, 1e-42) * rng.integers(1, 3, 100), "as good as empty", False),
        (lambda rng: rng.gamma(0.5, 1, 10_000), None, True),
        (lambda rng: np.rint(rng.gamma(0.5, 1, 10_000)), None, True),  # p-values that were rounded
    ],
)
def test_odd_tracks_are_warned_of_or_set_aside(values, says: str | None, usable: bool) -> None:
    odd = values(np.random.default_rng(0)).astype(np.float32)
    verdict = examine(Distribution(quantile_function(odd), 0.5, odd), float(odd.min()), float(odd.max()))
    assert (verdict.unusable is None) == usable
    said = [*verdict.warnings, *([verdict.unusable] if verdict.unusable else [])]
    assert (says is None and not said) or (says is not None and says in said[0])


def test_positions_in_bins_are_warned_of() -> None:
    whole = {chrom: Region(chrom, 0, length) for chrom, length in HG19.chromosomes.items()}
    in_bins = {chrom: Region(chrom, 400, region.end // 25) for chrom, region in whole.items()}
    (warning,) = units_warning(in_bins, HG19)
    assert "as if positions were counted in bins and not in bases" in warning
    assert "on chr1 up to 9,970,024 of 249,250,621 bp" in warning
    assert units_warning(whole, HG19) == []
    assert units_warning({**in_bins, "chr7": whole["chr7"]}, HG19) == []
    assert units_warning({"chr1": Region("chr1", 9_000_000, 9_500_000)}, HG19) == []
    assert units_warning({}, HG19) == []


def test_no_value_no_quality() -> None:
    meter = QualityMeter(HG19, 25)
    meter.add(np.full(10, np.nan, np.float32))
    assert meter.finish(quantile_function([])) is None


def test_an_assembly_is_recognised_or_asked_for() -> None:
    assert recognise({"21": 48_129_895, "chrUn": 5}, "a.bw") is HG19
    assert recognise({"chr21": 46_709_983}, "a.bw") is HG38
    with pytest.raises(AssemblyMismatch, match=r"not known from its chromosomes \(chr1 of 5 bp\)"):
        recognise({"chr1": 5}, "a.bw")
    with pytest.raises(AssemblyMismatch, match="not known"):
        recognise({"chr21": 46_709_983, "chr1": 249_250_621}, "a.bw")
