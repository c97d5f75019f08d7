import math
import os
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from typer import Typer
from typer.testing import CliRunner

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.errors import EpifillError
from app.core.regions import Region
from training.data.pvalue import local_background, poisson_neg_log10_p
from training.simulate.chromatin import BIN_BP, CORE_MARKS, LIBRARIES, MARKS, QUIESCENT, STATES, draw_segments
from training.simulate.command import command
from training.simulate.compare import compare_with_real, read_real, simulate_tracks
from training.simulate.simulator import Simulator, merge, simulate_binned, write_sample
from training.simulate.statistics import REAL_QUANTILES, SampleTracks, measure

BLOCK_BP = 1_000_000
AROUND_BORDER = Region("chr21", 20 * BLOCK_BP - 50_000, 20 * BLOCK_BP + 50_000)


# p-values


def test_p_value_agrees_with_scipy_where_scipy_has_digits() -> None:
    counts = np.arange(0, 60)[:, None]
    expected = np.array([0.01, 0.3, 1.0, 2.5, 10.0, 40.0])
    mine = poisson_neg_log10_p(counts, expected)
    tail = poisson.sf(counts - 1, expected)
    np.testing.assert_allclose(mine, -np.log10(tail), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("count", "expected"), [(300, 1.0), (1000, 2.5), (30, 1e-12), (5000, 900.0), (20_000, 1e-3)])
def test_p_value_far_in_the_tail_is_the_log_of_the_sum(count: int, expected: float) -> None:
    terms = [k * math.log(expected) - expected - math.lgamma(k + 1) for k in range(count, count + 3000)]
    largest = max(terms)
    log_tail = largest + math.log(math.fsum(math.exp(term - largest) for term in terms))
    assert float(poisson_neg_log10_p(count, expected)) == pytest.approx(-log_tail / math.log(10), rel=1e-10)


def test_p_value_has_no_step_where_the_method_changes() -> None:
    counts = np.arange(1, 2000)
    p = poisson_neg_log10_p(counts, 3.0)
    steps = np.diff(p)
    assert np.isfinite(p).all()
    assert (steps > 0).all()
    assert np.abs(np.diff(steps[100:])).max() < 0.01


def test_p_value_of_zero_counts_is_zero_and_not_minus_zero() -> None:
    p = poisson_neg_log10_p(np.zeros(3), np.array([1e-9, 1.0, 1e6]))
    assert p.tolist() == [0, 0, 0]
    assert not np.signbit(p).any()


@pytest.mark.parametrize(("count", "expected"), [(-1, 1), (1, 0), (np.nan, 1), (1, np.inf)])
def test_p_value_refuses_what_is_no_count(count: float, expected: float) -> None:
    with pytest.raises(ValueError, match="counts must be"):
        poisson_neg_log10_p(count, expected)


