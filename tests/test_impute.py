"""The fully convolutional graph is the paper's procedure: cut every window, run the network, average."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.assemblies import HG19, Assembly
from app.core.bigwig.read import TrackFile, Tracks
from app.core.errors import NoOverlap, RegionTooShort
from app.core.impute import Imputation, impute, run_model
from app.core.marks import Plan, plan
from app.core.model import Model
from app.core.panel import Gaps
from app.core.quantiles import LEVELS, Distribution, quantile_function
from app.core.regions import Region
from app.core.signal import Signal
from tests.conftest import CHR21, CHRM, MARKS, TOY, random_tracks
from tests.panelled import KNOTS, expected
from training.data.dataset import Dataset
from training.paper.network import PaperAutoencoder, SlidingAutoencoder
from training.paper.train import start


def literal_procedure(network: PaperAutoencoder, values: np.ndarray) -> np.ndarray:
    """Every window of (marks, bins) through the network; each bin the mean over the windows that contain it."""
    marks, bins = values.shape
    window = network.window
    total, count = np.zeros((marks, bins)), np.zeros(bins)
    starts = range(bins - window + 1)
    windows = torch.from_numpy(np.stack([np.nan_to_num(values[:, s : s + window]) for s in starts]))
    with torch.no_grad():
        outputs = network(windows).numpy()
    for s, output in zip(starts, outputs, strict=True):
        total[:, s : s + window] += output
        count[s : s + window] += 1
    return total / count


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


class Known:
    """A sample that is known over one region only, NaN elsewhere; values are float32 (marks, bins)."""

    def __init__(self, values: np.ndarray, region: Region) -> None:
        self.values, self.region = values, region

    def read(self, wanted: Region) -> Signal:
        out = np.full((len(MARKS), wanted.n_bins(25)), np.nan, np.float32)
        shift = (wanted.start - self.region.start) // 25
        for i in range(out.shape[1]):
            if 0 <= i + shift < self.values.shape[1]:
                out[:, i] = self.values[:, i + shift]
        return Signal(out, MARKS, wanted, 25)

    def distribution(self, mark: str) -> Distribution:
        row = self.values[MARKS.index(mark)]
        return Distribution(quantile_function(row), float((~np.isnan(row)).sum()) / HG19.n_bins(25))


@pytest.mark.parametrize("masked", [1, 2, 3, 4])
@pytest.mark.parametrize("bins", [41, 42, 80, 81, 82, 663])
def test_sliding_network_equals_the_literal_procedure(masked: int, bins: int) -> None:
    torch.manual_seed(bins)
    network = PaperAutoencoder(5, 41, 64)
    values = random_tracks(np.random.default_rng(bins), 5, bins)
    values[:masked] = np.nan
    seen = torch.from_numpy(values)[None]
    with torch.no_grad():
        sliding = SlidingAutoencoder(network)(torch.nan_to_num(seen), (~seen.isnan()).float())[0].numpy()
    assert relative_difference(sliding, literal_procedure(network, values)) < 1e-5


@pytest.mark.parametrize("window", [1, 2, 7, 40])
def test_other_windows_and_mark_lists(window: int) -> None:
    torch.manual_seed(0)
    network = PaperAutoencoder(3, window, 16)
    values = random_tracks(np.random.default_rng(0), 3, 90)
    seen = torch.from_numpy(values)[None]
    with torch.no_grad():
        sliding = SlidingAutoencoder(network)(seen, torch.ones_like(seen))[0].numpy()
    assert relative_difference(sliding, literal_procedure(network, values)) < 1e-5


def test_overlap_average_of_an_identity_network_returns_its_input() -> None:
    network = PaperAutoencoder(2, 5, 10)
    with torch.no_grad():
        for layer in (network.encode, network.decode):
            layer.weight.copy_(torch.eye(10))
            layer.bias.zero_()
        signal = torch.rand(1, 2, 50)
        out = SlidingAutoencoder(network)(signal, torch.ones_like(signal))
    torch.testing.assert_close(out, signal, rtol=1e-6, atol=1e-6)


def weights_of_toy(dataset: Dataset) -> PaperAutoencoder:
    """The toy model's network: its seed decides its weights."""
    return start(dataset, ["A", "B"], TOY).network


