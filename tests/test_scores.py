import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from app.core.scores import Score, pearson, ranks, score


def test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    truth = np.round(rng.gamma(0.5, 2, 5000), 1).astype(np.float32)  # rounded: many ties
    imputed = (truth + rng.normal(0, 2, 5000)).astype(np.float32)
    truth[:7], imputed[5:9] = np.nan, np.nan
    result = score(truth, imputed)
    x, y = truth[9:].astype(float), imputed[9:].astype(float)
    assert result.bins == 5000 - 9
    assert result.pearson == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert result.spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert result.pearson_arcsinh == pytest.approx(stats.pearsonr(np.arcsinh(x), np.arcsinh(y)).statistic, abs=1e-12)
    assert result.mse_arcsinh == pytest.approx(np.mean((np.arcsinh(x) - np.arcsinh(y)) ** 2), rel=1e-12)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_ranks_are_scipys_average_ranks(values: list[float]) -> None:
    np.testing.assert_array_equal(ranks(np.array(values)), stats.rankdata(values))


def test_constant_or_empty_tracks_have_no_correlation() -> None:
    assert pearson(np.ones(5), np.arange(5.0)) is None
    nothing, ones = np.full(4, np.nan, np.float32), np.ones(4, np.float32)
    reason = "no bin was measured where it could be compared."
    assert score(nothing, ones) == Score(None, None, None, None, 0, 1, reason)
    reason = "no track that was imputed from covers a bin where it could be compared."
    assert score(ones, nothing, 3) == Score(None, None, None, None, 0, 3, reason)
    reason = "the measured track is 1 in every bin that was compared, so it has no correlation."
    assert score(ones, ones) == Score(None, None, None, 0.0, 4, 1, reason)
    assert score(ones[:1], ones[:1]).reason == "one bin has no correlation."