def test_local_background_is_the_largest_of_the_means() -> None:
    counts = np.random.default_rng(0).poisson(0.3, (2, 500))
    got = local_background(counts, 2.0, (5, 40))
    for track, row in zip(counts, got, strict=True):
        for i in range(500):
            near = [track[max(0, i - w // 2) : i - w // 2 + w].mean() for w in (5, 40)]
            assert row[i] == pytest.approx(2.0 * max(*near, track.mean()))


def test_local_background_takes_a_given_genome_mean_and_works_on_one_track() -> None:
    assert local_background(np.zeros(10, int), 1.0, (4,), genome_mean=0.5).tolist() == [0.5] * 10
    assert local_background(np.zeros(0, int), 1.0, (4,)).shape == (0,)


# The simulation


def test_equal_seeds_give_equal_tracks_and_different_ones_different() -> None:
    first, again, other = (Simulator(seed, HG19).simulate(AROUND_BORDER).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_samples_and_marks_differ_and_do_not_depend_on_what_else_is_asked_for() -> None:
    simulator = Simulator(1, HG19)
    every = simulator.simulate(AROUND_BORDER, 0, MARKS)
    alone = Simulator(1, HG19).simulate(AROUND_BORDER, 0, ("H3K9ac",))
    np.testing.assert_array_equal(every.row("H3K9ac"), alone.row("H3K9ac"))
    assert (every.row("H3K9ac") != every.row("H3K27ac")).any()
    assert (simulator.simulate(AROUND_BORDER, 1, MARKS).values != every.values).mean() > 0.5


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, AROUND_BORDER.n_bins(BIN_BP) - 1), min_size=1, max_size=4, unique=True))
def test_a_region_cut_in_pieces_equals_the_whole(cuts: list[int]) -> None:
    whole = SHARED.simulate(AROUND_BORDER, 0, ("H3K4me3", "H3K27me3"))
    edges = [0, *sorted(cuts), whole.n_bins]
    pieces = [
        SHARED.simulate(
            Region("chr21", AROUND_BORDER.start + a * BIN_BP, AROUND_BORDER.start + b * BIN_BP), 0, whole.marks
        ).values
        for a, b in pairwise(edges)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole.values)


SHARED = Simulator(3, HG19)


def test_no_step_at_a_border_of_blocks() -> None:
    """Fragments reach over the border, so neighbouring bins are as alike there as anywhere."""
    marks = ("H3K36me3",)
    jumps, usual = [], []
    for block in range(11, 31):
        border = block * BLOCK_BP
        values = np.arcsinh(SHARED.simulate(Region("chr21", border - 2500, border + 2500), 0, marks).values[0])
        steps = np.abs(np.diff(values))
        jumps.append(steps[99])
        usual.append(steps.mean())
    assert np.mean(jumps) < 3 * np.mean(usual)


def test_a_chromosome_from_end_to_end() -> None:
    length = HG19.length("chrM")
    signal = SHARED.simulate(Region("chrM", 0, length), 0, MARKS)
    assert signal.values.shape == (len(MARKS), 663)  # 16,571 bp: the last bin has 21
    end = HG19.length("chr21")
    last = SHARED.simulate(Region("chr21", end // BIN_BP * BIN_BP, end))
    np.testing.assert_array_equal(
        last.values[:, 0], SHARED.simulate(Region("chr21", end // BIN_BP * BIN_BP - 5000, end)).values[:, -1]
    )


def test_values_are_finite_and_not_negative() -> None:
    for sample in range(len(LIBRARIES)):
        values = SHARED.simulate(Region("chr2", 0, 2 * BLOCK_BP), sample, MARKS).values
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert len(np.unique(values)) > 10_000, "a continuous background, not steps"


def test_four_samples_have_the_four_libraries() -> None:
    for seed in range(5):
        simulator = Simulator(seed, HG19)
        for turn in (0, 4, 8):
            assert {id(simulator.library(turn + i)) for i in range(4)} == {id(library) for library in LIBRARIES}


def test_segments_fill_a_block_exactly_and_hold_every_state() -> None:
    seen: set[int] = set()
    for seed in range(20):
        segments = draw_segments(np.random.default_rng(seed), 5000)
        assert segments.stretches.sum() == 5000
        assert segments.stretches.min() > 0
        assert (np.diff(segments.domain) >= 0).all()
        seen |= set(segments.state.tolist())
    assert seen == set(range(len(STATES)))
    assert STATES[QUIESCENT].name == "quiescent"


def test_quantiles_are_those_of_the_real_samples() -> None:
    """30 Mb of one seed against the stored table; promoters are few, so the highest quantile varies most."""
    regions = [Region("chr5", start * BLOCK_BP, (start + 1) * BLOCK_BP) for start in range(20, 50)]
    simulated = measure(simulate_tracks(SHARED, regions, 4))
    for mark, row in zip(CORE_MARKS, simulated.quantiles, strict=True):
        for level, (real, got) in enumerate(zip(REAL_QUANTILES[mark], row, strict=True)):
            assert abs(got - real) < 0.1 or 0.65 < got / real < 1.5, f"{mark}, level {level}: {got:.3f}, real {real}"


def test_simulated_tracks_resemble_the_real_ones() -> None:
    folder = Path(os.environ.get("EPIFILL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    folder /= "roadmap_pilot"
    if not folder.is_dir():
        pytest.skip("the real pilot data is not at hand; EPIFILL_REAL_DATA may name its folder")
    real = measure(read_real(folder, HG19))
    for mark, row in zip(CORE_MARKS, real.quantiles, strict=True):
        np.testing.assert_allclose(row, REAL_QUANTILES[mark], atol=0.002, rtol=0.001)
    regions = [Region("chr5", start * BLOCK_BP, (start + 1) * BLOCK_BP) for start in range(20, 35)]
    simulated = measure(simulate_tracks(SHARED, regions, 4))
    assert np.abs(real.between_marks - simulated.between_marks).max() < 0.2
    assert np.abs(real.between_samples - simulated.between_samples).max() < 0.15
    assert np.abs(real.autocorrelation - simulated.autocorrelation).max() < 0.25


# Files and the command


@pytest.fixture
def cli() -> Typer:
    app = Typer()
    app.command()(command)
    return app


def test_wider_bins_hold_the_mean_of_the_narrow_ones() -> None:
    end = HG19.length("chr21")
    region = Region("chr21", end - end % 200 - 4000, end)
    fine = SHARED.simulate(region).values
    (coarse,) = simulate_binned(SHARED, region, 0, CORE_MARKS, 200)
    assert coarse.bin_size_bp == 200
    np.testing.assert_allclose(coarse.values[:, 0], fine[:, :8].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(coarse.values[:, -1], fine[:, 160:].mean(axis=1), rtol=1e-6)


def test_memory_does_not_grow_with_the_region(tmp_path: Path) -> None:
    peaks = []
    for mb in (2, 8):
        simulator = Simulator(1, HG19)
        tracemalloc.start()
        write_sample(simulator, [Region("chr1", 0, mb * BLOCK_BP)], 0, CORE_MARKS, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 60e6


def test_command_writes_tracks_that_read_back(tmp_path: Path, cli: Typer) -> None:
    region = "chr21:33,746,325-33,760,000"
    options = ["--out", str(tmp_path), "--samples", "2", "--mark", "H3K4me3", "--mark", "DNase", "--seed", "7"]
    result = CliRunner().invoke(cli, [*options, "--region", region, "--region", "chrM"])
    assert result.exit_code == 0, result.output
    names = {f"SIM00{s}-{mark}.pval.signal.bigWig" for s in (1, 2) for mark in ("H3K4me3", "DNase")}
    assert {path.name for path in tmp_path.iterdir()} == names
    whole = Region("chr21", 33_746_325, 33_760_000)
    file = TrackFile(tmp_path / "SIM002-DNase.pval.signal.bigWig", "SIM002-DNase")
    with Tracks({"DNase": file}, HG19, BIN_BP) as tracks:
        expected = Simulator(7, HG19).simulate(whole, 1, ("DNase",))
        np.testing.assert_array_equal(tracks.read(whole).values, expected.values)
        assert not np.isnan(tracks.read(Region("chrM", 0, 16_571)).values).any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "No region is given"),
        (["--region", "chr99"], "not a chromosome of hg19"),
        (["--region", "chr21:5-2"], "is backwards"),
        (["--region", "chr21:1-99,999,999"], "passes the end"),
        (["--region", "chrM", "--mark", "H3K99"], "Mark 'H3K99' cannot be simulated"),
        (["--region", "chrM", "--mark", "DNase", "--mark", "DNase"], "given twice"),
        (["--region", "chrM", "--assembly", "mm10"], "Assembly 'mm10' is not known"),
        (["--region", "chrM", "--bin-size", "30"], "multiple of 25"),
        (["--compare", "no/such/folder"], "holds none of the wanted tracks"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, cli: Typer, options: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["--out", str(tmp_path), *options])
    assert isinstance(result.exception, EpifillError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [["--seed", "-1"], ["--samples", "0"], ["--samples", "many"], ["--bin-size", "1"]])
def test_bad_numbers_are_usage_errors(tmp_path: Path, cli: Typer, options: list[str]) -> None:
    assert CliRunner().invoke(cli, ["--out", str(tmp_path), "--region", "chrM", *options]).exit_code == 2


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, cli: Typer) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(cli, ["--out", str(tmp_path / "file" / "folder"), "--region", "chrM"])
    assert isinstance(result.exception, EpifillError)
    assert "cannot be made" in str(result.exception)


def test_regions_merge_in_genome_order() -> None:
    regions = [Region("chr2", 10, 30), Region("chr1", 500, 600), Region("chr1", 590, 700), Region("chr2", 50, 60)]
    assert merge(regions, HG19, 25) == [Region("chr1", 500, 700), Region("chr2", 0, 75)]


def test_comparison_of_simulated_tracks_with_themselves(tmp_path: Path) -> None:
    regions = [Region("chr21", 33_746_325, 33_996_325), Region("chr22", 30_000_000, 30_250_000)]
    for sample in range(2):
        write_sample(SHARED, regions, sample, CORE_MARKS, tmp_path)
    read = read_real(tmp_path, HG19)
    assert read.regions == tuple(regions)
    assert isinstance(read, SampleTracks)
    np.testing.assert_array_equal(read.values, simulate_tracks(SHARED, regions, 2).values)
    out = tmp_path / "out"
    out.mkdir()
    compare_with_real(SHARED, tmp_path, out)
    for line in (out / "comparison.md").read_text().splitlines():
        for cell in line.split("|")[2:-1]:
            left, _, right = cell.partition(" / ")
            assert not right or left.strip() == right.strip()
    assert (out / "comparison.png").stat().st_size < 300_000
