"""Baselines from the training samples alone: their mean at the position, and the most similar sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.scores import pearson
from training.common.method import Imputed, Method
from training.data.dataset import Dataset


class SampleMeans:
    """Mean over samples at every bin, from which any one sample can be left out.

    Parameters
    ----------
    dataset, samples
        The samples whose tracks are averaged.
    raw
        Whether to average -log10 p-values as they are, rather than their arcsinh.
    """

    def __init__(self, dataset: Dataset, samples: Sequence[str], raw: bool = False) -> None:
        self._dataset, self._raw = dataset, raw
        self._sum = np.zeros((len(dataset.marks), dataset.n_bins), dtype=np.float32)
        self._count = np.zeros_like(self._sum)
        for sample in samples:
            values, there = self._of(sample)
            self._sum += values
            self._count += there

    def _of(self, sample: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values = self._dataset.values(sample)
        there = ~np.isnan(values)
        filled = np.where(there, values, np.float32(0))
        return filled if self._raw else np.arcsinh(filled), there

    def mean(self, without: str | None = None) -> NDArray[np.float32]:
        """The mean, float32 (marks, bins), optionally without one of the samples; NaN where no sample has a value."""
        total, count = self._sum, self._count
        if without is not None:
            values, there = self._of(without)
            total, count = total - values, count - there
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@dataclass(frozen=True)
class PanelMean(Method):
    """The mean of the training samples at the position.

    Attributes
    ----------
    raw
        Whether to average -log10 p-values as they are, rather than their arcsinh.
    """

    raw: bool = False

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "PanelMeanImputer":
        """There is nothing to learn."""
        return PanelMeanImputer(tuple(samples), self.raw)


@dataclass(frozen=True)
class PanelMeanImputer:
    """Gives the mean of some samples."""

    samples: tuple[str, ...]
    raw: bool

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`."""
        mean = SampleMeans(dataset, self.samples, self.raw).mean()
        return Imputed(mean if self.raw else np.sinh(mean))


@dataclass(frozen=True)
class NearestSample(Method):
    """A copy of the training sample whose observed marks correlate best: Pearson r of arcsinh, mean over the marks."""

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "NearestSampleImputer":
        """There is nothing to learn."""
        return NearestSampleImputer(tuple(samples))


@dataclass(frozen=True)
class NearestSampleImputer:
    """Copies one of some samples."""

    samples: tuple[str, ...]

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`; a mark that the nearest sample lacks comes from the next nearest that has it."""
        ranking = sorted(self.samples, key=lambda other: -similarity(dataset, sample, other, observed))
        copied = np.full((len(dataset.marks), dataset.n_bins), np.nan, dtype=np.float32)
        for row, imputed in enumerate(copied):
            for other in ranking:
                track = dataset.values(other)[row]
                if not np.isnan(track).all():
                    imputed[:] = track
                    break
        return Imputed(copied)


def similarity(dataset: Dataset, sample: str, other: str, marks: Sequence[str]) -> float:
    """Mean over marks of the Pearson r of arcsinh(-log10 p); marks without one are left out, -1 where all are."""
    known = []
    for row in (dataset.marks.index(mark) for mark in marks):
        x, y = np.arcsinh(dataset.values(sample)[row]), np.arcsinh(dataset.values(other)[row])
        both = ~(np.isnan(x) | np.isnan(y))
        r = pearson(x[both], y[both])
        if r is not None:
            known.append(r)
    return sum(known) / len(known) if known else -1.0
