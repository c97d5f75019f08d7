"""Every measure against a plain formula or scikit-learn; missing and undefined; annotations; intervals."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_squared_error, roc_auc_score

from tests.conftest import CHR21, CHRM, random_tracks
from training.common.calibration import coverage, reliability
from training.common.errors import BadData
from training.common.metrics import COMPARED, LOWER_IS_BETTER, MEASURES, Measures, measure
from training.data.annotations import promoter_bins, read_sites
from training.data.dataset import Dataset


@pytest.fixture
def tracks() -> tuple[np.ndarray, np.ndarray]:
    """Truth and a prediction that resembles it, 1000 bins without equal values."""
    rng = np.random.default_rng(5)
    truth = random_tracks(rng, 1, 1000)[0] + rng.random(1000, dtype=np.float32) * 1e-3
    return truth, truth * np.float32(0.6) + random_tracks(rng, 1, 1000)[0]


def test_every_measure_is_what_it_says(tracks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, imputed = tracks
    rng = np.random.default_rng(6)
    variance, promoters = rng.random(1000), rng.random(1000) < 0.1
    measures = measure(truth, imputed, variance, promoters)
    t, p = truth.astype(float), imputed.astype(float)
    top_t, top_p = t >= np.sort(t)[-10], p >= np.sort(p)[-10]
    wide_t, wide_p = t >= np.sort(t)[-50], p >= np.sort(p)[-50]
    expected = Measures(
        bins=1000,
        pearson=pearsonr(t, p).statistic,
        pearson_arcsinh=pearsonr(np.arcsinh(t), np.arcsinh(p)).statistic,
        spearman=spearmanr(t, p).statistic,
        mse_arcsinh=mean_squared_error(np.arcsinh(t), np.arcsinh(p)),
        mse=mean_squared_error(t, p),
        mseprom=mean_squared_error(t[promoters], p[promoters]),
        msevar=mean_squared_error(t, p, sample_weight=variance),
        mse1obs=mean_squared_error(t[top_t], p[top_t]),
        mse1imp=mean_squared_error(t[top_p], p[top_p]),
        mse1obs_arcsinh=mean_squared_error(np.arcsinh(t[top_t]), np.arcsinh(p[top_t])),
        match1=(top_t & top_p).sum() / 10,
        catch1obs=(top_t & wide_p).sum() / 10,
        catch1imp=(top_p & wide_t).sum() / 10,
        auc=roc_auc_score(top_t, p),
    )
    for name in MEASURES:
        assert getattr(measures, name) == pytest.approx(getattr(expected, name), rel=1e-6), name
    assert set(COMPARED) < set(MEASURES)
    assert "mse1obs" in LOWER_IS_BETTER
    assert "auc" not in LOWER_IS_BETTER


def test_missing_bins_are_left_out(tracks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, imputed = tracks
    variance = np.random.default_rng(7).random(1000)
    gap = np.full(7, np.nan, dtype=np.float32)
    some = np.ones(7, dtype=np.float32)
    padded = measure(
        np.concatenate([gap, truth, some]), np.concatenate([some, imputed, gap]), np.concatenate([some, variance, some])
    )
    assert padded == measure(truth, imputed, variance)
    assert padded.mseprom is None


def test_a_bin_without_variance_has_no_weight(tracks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, imputed = tracks
    variance = np.full(1000, np.nan)
    assert measure(truth, imputed, variance).msevar is None
    variance[:2] = 1.0, 3.0
    squares = (truth[:2].astype(float) - imputed[:2]) ** 2
    assert measure(truth, imputed, variance).msevar == pytest.approx((squares[0] + 3 * squares[1]) / 4)


def test_what_is_not_defined_is_none() -> None:
    nothing = measure(np.full(5, np.nan), np.ones(5))
    assert nothing == Measures(None, None, None, None, 0, reason=nothing.reason)
    one = measure(np.array([2.0]), np.array([1.0]))
    assert (one.mse, one.mse1obs, one.match1, one.auc, one.pearson) == (1.0, 1.0, 1.0, None, None)


def test_a_constant_prediction_finds_no_peaks_by_equality() -> None:
    truth = np.arange(1000.0)
    constant = measure(truth, np.zeros(1000))
    assert (constant.match1, constant.catch1obs, constant.auc, constant.pearson) == (0.0, 0.0, 0.5, None)


def test_promoters_are_the_bins_within_2_kb(dataset: Dataset, tmp_path: Path) -> None:
    lines = [
        "track name=TSS",
        "# comment",
        "chr21 33760012 33760013",
        "chr21 33760012 33760013 again",
        "chrM 10 11",
        "",
    ]
    text = "\n".join([*lines, "chrX 5 6"]).replace(" ", "\t")
    (tmp_path / "tss.bed").write_text(text)
    (tmp_path / "tss.bed.gz").write_bytes(gzip.compress(text.encode()))
    sites = read_sites(tmp_path / "tss.bed")
    np.testing.assert_equal(read_sites(tmp_path / "tss.bed.gz"), sites)
    near = promoter_bins(dataset, sites)
    n_chrm = CHRM.n_bins(25)
    assert near[:n_chrm].tolist() == [bin_ * 25 <= 10 + 2000 for bin_ in range(n_chrm)]
    starts = np.arange(CHR21.start, CHR21.end, 25)
    assert near[n_chrm:].tolist() == ((starts + 24 >= 33_758_012) & (starts <= 33_762_012)).tolist()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"chr1\tone\ttwo\n", "line 1, is no BED line"),
        (b"chr1 5\n", "line 1, is no BED line"),
        (b"\n# nothing\n", "has no transcription start site"),
        (b"\x1f\x8bnot gzip", "cannot be read as a BED file"),
        (b"\xff\xfe\xfa", "cannot be read as a BED file"),
    ],
)
def test_a_bad_bed_is_told(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "tss.bed").write_bytes(content)
    with pytest.raises(BadData, match=sentence):
        read_sites(tmp_path / "tss.bed")


def test_a_missing_bed_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="cannot be read as a BED file"):
        read_sites(tmp_path / "none.bed")


def test_intervals_hold_the_truth_as_often_as_counted() -> None:
    rng = np.random.default_rng(8)
    imputed = rng.random(1005)
    truth = imputed + rng.normal(size=1005)
    truth[:5] = np.nan
    groups = reliability(truth, imputed, imputed - 1, imputed + 1)
    inside = np.abs(truth - imputed)[5:] <= 1
    assert [group.bins for group in groups] == [100] * 10
    assert coverage(groups) == pytest.approx(inside.mean())
    highest = np.argsort(imputed[5:])[-100:]
    assert groups[-1].coverage == pytest.approx(inside[highest].mean())
    assert groups[-1].predicted == pytest.approx(imputed[5:][highest].mean())
    assert groups[0].width == pytest.approx(2)
    assert coverage(reliability(np.full(3, np.nan), imputed[:3], imputed[:3], imputed[:3])) is None
