"""The statistics by which simulated tracks are compared with real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from app.core.regions import Region
from training.simulate.chromatin import BIN_BP

LEVELS = (0.10, 0.50, 0.90, 0.99, 0.999)
LAGS_BINS = (1, 4, 16, 64)

REAL_QUANTILES = {
    "H3K4me1": (0.042, 0.153, 0.920, 7.756, 21.288),
    "H3K4me3": (0.028, 0.132, 0.542, 19.790, 124.288),
    "H3K36me3": (0.053, 0.188, 0.981, 5.330, 10.859),
    "H3K27me3": (0.044, 0.176, 1.012, 4.241, 9.673),
    "H3K9me3": (0.046, 0.181, 0.809, 2.677, 5.664),
}
"""At 10, 50, 90, 99 and 99.9 %, means over E017, E065, E116 and E117 in the pilot regions; what `chromatin`
is fitted to."""


@dataclass(frozen=True)
class SampleTracks:
    """Tracks of several samples over the same regions.

    Attributes
    ----------
    values
        float32 (samples, marks, bins), -log10 p-value, without NaN; the regions one after another.
    samples, marks, regions
        What the axes hold.
    """

    values: NDArray[np.float32]
    samples: tuple[str, ...]
    marks: tuple[str, ...]
    regions: tuple[Region, ...]

    @property
    def offsets(self) -> list[int]:
        """First bin of every region, and the end of the last."""
        return [0, *np.cumsum([region.n_bins(BIN_BP) for region in self.regions]).tolist()]


@dataclass(frozen=True)
class Statistics:
    """What is compared, each a mean over samples (or pairs of samples).

    Attributes
    ----------
    quantiles
        (marks, levels), -log10 p-value at `LEVELS`.
    between_marks
        (marks, marks), Pearson correlation of arcsinh(-log10 p) within a sample.
    between_samples
        (marks,), the same between two samples.
    autocorrelation
        (marks, lags), the same of a track with itself at `LAGS_BINS`.
    """

    quantiles: NDArray[np.float64]
    between_marks: NDArray[np.float64]
    between_samples: NDArray[np.float64]
    autocorrelation: NDArray[np.float64]


def measure(tracked: SampleTracks) -> Statistics:
    """Measure what is compared; needs two samples or more."""
    values = np.arcsinh(tracked.values)
    n_samples, n_marks, _ = values.shape
    pairs = list(combinations(range(n_samples), 2))
    return Statistics(
        quantiles=np.quantile(tracked.values, LEVELS, axis=2).mean(axis=1).T,
        between_marks=np.mean([np.corrcoef(sample) for sample in values], axis=0),
        between_samples=np.array(
            [np.mean([np.corrcoef(values[a, m], values[b, m])[0, 1] for a, b in pairs]) for m in range(n_marks)]
        ),
        autocorrelation=np.array(
            [
                np.mean([_autocorrelation(values[s, m], tracked.offsets) for s in range(n_samples)], axis=0)
                for m in range(n_marks)
            ]
        ),
    )


def _autocorrelation(values: NDArray[np.float32], offsets: Sequence[int]) -> list[float]:
    """Of one track at `LAGS_BINS`, from pairs of bins within a region; float (lags,)."""
    centred = values - values.mean()
    result = []
    for lag in LAGS_BINS:
        products, count = 0.0, 0
        for first, last in pairwise(offsets):
            if last - first > lag:
                products += float(centred[first : last - lag] @ centred[first + lag : last])
                count += last - first - lag
        result.append(products / max(count, 1) / float(values.var()))
    return result
