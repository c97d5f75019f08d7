"""What a track looks like, and what is odd about it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.quantiles import LEVELS
from app.core.regions import Region


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

    def warnings(self) -> list[str]:
        """What no track of -log10 p-values looks like, one sentence each, and what it does to a result."""
        warnings = []
        median, tenth, top = (self.quantiles[f"{level:g}"] for level in (0.5, 0.1, 0.999))
        if self.negative_fraction:
            warnings.append(
                f"{self.negative_fraction:.1%} of the values are negative, down to {self.minimum:.3g}, which no -log10"
                " p-value is; if these are log ratios, marks imputed from them will be wrong."
            )
        elif 0.5 < median < 1.5 and tenth > 0.25 * median and top < 100:
            warnings.append(
                f"These look like fold changes (half of the values lie above {median:.2f}, most near 1) and not like"
                " -log10 p-values, whose median is near 0.2; marks imputed from them will come out too high."
            )
        if self.maximum == self.minimum:
            warnings.append(f"Every value is {self.maximum:g}; a constant track tells a model nothing.")
        return warnings


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
