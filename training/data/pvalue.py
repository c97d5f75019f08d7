"""Read counts to -log10 p-values against a local background, as the peak caller MACS does.

Zhang et al. 2008, "Model-based Analysis of ChIP-Seq (MACS)", Genome Biology 9:R137: the count in a window is
Poisson with the expectation lambda_local = max(lambda_genome, lambda_1k, lambda_5k, lambda_10k), each lambda
taken from the control (Input) around the window.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln

_LN10 = np.log(10.0)
_SMALLEST_TAIL = 1e-290  # below it gammainc loses digits and then becomes 0


def poisson_neg_log10_p(counts: ArrayLike, expected: ArrayLike) -> NDArray[np.float64]:
    """-log10 P(X >= count) for X ~ Poisson(expected), exact far into the tail.

    MACS2's own tracks (`bdgcmp -m ppois`, and so Roadmap's) hold P(X > count), which is this at `counts + 1`.

    Parameters
    ----------
    counts
        Counts >= 0, of any shape. They need not be whole: P(X >= count) is the incomplete gamma function, which
        runs smoothly between them.
    expected
        Expectations > 0, of a shape that broadcasts with that of `counts`.

    Returns
    -------
    float64, finite and >= 0; 0 where the count is 0.

    Raises
    ------
    ValueError
        A count is negative, an expectation is not positive, or one of them is not finite.
    """
    k, rate = np.broadcast_arrays(np.asarray(counts, np.float64), np.asarray(expected, np.float64))
    if not (np.isfinite(k).all() and np.isfinite(rate).all() and (k >= 0).all() and (rate > 0).all()):
        raise ValueError("counts must be finite and >= 0, expectations finite and > 0")
    tail = np.ones(k.shape)
    gammainc(k, rate, where=k > 0, out=tail)
    far = tail < _SMALLEST_TAIL
    tail[far] = 1.0
    result = np.asarray(np.abs(np.log10(tail)))  # abs: -log10(1) would be -0
    if far.any():
        result[far] = -_log_tail(k[far], rate[far]) / _LN10
    return result


def _log_tail(k: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural log of P(X >= k) for k well above the rate, where P itself is too small for a float64.

    P = rate^k exp(-rate) / k! (1 + rate/(k+1) + rate^2/((k+1)(k+2)) + ...).
    """
    series, term, i = np.ones_like(k), np.ones_like(k), 0
    while (term > 1e-17 * series).any():
        i += 1
        term = term * rate / (k + i)
        series += term
    log_tail: NDArray[np.float64] = k * np.log(rate) - rate - gammaln(k + 1) + np.log(series)
    return log_tail


def local_background(
    control_counts: NDArray[np.integer] | NDArray[np.floating],
    scale: float,
    windows_bins: Sequence[int],
    genome_mean: float | None = None,
) -> NDArray[np.float64]:
    """The count to expect at each bin: the largest of the control's means nearby and genome-wide.

    Parameters
    ----------
    control_counts
        (bins,) or (tracks, bins), neighbouring bins of one chromosome or region.
    scale
        Factor from control to treatment, such as the ratio of their total reads; the result includes it.
    windows_bins
        Widths of the windows. One of width w around bin i holds the bins from i - w//2 up to, but without,
        i - w//2 + w; at the ends of the array only those that exist, and the mean is over them.
    genome_mean
        Genome-wide mean of the control's counts per bin, before scaling. Default: the mean of each given track.

    Returns
    -------
    float64 of the shape of `control_counts`. Zero only if nothing was counted: give such a control a
    `genome_mean` above 0 before asking for p-values.

    Notes
    -----
    Whole-number counts are added up exactly, so a bin's result depends on nothing beyond its widest window.
    """
    counts = np.asarray(control_counts)
    n_bins = counts.shape[-1]
    dtype = np.int64 if np.issubdtype(counts.dtype, np.integer) else np.float64
    total = np.zeros((*counts.shape[:-1], n_bins + 1), dtype)
    np.cumsum(counts, axis=-1, out=total[..., 1:])
    if genome_mean is None:
        largest = np.repeat(total[..., -1:] / max(n_bins, 1), n_bins, axis=-1)
    else:
        largest = np.full(counts.shape, float(genome_mean))
    for width in windows_bins:
        first = np.arange(n_bins) - width // 2
        last = np.minimum(first + width, n_bins)
        np.maximum(first, 0, out=first)
        np.maximum(largest, (total[..., last] - total[..., first]) / (last - first), out=largest)
    return np.asarray(largest * scale, np.float64)
