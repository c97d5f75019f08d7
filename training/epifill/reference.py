"""A common scale for tracks of different strength: their quantile functions, and the mean of them as a reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.quantiles import LEVELS, quantile_function
from training.common.errors import BadData
from training.data.dataset import Dataset

KNOT_LEVELS = (
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9,
    0.95, 0.97, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9965, 0.998, 0.999, 0.9995, 0.9999,
)  # fmt: skip
"""Levels of the quantile functions' knots. They end below 1, as a track's maximum is a single bin."""

NARROWEST = 1e-4
"""Least distance of two knots, arcsinh(-log10 p): many bins may share one value (no read, and the same background)."""

_PLACES = [LEVELS.index(level) for level in KNOT_LEVELS]


def knots(quantiles: NDArray[np.float32]) -> NDArray[np.float64]:
    """Quantile functions at KNOT_LEVELS as knots of a piecewise linear map.

    Parameters
    ----------
    quantiles
        float32 (..., knots), -log10 p-value.

    Returns
    -------
    float64 (..., knots), arcsinh(-log10 p-value), strictly rising; NaN stays.
    """
    steps = NARROWEST * np.arange(quantiles.shape[-1])
    lifted: NDArray[np.float64] = np.maximum.accumulate(np.arcsinh(quantiles.astype(np.float64)) - steps, axis=-1)
    return lifted + steps


def knot_quantiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Value at each of KNOT_LEVELS of whole tracks (marks, bins), -log10 p-value, float32 (marks, knots)."""
    return np.stack([quantile_function(row)[_PLACES] for row in values])


@dataclass(frozen=True)
class Reference:
    """The distribution to which every track of a mark is normalised.

    Attributes
    ----------
    marks
        Names of the rows.
    knots
        float64 (marks, knots), arcsinh(-log10 p-value) at KNOT_LEVELS: the mean over the training samples.
    """

    marks: tuple[str, ...]
    knots: NDArray[np.float64]

    @classmethod
    def of(cls, marks: Sequence[str], quantiles: Sequence[NDArray[np.float32]]) -> "Reference":
        """The mean of the samples' quantile functions, each float32 (marks, knots); a sample may lack a mark.

        Raises
        ------
        BadData
            No sample has the mark.
        """
        every = np.stack([knots(sample) for sample in quantiles])
        for row, mark in enumerate(marks):
            if np.isnan(every[:, row]).all():
                raise BadData(f"None of the training samples has {mark}; leave it out, or give a sample that has it.")
        return cls(tuple(marks), np.nanmean(every, axis=0))


def sample_quantiles(dataset: Dataset, samples: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Quantile functions of the tracks of some samples, each float32 (marks, knots), -log10 p-value."""
    return {sample: knot_quantiles(dataset.values(sample)) for sample in samples}
