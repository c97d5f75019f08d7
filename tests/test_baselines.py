"""The baselines: what they compute, that hidden means hidden, samples without a mark, bins without a value."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.preprocessing import StandardScaler

from tests.conftest import CHR21, CHRM, MARKS, TOY, random_tracks
from training.baselines.boosting import WINDOW as BOOSTING_WINDOW
from training.baselines.boosting import Boosting, hide
from training.baselines.ridge import Ridge, solve
from training.baselines.samples import NearestSample, PanelMean, SampleMeans, similarity
from training.baselines.surroundings import Surroundings, Track
from training.common.method import Method
from training.data.dataset import Dataset, create_dataset, finish
from training.data.index import Index
from training.paper.evaluate import impute_hidden
from training.paper.method import PaperNetwork

METHODS: list[Method] = [
    PanelMean("panel-mean"),
    PanelMean("panel-mean-raw", raw=True),
    NearestSample("nearest-sample"),
    Ridge("ridge"),
    Ridge("ridge-mean", with_mean=True),
    Boosting("boosting", rows=900, trees=5),
    Boosting("boosting-mean", with_mean=True, rows=900, trees=5),
    PaperNetwork("paper", recipe=TOY),
]
each_method = pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])


class Changed(Dataset):
    """A data set whose sample C has other values."""

    changed: np.ndarray

    def values(self, sample: str) -> np.ndarray:
        return self.changed if sample == "C" else super().values(sample)


def make(folder: Path, arrays: dict[str, np.ndarray], marks: Sequence[str] = MARKS) -> Dataset:
    """A data set of the given tracks, over chrM and a part of chr21."""
    regions = [(r.chrom, r.start, r.end) for r in (CHRM, CHR21)]
    index = Index(
        assembly="hg19", bin_size_bp=25, marks=list(marks), samples=list(arrays), regions=regions, source="test"
    )
    created = create_dataset(folder, index)
    for sample, values in arrays.items():
        created[sample][:] = values
    return finish(folder, index, created)


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Samples P, Q, R and S; the second mark is, in arcsinh, twice the first one bin to the left, plus one."""
    rng = np.random.default_rng(3)
    arrays = {}
    for sample in "PQRS":
        values = random_tracks(rng, 5, 2663)
        values[1] = np.sinh(2 * np.arcsinh(np.roll(values[0], 1)) + 1)
        arrays[sample] = values
    return make(tmp_path_factory.mktemp("related"), arrays)


@each_method
def test_hidden_means_hidden(method: Method, dataset: Dataset, tmp_path: Path) -> None:
    """Of the held-out sample nothing but the observed marks is looked at, in the fit or after."""
    observed = ("H3K4me1", "H3K27me3")
    changed = Changed(dataset.folder, dataset.index)
    changed.changed = np.array(dataset.values("C"))
    first = method.fit(dataset, ["A", "B"], tmp_path / "1").impute(dataset, "C", observed).values
    changed.changed[[1, 2, 4]] = 99
    second = method.fit(changed, ["A", "B"], tmp_path / "2").impute(changed, "C", observed).values
    hidden = [1, 2, 4]
    np.testing.assert_array_equal(first[hidden], second[hidden])
    assert first.dtype == np.float32
    assert first.shape == (5, dataset.n_bins)
    gaps = np.isnan(first[hidden]).any(axis=0)
    assert not gaps.any() or (method.name == "nearest-sample" and gaps.sum() == 10)  # those of the copied sample


@each_method
def test_the_same_seed_gives_the_same(method: Method, dataset: Dataset, tmp_path: Path) -> None:
    one, two = (method.fit(dataset, ["A", "B"], tmp_path / name).impute(dataset, "C", MARKS[:2]) for name in "12")
    np.testing.assert_array_equal(one.values[2:], two.values[2:])


@each_method
def test_a_training_sample_may_lack_a_mark_and_bins(method: Method, dataset: Dataset, tmp_path: Path) -> None:
    imputed = method.fit(dataset, ["B", "C"], tmp_path).impute(dataset, "A", ("H3K4me1",)).values[1:]
    missing = np.isnan(imputed)
    assert not missing[:3].any()
    assert np.flatnonzero(missing[3]).tolist() in ([], list(range(900, 910)))


@each_method
def test_a_mark_of_nobody(method: Method, dataset: Dataset, tmp_path: Path) -> None:
    """What no training sample has cannot be imputed, and is no zero; only the paper's network says something."""
    imputed = method.fit(dataset, ["C"], tmp_path).impute(dataset, "A", MARKS[:4]).values[4]
    assert np.isnan(imputed).all() != (method.name == "paper")


@each_method
def test_bins_that_the_sample_lacks(method: Method, dataset: Dataset, tmp_path: Path) -> None:
    """Without the panel there is nothing to say about them."""
    imputed = method.fit(dataset, ["A", "C"], tmp_path).impute(dataset, "B", MARKS[:3]).values[3]
    silent = method.name in ("ridge", "boosting", "paper")
    assert np.flatnonzero(np.isnan(imputed)).tolist() == (list(range(900, 910)) if silent else [])