@pytest.mark.parametrize("mask", [["H3K4me3"], ["H3K4me1", "H3K9me3"], list(MARKS[1:])])
@pytest.mark.parametrize("tile_bins", [10, 100, 4096])
def test_whole_chromosome_equals_the_literal_procedure(
    model: Model, dataset: Dataset, mask: list[str], tile_bins: int
) -> None:
    """chrM: both ends of a chromosome whose 16,571 bp are no multiple of 25."""
    values = np.array(dataset.values("A")[:, :663])
    seen = values.copy()
    seen[[MARKS.index(mark) for mark in mask]] = np.nan
    expected = literal_procedure(weights_of_toy(dataset), seen)
    result = impute(Known(values, CHRM), model, plan(model, MARKS, mask), CHRM, tile_bins=tile_bins)
    rows = [MARKS.index(mark) for mark in result.imputed.marks]
    assert relative_difference(result.imputed.values, expected[rows]) < 1e-5
    np.testing.assert_array_equal(result.truth.values, values[[MARKS.index(m) for m in result.truth.marks]])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_region_tile_and_batch_size_change_nothing(model: Model, dataset: Dataset, data: st.DataObject) -> None:
    """A part of the chromosome, even one bin, is what the whole chromosome's result says there."""
    values = np.array(dataset.values("A")[:, :663])
    settled = plan(model, MARKS, ["H3K4me3"])
    whole = impute(Known(values, CHRM), model, settled, CHRM).imputed
    start = data.draw(st.integers(0, 16_570))
    end = data.draw(st.integers(start + 1, 16_571))
    region = Region("chrM", start, end).snap(25, 16_571)
    tile_bins, batch = data.draw(st.integers(1, 700)), data.draw(st.integers(1, 9))
    part = impute(Known(values, CHRM), model, settled, region, tile_bins=tile_bins, batch=batch).imputed
    expected = whole.crop(region).values
    np.testing.assert_allclose(part.values, expected, rtol=0, atol=1e-5 * float(np.abs(whole.values).max()))


def test_covered_by_any_observed_mark_gives_a_value_and_elsewhere_nan(model: Model) -> None:
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[:, 500:700] = np.nan  # covered by none
    values[1:, 800:900] = np.nan  # covered by H3K4me1 alone
    values[:3, 1000:1010] = np.nan
    result = impute(Known(values, CHR21), model, plan(model, MARKS, ["H3K9me3"]), CHR21).imputed
    expected = np.zeros(CHR21.n_bins(25), bool)
    expected[500:700] = True
    np.testing.assert_array_equal(np.isnan(result.row("H3K9me3")), expected)


def test_the_masked_marks_own_coverage_does_not_count(model: Model) -> None:
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[:4, 100:200] = np.nan
    result = impute(Known(values, CHR21), model, plan(model, MARKS, ["H3K9me3"]), CHR21).imputed
    assert np.isnan(result.row("H3K9me3")[100:200]).all()


def test_missing_is_not_zero(model: Model) -> None:
    """A measured zero is a value: the bins are covered. The same zeros not measured are not."""
    zeros = np.zeros((5, CHR21.n_bins(25)), np.float32)
    settled = Plan(MARKS[:4], (), MARKS[4:])
    assert not np.isnan(impute(Known(zeros, CHR21), model, settled, CHR21).imputed.values).any()
    nothing = impute(Known(np.full_like(zeros, np.nan), CHR21), model, settled, CHR21)
    assert np.isnan(nothing.imputed.values).all()
    with pytest.raises(NoOverlap, match="No observed track has a value in chr21:33,750,000-33,800,000"):
        nothing.trim()


def test_trim_cuts_only_the_uncovered_ends(model: Model) -> None:
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[:, :10] = values[:, 50:60] = values[:, -5:] = np.nan
    trimmed = impute(Known(values, CHR21), model, plan(model, MARKS, ["H3K9me3"]), CHR21).trim()
    assert trimmed.imputed.region == trimmed.truth.region == Region("chr21", 33_750_250, 33_799_875)
    assert np.isnan(trimmed.imputed.values[0, 40:50]).all()


def test_scores_compare_with_the_masked_track(model: Model) -> None:
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    result = impute(Known(values, CHR21), model, plan(model, MARKS, ["H3K9me3"]), CHR21)
    (mark, score), *others = result.scores().items()
    assert (mark, others, score.bins) == ("H3K9me3", [], 2000)
    expected = np.corrcoef(values[4], result.imputed.row("H3K9me3"))[0, 1]
    assert score.pearson == pytest.approx(expected, abs=1e-6)


def test_a_chromosome_shorter_than_the_window_is_named(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "assembly", property(lambda self: Assembly("tiny", {"chrT": 1000})))
    with pytest.raises(RegionTooShort, match="chrT has only 40 bins of 25 bp, fewer than the 41 that toy needs"):
        impute(
            Known(np.ones((5, 40), np.float32), Region("chrT", 0, 1000)),
            model,
            plan(model, MARKS[:4]),
            Region("chrT", 0, 500),
        )


def known_quantiles(values: np.ndarray, hidden: list[str]) -> np.ndarray:
    """The quantile functions at the levels of `panelled`; NaN for the hidden marks."""
    rows = np.stack([quantile_function(row)[[LEVELS.index(level) for level in KNOTS]] for row in values])
    rows[[MARKS.index(mark) for mark in hidden]] = np.nan
    return rows


