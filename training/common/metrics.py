"""All measures of one imputed track against the truth: the core's, the ENCODE Imputation Challenge's, ChromImpute's."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from app.core.scores import Score, score

TOP, WIDE_TOP = 0.01, 0.05
"""The share of bins that counts as peaks, and the share in which peaks are looked for."""

COMPARED = ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh", "auc")
"""The measures by which methods are compared."""


@dataclass(frozen=True)
class Measures(Score):
    """Agreement of one imputed track with the truth; None where a measure is not defined or lacks an annotation.

    *Challenge* is Schreiber et al., "The ENCODE Imputation Challenge", Genome Biology 24:79 (2023) and its
    `score_metrics.py`; t is the truth and p the prediction, both -log10 p-value as they are, over the bins that have
    both. Its gwcorr and gwspear are `pearson` and `spearman`; its msegene and mseenh need annotations of genes and
    enhancers, which this project does not have. *ChromImpute* is Ernst & Kellis, Nature Biotechnology 33:364 (2015),
    whose measures PREDICTD (Durham et al., Nature Communications 9:1402, 2018) took over.

    "The top 1 %" are the floor(n/100) highest of n bins, at least one, earlier bins first among equal values. (The
    challenge takes in every bin that equals the lowest of them; that differs on ties alone, and would let a constant
    prediction count as all peaks.)

    Attributes
    ----------
    mse
        mean (t - p)². Challenge.
    mseprom
        mse over the bins within 2 kb of a transcription start site; each bin counts once. Challenge, whose text says
        ±2 kb of every gene's start, while its code takes only the 2 kb upstream.
    msevar
        Σ v (t - p)² / Σ v, where v is the bin's variance of the mark over the training samples. Challenge.
    mse1obs, mse1imp
        mse over the 1 % of bins that are highest in t, and in p. Challenge.
    mse1obs_arcsinh
        mean (arcsinh t - arcsinh p)² over the 1 % of bins that are highest in t: mse1obs, not decided by a few peaks.
    match1
        Share of the top 1 % of t that is in the top 1 % of p. ChromImpute.
    catch1obs
        Share of the top 1 % of t that is in the top 5 % of p. ChromImpute.
    catch1imp
        Share of the top 1 % of p that is in the top 5 % of t. ChromImpute.
    auc
        Area under the ROC curve of finding the top 1 % of t by p. ChromImpute's AucObs1.
    """

    mse: float | None = None
    mseprom: float | None = None
    msevar: float | None = None
    mse1obs: float | None = None
    mse1imp: float | None = None
    mse1obs_arcsinh: float | None = None
    match1: float | None = None
    catch1obs: float | None = None
    catch1imp: float | None = None
    auc: float | None = None


MEASURES = tuple(name for name in Measures.__dataclass_fields__ if name not in ("bins", "every", "reason"))
"""Names of the measures, in the order of the tables; the other fields describe the comparison."""

LOWER_IS_BETTER = frozenset(name for name in MEASURES if name.startswith("mse"))


def measure(
    truth: NDArray[np.floating],
    imputed: NDArray[np.floating],
    variance: NDArray[np.floating] | None = None,
    promoters: NDArray[np.bool_] | None = None,
) -> Measures:
    """Compare an imputed track with the measured one in every way.

    Parameters
    ----------
    truth, imputed
        Both (bins,), -log10 p-value. Bins with NaN on either side are left out.
    variance
        (bins,), variance of the mark's -log10 p-value over the training samples; NaN where they have none.
    promoters
        (bins,), True near a transcription start site.
    """
    both = ~(np.isnan(truth) | np.isnan(imputed))
    basic = score(truth, imputed)
    if not basic.bins:
        return Measures(**asdict(basic))
    t, p = truth[both].astype(np.float64), imputed[both].astype(np.float64)
    squares = (t - p) ** 2
    t_order, p_order = np.argsort(-t, kind="stable"), np.argsort(-p, kind="stable")
    t_top, p_top = _first(t_order, TOP), _first(p_order, TOP)
    return Measures(
        **asdict(basic),
        mse=float(squares.mean()),
        mseprom=None if promoters is None else _weighted_mean(squares, promoters[both].astype(np.float64)),
        msevar=None if variance is None else _weighted_mean(squares, np.nan_to_num(variance[both].astype(np.float64))),
        mse1obs=float(squares[t_top].mean()),
        mse1imp=float(squares[p_top].mean()),
        mse1obs_arcsinh=float(np.mean((np.arcsinh(t[t_top]) - np.arcsinh(p[t_top])) ** 2)),
        match1=_share_found(t_top, p_top),
        catch1obs=_share_found(t_top, _first(p_order, WIDE_TOP)),
        catch1imp=_share_found(p_top, _first(t_order, WIDE_TOP)),
        auc=_area_under_curve(t_top, p),
    )


def _first(order: NDArray[np.intp], share: float) -> NDArray[np.intp]:
    return order[: max(1, int(share * len(order)))]


def _share_found(wanted: NDArray[np.intp], found: NDArray[np.intp]) -> float:
    return len(np.intersect1d(wanted, found, assume_unique=True)) / len(wanted)


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else None


def _area_under_curve(top: NDArray[np.intp], imputed: NDArray[np.float64]) -> float | None:
    if len(top) == len(imputed):
        return None
    wanted = np.zeros(len(imputed), dtype=bool)
    wanted[top] = True
    return float(roc_auc_score(wanted, imputed))