def test_the_panel_mean_can_leave_a_sample_out(dataset: Dataset) -> None:
    everything = np.stack([dataset.values(sample) for sample in "ABC"])
    panel = SampleMeans(dataset, ["A", "B", "C"])
    np.testing.assert_allclose(panel.mean(), np.nanmean(np.arcsinh(everything), axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        panel.mean("A")[:4], np.nanmean(np.arcsinh(everything[1:, :4]), axis=0), rtol=1e-4, atol=1e-6
    )
    assert np.isnan(SampleMeans(dataset, ["A", "C"]).mean("A")[4]).all()
    raw = PanelMean("raw", raw=True).fit(dataset, ["A", "B"], Path()).impute(dataset, "C", MARKS[:1])
    np.testing.assert_allclose(raw.values, np.nanmean(everything[:2], axis=0), rtol=1e-6)


def test_the_nearest_sample_is_copied(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    near, far, held_out = (random_tracks(rng, 5, 2663) for _ in range(3))
    near[:2] += held_out[:2]
    near[3], far[4] = np.nan, np.nan
    near[4] = np.nan
    dataset = make(tmp_path, {"far": far, "held": held_out, "near": near})
    assert similarity(dataset, "held", "near", MARKS[:2]) > 0.4 > similarity(dataset, "held", "far", MARKS[:2])
    assert similarity(dataset, "held", "near", MARKS[3:4]) == -1
    copied = NearestSample("nearest").fit(dataset, ["far", "near"], tmp_path).impute(dataset, "held", MARKS[:2]).values
    np.testing.assert_array_equal(copied[2], near[2])
    np.testing.assert_array_equal(copied[3], far[3])
    assert np.isnan(copied[4]).all()


def test_surroundings_stay_within_a_region() -> None:
    values = np.array([1, 2, np.nan, 4, 10, 20], dtype=np.float32)
    track = Track(values, np.array([0, 4, 6]), Surroundings(offsets=(-1, 0, 2), widths=(3,)))
    nan = np.nan
    expected = [
        [nan, 1, 2, nan, nan, 10],
        [1, 2, nan, 4, 10, 20],
        [nan, 4, nan, nan, nan, nan],
        [1.5, 1.5, 3, 4, 15, 15],
    ]
    np.testing.assert_array_equal(track.features(np.arange(6)), np.array(expected, dtype=np.float32))
    np.testing.assert_array_equal(track.features(np.array([3, 0])), np.array(expected, dtype=np.float32)[:, [3, 0]])


def test_ridge_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 3
    x[:, 2] = 7  # a constant
    y = x @ [1.0, -2.0, 0.0, 0.5] + rng.normal(size=500)
    features = np.column_stack([np.ones(500), x, y])
    weights = solve(features.T @ features, [1, 2, 3, 4], 5, penalty=0.1)
    scaler = StandardScaler().fit(x)
    theirs = SklearnRidge(alpha=0.1 * 500).fit(scaler.transform(x), y)
    np.testing.assert_allclose(features[:, :6] @ weights, theirs.predict(scaler.transform(x)), rtol=1e-4, atol=1e-4)
    assert weights[5] == 0


@pytest.mark.parametrize("with_mean", [False, True])
def test_ridge_finds_a_linear_relation_from_any_marks(related: Dataset, tmp_path: Path, with_mean: bool) -> None:
    imputer = Ridge("ridge", with_mean=with_mean, penalty=1e-6, every=1).fit(related, ["P", "Q", "R"], tmp_path)
    inner = slice(50, 600)
    truth = np.arcsinh(related.values("S")[1])[inner]
    for observed in (MARKS[:1], ("H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")):
        imputed = np.arcsinh(imputer.impute(related, "S", observed).values[1])[inner]
        np.testing.assert_allclose(imputed, truth, atol=0.1)
    unrelated = np.arcsinh(imputer.impute(related, "S", ("H3K36me3",)).values[1])[inner]
    assert np.abs(np.corrcoef(unrelated, truth)[0, 1]) < 0.4


def test_ridge_does_without_a_mark_that_no_training_sample_has(related: Dataset, tmp_path: Path) -> None:
    arrays = {sample: np.array(related.values(sample)) for sample in "PQS"}
    for sample in "PQ":
        arrays[sample][2] = np.nan
    lacking = make(tmp_path / "data", arrays)
    imputer = Ridge("ridge").fit(lacking, ["P", "Q"], tmp_path)
    some, more = (imputer.impute(lacking, "S", observed).values[1] for observed in (MARKS[:1], ("H3K4me1", "H3K36me3")))
    np.testing.assert_allclose(some, more, rtol=1e-5)


def test_boosting_finds_a_relation_from_any_marks(related: Dataset, tmp_path: Path) -> None:
    imputer = Boosting("boosting", rows=6000, trees=40).fit(related, ["P", "Q", "R"], tmp_path)
    truth = np.arcsinh(related.values("S")[1])
    for observed in (MARKS[:1], ("H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")):
        imputed = np.arcsinh(imputer.impute(related, "S", observed).values[1])
        assert np.corrcoef(imputed, truth)[0, 1] > 0.95


def test_some_marks_are_hidden_from_the_trees_but_never_all() -> None:
    width = len(BOOSTING_WINDOW)
    features = np.ones((400, 4 * width), dtype=np.float32)
    hide(features, np.random.default_rng(0))
    hidden = np.isnan(features.reshape(400, 4, width))
    assert (hidden.all(axis=2) == hidden.any(axis=2)).all()
    assert set(hidden[:, :, 0].sum(axis=1)) == {1, 2, 3}
    alone = np.ones((3, width), dtype=np.float32)
    hide(alone, np.random.default_rng(0))
    assert not np.isnan(alone).any()


def test_the_papers_network_is_run_as_it_is_served(dataset: Dataset, tmp_path: Path) -> None:
    imputer = PaperNetwork("paper", recipe=TOY).fit(dataset, ["A", "B"], tmp_path)
    imputed = imputer.impute(dataset, "C", ("H3K4me1", "H3K4me3")).values
    expected = impute_hidden(imputer.model, dataset, "C", MARKS[2:])
    np.testing.assert_array_equal(imputed, expected)