def test_quantiles_and_panel_reach_the_model_and_a_masked_marks_do_not(
    panel_model: Model, panel_values: np.ndarray
) -> None:
    """H3K9me3 is strong and masked: what it measured shows neither in the values nor through its quantiles."""
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[4] *= 1000
    values[:, 40:50] = np.nan
    values[1, 60:90] = np.nan
    result = impute(Known(values, CHR21), panel_model, plan(panel_model, MARKS, ["H3K9me3", "H3K4me3"]), CHR21)
    seen = values.copy()
    seen[[1, 4]] = np.nan
    hidden = known_quantiles(values, ["H3K9me3", "H3K4me3"])
    told = expected(seen, hidden, panel_values)[:, [1, 4]]
    told[:, :, 40:50] = np.nan
    for signal, rows in zip(result.parts().values(), told, strict=True):
        assert signal.marks == ("H3K4me3", "H3K9me3")
        np.testing.assert_allclose(signal.values, rows, rtol=1e-5)
    assert list(result.parts()) == ["imputed", "lower", "upper"]


def test_where_the_panel_had_nothing_is_told(panel_model: Model) -> None:
    """From bin 1500 on; uncovered bins are not imputed and do not count."""
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[:, :10] = values[:, 1600:1700] = values[:, -5:] = np.nan
    result = impute(Known(values, CHR21), panel_model, plan(panel_model, MARKS, ["H3K9me3"]), CHR21)
    regions = (Region("chr21", 33_787_500, 33_790_000), Region("chr21", 33_792_500, 33_799_875))
    gaps = Gaps(395, regions, {"H3K9me3": 395})
    trimmed = result.trim()
    assert result.gaps == trimmed.gaps == gaps
    assert {part.region for part in trimmed.parts().values()} == {Region("chr21", 33_750_250, 33_799_875)}


def test_a_model_without_optional_parts_has_none_of_them(model: Model) -> None:
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    result = impute(Known(values, CHR21), model, plan(model, MARKS, ["H3K9me3"]), CHR21)
    assert list(result.parts()) == ["imputed"]
    assert result.lower is result.upper is result.gaps is None


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_with_every_optional_part_region_tile_and_batch_change_nothing(
    panel_model: Model, whole_panelled: tuple[Known, Imputation], data: st.DataObject
) -> None:
    source, whole = whole_panelled
    first = data.draw(st.integers(0, 1999))
    last = data.draw(st.integers(first + 1, min(2000, first + 700)))
    region = Region("chr21", CHR21.start + 25 * first, CHR21.start + 25 * last)
    tile_bins, batch = data.draw(st.integers(1, 700)), data.draw(st.integers(1, 9))
    settled = plan(panel_model, MARKS, ["H3K4me3"])
    part = impute(source, panel_model, settled, region, tile_bins=tile_bins, batch=batch)
    for name, signal in part.parts().items():
        np.testing.assert_allclose(signal.values, whole.parts()[name].crop(region).values, rtol=1e-5)


@pytest.fixture(scope="module")
def whole_panelled(panel_model: Model) -> tuple[Known, Imputation]:
    """A sample over CHR21, 20 bins of it not covered, and H3K4me3 imputed over all of it."""
    values = random_tracks(np.random.default_rng(3), 5, CHR21.n_bins(25))
    values[:, 700:720] = np.nan
    source = Known(values, CHR21)
    return source, impute(source, panel_model, plan(panel_model, MARKS, ["H3K4me3"]), CHR21)


def test_tiles_are_wide_against_the_halo(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []

    def run(_: Model, values: np.ndarray, *rest: object) -> np.ndarray:
        widths.append(values.shape[2])
        return values[:, None]

    monkeypatch.setattr(Model, "run", run)
    monkeypatch.setattr(model, "manifest", model.manifest.model_copy(update={"halo_bins": 1000}))
    result = run_model(model, np.ones((5, 40_000), np.float32), first=100)
    assert widths == [17_100, 18_000, 8_900]
    assert result.shape == (1, 5, 39_900)


def test_bundled_model_is_its_checkpoints_network(real_data: Path) -> None:
    """On a real locus the committed graph equals the literal procedure with the weights it holds."""
    folder = Path(__file__).parents[1] / "models/paper-core5"
    model = Model(folder)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(folder / "model.onnx").graph.initializer}
    network = PaperAutoencoder(5, 41, 2000)
    with torch.no_grad():
        network.encode.weight.copy_(torch.tensor(weights["encode.weight"]).reshape(2000, 205))
        network.encode.bias.copy_(torch.tensor(weights["encode.bias"]))
        network.decode.weight.copy_(torch.tensor(weights["decode.weight"]).reshape(2000, 205).T)
        network.decode.bias.copy_(torch.tensor(weights["per_window"])[0, :5].flatten())
    files = {mark: TrackFile(real_data / f"roadmap_pilot/E065-{mark}.pval.signal.bigWig", mark) for mark in model.marks}
    region = Region("chr21", 33_800_000, 33_810_000)
    with Tracks(files, model.assembly, 25) as tracks:
        result = impute(tracks, model, plan(model, MARKS, ["H3K4me3"]), region).imputed
        seen = tracks.read(region.extend(1000, 48_129_895)).values.copy()
    seen[1] = np.nan
    expected = literal_procedure(network, seen)[1, 40:-40]
    assert relative_difference(result.values[0], expected) < 1e-5
