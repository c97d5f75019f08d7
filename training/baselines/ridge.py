"""Baseline: ridge regression on the surroundings of a bin, in closed form from one matrix of products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.baselines.samples import SampleMeans
from training.baselines.surroundings import Surroundings, Track
from training.common.method import Imputed, Method
from training.data.dataset import Dataset

WINDOW = Surroundings(offsets=tuple(range(-20, 21)), widths=(101, 401, 1001))
_BLOCK = 1 << 15
"""Bins per block of features."""

Products = NDArray[np.float64]
"""X'X of a sample's features: 1, the surroundings of each mark, and those of each mark's panel mean."""


@dataclass(frozen=True)
class Ridge(Method):
    """Ridge regression of arcsinh(-log10 p) on the surroundings of the observed marks.

    Attributes
    ----------
    with_mean
        Whether the surroundings of the target's mean over the training samples are features too.
    penalty
        λ, for features of unit variance and the mean squared error.
    every
        Use every n-th bin for fitting; neighbouring bins are alike.
    """

    with_mean: bool = False
    penalty: float = 1e-3
    every: int = 4

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "RidgeImputer":
        """Sum up the products of every training sample; its own tracks are not in its panel mean."""
        panel = SampleMeans(dataset, samples)
        products = {}
        for sample in samples:
            values = np.arcsinh(dataset.values(sample))
            measured = ~np.isnan(values)
            there = measured[measured.any(axis=1)].all(axis=0)
            columns = np.flatnonzero(there)[:: self.every]
            total = np.zeros((_features(dataset),) * 2)
            for _, features in _blocks(dataset, values, panel.mean(without=sample), columns):
                total += features @ features.T
            products[sample] = (total, tuple(bool(track.any()) for track in measured))
        return RidgeImputer(self, products)


@dataclass(frozen=True)
class RidgeImputer:
    """Solves for the weights for any set of observed marks.

    Attributes
    ----------
    method
        The settings of the fit.
    products
        Per training sample its products, and which marks it has.
    """

    method: Ridge
    products: dict[str, tuple[Products, tuple[bool, ...]]]

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`; NaN where neither an observed mark nor, if it is a feature, the samples' mean has a value."""
        rows = [dataset.marks.index(mark) for mark in observed]
        targets = [row for row in range(len(dataset.marks)) if row not in rows]
        weights = np.stack([self._weights(len(dataset.marks), rows, target) for target in targets])
        values = np.full((len(dataset.marks), dataset.n_bins), np.nan, dtype=np.float32)
        values[rows] = np.arcsinh(dataset.values(sample)[rows])
        mean = SampleMeans(dataset, list(self.products)).mean()
        imputed = np.full_like(values, np.nan)
        for columns, features in _blocks(dataset, values, mean, np.arange(dataset.n_bins)):
            imputed[targets, columns[0] : columns[-1] + 1] = weights @ features
        known = ~np.isnan(values[rows]).all(axis=0) | (~np.isnan(mean) if self.method.with_mean else False)
        return Imputed(np.where(known, np.sinh(imputed), np.float32(np.nan)))

    def _weights(self, marks: int, observed: list[int], target: int) -> NDArray[np.float32]:
        """Weight of every feature, 0 for unused ones; float32 (features,).

        The fit uses the training samples that have the target and all observed marks. If there is none, it drops the
        observed mark that the fewest samples with the target have, and tries again.
        """
        with_target = [(total, has) for total, has in self.products.values() if has[target]]
        if not with_target:
            return np.full(len(next(iter(self.products.values()))[0]), np.nan, dtype=np.float32)
        used = list(observed)
        while not (fitting := [total for total, has in with_target if all(has[row] for row in used)]):
            used.remove(min(used, key=lambda row: sum(has[row] for _, has in with_target)))
        inputs = [place for row in used for place in _places(row)]
        if self.method.with_mean:
            inputs += _places(marks + target)
        return solve(np.sum(fitting, axis=0), inputs, _places(target)[WINDOW.offsets.index(0)], self.method.penalty)


def solve(products: Products, inputs: Sequence[int], output: int, penalty: float) -> NDArray[np.float32]:
    """Ridge regression with an intercept, on features scaled to unit variance.

    b = (R + λI)⁻¹ r, with R the correlations of the inputs and r their covariances with the output over their standard
    deviations (Hoerl & Kennard, Technometrics 12:55, 1970).

    Parameters
    ----------
    products
        X'X, (features, features); the first feature is the constant 1.
    inputs, output
        Which features predict which.

    Returns
    -------
    Weight of every feature in its own units, float32 (features,); 0 for features that are no inputs.
    """
    weights = np.zeros(len(products), dtype=np.float32)
    count = products[0, 0]
    if not count:
        return np.full_like(weights, np.nan)
    means = products[0] / count
    covariance = products / count - np.outer(means, means)
    scale = np.sqrt(np.maximum(np.diag(covariance)[list(inputs)], 0))
    scale[scale < 1e-6] = np.inf  # a constant says nothing
    correlation = covariance[np.ix_(inputs, inputs)] / np.outer(scale, scale)
    b = np.linalg.solve(correlation + penalty * np.eye(len(inputs)), covariance[list(inputs), output] / scale) / scale
    weights[list(inputs)] = b
    weights[0] = means[output] - b @ means[list(inputs)]
    return weights


def _features(dataset: Dataset) -> int:
    return 1 + 2 * len(dataset.marks) * len(WINDOW)


def _places(track: int) -> list[int]:
    """Columns of a track's features; the marks come first, then their means over the training samples."""
    return list(range(1 + track * len(WINDOW), 1 + (track + 1) * len(WINDOW)))


def _blocks(
    dataset: Dataset, values: NDArray[np.float32], mean: NDArray[np.float32], columns: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Blocks of columns and their features, float32 (features, bins); the track's mean stands in for missing values."""
    tracks = [Track(track, dataset.offsets, WINDOW) for track in (*values, *mean)]
    averages = [_average(track) for track in (*values, *mean)]
    for first in range(0, len(columns), _BLOCK):
        block = columns[first : first + _BLOCK]
        features = np.ones((_features(dataset), len(block)), dtype=np.float32)
        for i, (track, average) in enumerate(zip(tracks, averages, strict=True)):
            features[_places(i)] = np.nan_to_num(track.features(block), nan=average)
        yield block, features


def _average(track: NDArray[np.float32]) -> float:
    there = ~np.isnan(track)
    return float(track[there].mean(dtype=np.float64)) if there.any() else 0.0
