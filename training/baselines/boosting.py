"""Baseline: gradient boosting of trees on the surroundings of a bin."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from training.baselines.samples import SampleMeans
from training.baselines.surroundings import Surroundings, Track
from training.common.method import Imputed, Method
from training.data.dataset import Dataset

WINDOW = Surroundings(offsets=(-16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16), widths=(5, 11, 41, 101, 401))
_BLOCK = 1 << 16
"""Bins imputed at a time."""


@dataclass(frozen=True)
class Boosting(Method):
    """Gradient boosting of arcsinh(-log10 p): one model per mark, for any set of observed marks.

    Half of the rows have all other marks of their sample; in the others a random number of these is hidden (at least
    one is left), so that the trees learn to work with missing marks.

    Attributes
    ----------
    with_mean
        Whether the surroundings of the target's mean over the training samples are features too.
    rows
        Bins learned from per mark, over all samples.
    trees, learning_rate, leaves
        Of the boosting.
    """

    with_mean: bool = False
    rows: int = 150_000
    trees: int = 100
    learning_rate: float = 0.1
    leaves: int = 15

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "BoostingImputer":
        """Grow the trees of every mark that a sample has; a sample's own tracks are not in its panel mean."""
        rng = np.random.default_rng(self.seed)
        panel = SampleMeans(dataset, samples) if self.with_mean else None
        drawn: dict[int, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
        for sample in samples:
            values = np.arcsinh(dataset.values(sample))
            views = TreeFeatures(dataset, values, panel.mean(without=sample) if panel else None)
            for target, truth in enumerate(values):
                columns = rng.permutation(np.flatnonzero(~np.isnan(truth)))[: self.rows // len(samples)]
                features = views.features(target, columns)
                hide(features[: len(columns) // 2, : (len(values) - 1) * len(WINDOW)], rng)
                drawn.setdefault(target, []).append((features, truth[columns]))
        return BoostingImputer(self.with_mean, tuple(samples), {t: self._grow(parts) for t, parts in drawn.items()})

    def _grow(self, parts: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> "Trees | None":
        features, truth = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if not len(truth):
            return None
        varying = np.fmin.reduce(features, axis=0) < np.fmax.reduce(features, axis=0)
        if not varying.any():
            return None
        model = HistGradientBoostingRegressor(
            max_iter=self.trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            early_stopping=False,
            random_state=self.seed,
        )
        return Trees(varying, model.fit(features[:, varying], truth))


@dataclass(frozen=True)
class Trees:
    """A boosted model and the features that it looks at: those that varied when it was fitted, bool (features,)."""

    features: NDArray[np.bool_]
    model: HistGradientBoostingRegressor

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict from all features, float32 (bins, features)."""
        predicted: NDArray[np.float64] = self.model.predict(features[:, self.features])
        return predicted


@dataclass(frozen=True)
class BoostingImputer:
    """The trees of every mark; None where nothing could be learned, as when no training sample has the mark."""

    with_mean: bool
    samples: tuple[str, ...]
    trees: dict[int, Trees | None]

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`; NaN where neither an observed mark nor, if it is a feature, the samples' mean has a value."""
        rows = [dataset.marks.index(mark) for mark in observed]
        values = np.full((len(dataset.marks), dataset.n_bins), np.nan, dtype=np.float32)
        values[rows] = np.arcsinh(dataset.values(sample)[rows])
        mean = SampleMeans(dataset, self.samples).mean() if self.with_mean else None
        views = TreeFeatures(dataset, values, mean)
        imputed = np.full_like(values, np.nan)
        for target, trees in self.trees.items():
            if target in rows or trees is None:
                continue
            known = ~np.isnan(values[rows]).all(axis=0) | (False if mean is None else ~np.isnan(mean[target]))
            columns = np.flatnonzero(known)
            for first in range(0, len(columns), _BLOCK):
                block = columns[first : first + _BLOCK]
                imputed[target, block] = trees.predict(views.features(target, block))
        return Imputed(np.sinh(imputed))


class TreeFeatures:
    """The features of each mark's trees; NaN = not measured.

    Parameters
    ----------
    dataset
        The data set that has the regions.
    values
        The sample's tracks, arcsinh(-log10 p), float32 (marks, bins).
    mean
        The mean over the training samples likewise, if it is a feature.
    """

    def __init__(self, dataset: Dataset, values: NDArray[np.float32], mean: NDArray[np.float32] | None) -> None:
        self._own = [Track(track, dataset.offsets, WINDOW) for track in values]
        self._mean = [] if mean is None else [Track(track, dataset.offsets, WINDOW) for track in mean]

    def features(self, target: int, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """The surroundings of every mark but the target, then of its panel mean; float32 (bins, features)."""
        tracks = [track for row, track in enumerate(self._own) if row != target]
        return np.concatenate([track.features(columns) for track in (*tracks, *self._mean[target : target + 1])]).T


def hide(features: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Set a random number of marks of every row to NaN, in place: at least one, and not all. One mark alone stays.

    Parameters
    ----------
    features
        float32 (rows, marks * len(WINDOW)).
    """
    marks = features.shape[1] // len(WINDOW)
    if marks < 2:
        return
    place = rng.random((len(features), marks)).argsort(axis=1)
    hidden = place < rng.integers(1, marks, size=(len(features), 1))
    features[np.repeat(hidden, len(WINDOW), axis=1)] = np.nan
