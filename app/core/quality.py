"""What a track looks like, and what is odd about it: judged once, when it is taken in, and kept with it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.quantiles import LEVELS, Distribution
from app.core.regions import Region

_NEGLIGIBLE = 1e-6
"""A track without a larger value is empty for every purpose: p-values of 1, or subnormal numbers."""

_LEAST_OUTLIER, _OUTLIER_FOLD = 1_000.0, 50.0
"""An outlier is above both: this value, and so many times the value that 99 % of the bins stay below."""

_MOST_OUTLIERS = 1e-4
"""Share of outliers from which on a track is no track of p-values: its highest quantiles are made of them."""

_LEAST_COUNT = 100.0
"""A track of whole numbers that reaches this is a count of reads."""


@dataclass(frozen=True)
class Quality:
    """A track's figures, in -log10 p-value and bins.

    Attributes
    ----------
    covered_bins, covered_fraction
        Bins with a value, and their share of the assembly.
    quantiles
        Value at each level of the track's quantile function.
    """

    covered_bins: int
    covered_fraction: float
    minimum: float
    maximum: float
    mean: float
    negative_fraction: float
    quantiles: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """What is odd about a track.

    Attributes
    ----------
    warnings
        One sentence each: what no track of -log10 p-values looks like, and what it does to a result.
    unusable
        Why the track tells a model nothing, in one sentence; None for a track that can be used.
    """

    warnings: tuple[str, ...] = ()
    unusable: str | None = None


def examine(distribution: Distribution, minimum: float, maximum: float) -> Verdict:
    """Judge a track's values by a spread of its bins, the same whatever region is asked for.

    Parameters
    ----------
    distribution
        Of the whole track, with the values that were looked at.
    minimum, maximum
        Of the whole track, -log10 p-value.
    """
    if unusable := _unusable(distribution, minimum, maximum):
        return Verdict(unusable=unusable)
    values = distribution.values
    median, tenth, high, top = (float(distribution.quantiles[LEVELS.index(q)]) for q in (0.5, 0.1, 0.99, 0.999))
    warnings = []
    negative = float((values < 0).mean())
    if minimum < 0:
        share = f"{negative:.1%}" if negative >= 0.001 else "Less than 0.1%"
        warnings.append(
            f"{share} of the values are negative, down to {minimum:.3g}, which no -log10 p-value is; if these are log"
            " ratios, marks imputed from them will be wrong."
        )
    elif maximum >= _LEAST_COUNT and _whole_numbers(values):
        warnings.append(
            f"These look like counts of reads (whole numbers up to {maximum:,.0f}) and not like -log10 p-values; marks"
            " imputed from them may be wrong in height, so make a track of p-values with MACS2 bdgcmp or the like."
        )
    elif 0.5 < median < 1.5 and tenth > 0.25 * median and top < 100:
        warnings.append(
            f"These look like fold changes (half of the values lie above {median:.2f}, most near 1) and not like"
            " -log10 p-values, whose median is near 0.2; marks imputed from them will come out too high."
        )
    if maximum > _outlier(high):
        warnings.append(
            f"Single values lie far above the rest: up to {maximum:,.6g}, where 99% are below {high:,.3g}; check the"
            " bins with the highest values, as no peak is that high."
        )
    return Verdict(tuple(warnings))


def _unusable(distribution: Distribution, minimum: float, maximum: float) -> str | None:
    if minimum == maximum:
        return f"every value is {maximum:g}, and a constant track tells a model nothing."
    if max(abs(minimum), abs(maximum)) < _NEGLIGIBLE:
        return f"no value is larger than {maximum:.2g}, so it is as good as empty."
    high = float(distribution.quantiles[LEVELS.index(0.99)])
    share = float((distribution.values > _outlier(high)).mean())
    if share >= _MOST_OUTLIERS:
        return (
            f"{share:.2%} of its values lie far above the rest, up to {maximum:,.6g}, where 99% are below {high:,.3g};"
            " replace them by a -log10 p-value, or leave those bins out."
        )
    return None


def _outlier(high: float) -> float:
    return max(_LEAST_OUTLIER, _OUTLIER_FOLD * high)


def _whole_numbers(values: NDArray[np.float32]) -> bool:
    """Whether nearly all values but 0 are whole numbers."""
    some = values[values != 0]
    return len(some) > 0 and bool((some == np.rint(some)).mean() > 0.99)


def units_warning(spans: Mapping[str, Region], assembly: Assembly) -> list[str]:
    """A warning if positions seem to be counted in bins: all values in the first few percent of every chromosome.

    Parameters
    ----------
    spans
        First to last covered base of each chromosome that has values.
    """
    shares = {
        chrom: (span.start / assembly.length(chrom), span.end / assembly.length(chrom))
        for chrom, span in spans.items()
        if chrom != "chrM"
    }
    if not shares or not all(first < 0.01 and 1 / 60 < last < 1 / 15 for first, last in shares.values()):
        return []
    chrom, most = next(iter(shares)), max(last for _, last in shares.values())
    return [
        f"Every value lies in the first {most:.0%} of its chromosome (on {chrom} up to {spans[chrom].end:,} of"
        f" {assembly.length(chrom):,} bp), as if positions were counted in bins and not in bases; marks imputed from"
        " this track would stand at wrong places."
    ]


class QualityMeter:
    """Looks at a track's values as they pass by; memory does not grow with the track."""

    def __init__(self, assembly: Assembly, bin_size_bp: int) -> None:
        self._total_bins = assembly.n_bins(bin_size_bp)
        self._covered = self._negative = 0
        self._sum = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in some bins, float32 (bins,); NaN = not covered."""
        there = values[~np.isnan(values)]
        if not len(there):
            return
        self._covered += len(there)
        self._negative += int((there < 0).sum())
        self._sum += float(there.sum(dtype=np.float64))
        self._minimum = min(self._minimum, float(there.min()))
        self._maximum = max(self._maximum, float(there.max()))

    def finish(self, quantiles: NDArray[np.float32]) -> Quality | None:
        """The figures of all that was added, and its quantile function, float32 (levels,); None where nothing was."""
        if not self._covered:
            return None
        return Quality(
            covered_bins=self._covered,
            covered_fraction=self._covered / self._total_bins,
            minimum=self._minimum,
            maximum=self._maximum,
            mean=self._sum / self._covered,
            negative_fraction=self._negative / self._covered,
            quantiles={f"{level:g}": float(value) for level, value in zip(LEVELS, quantiles, strict=True)},
        )
