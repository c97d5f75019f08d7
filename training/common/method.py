"""The interface of imputation methods."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.data.dataset import Dataset


@dataclass(frozen=True)
class Imputed:
    """An imputer's result over every region of the data set.

    Attributes
    ----------
    values
        float32 (marks, bins), -log10 p-value, rows as in the data set; NaN where it has no value. Rows of observed
        marks are ignored.
    lower, upper
        Bounds of a central interval, like `values`, where the imputer gives one.
    nominal
        Nominal coverage of the interval, such as 0.9.
    """

    values: NDArray[np.float32]
    lower: NDArray[np.float32] | None = None
    upper: NDArray[np.float32] | None = None
    nominal: float | None = None


class Imputer(Protocol):
    """A fitted method."""

    def impute(self, dataset: "Dataset", sample: str, observed: Sequence[str]) -> Imputed:
        """Impute every mark of a sample that is not observed.

        Parameters
        ----------
        dataset
            May have regions that the fit did not see. All tracks of the training samples may be used.
        sample
            Only the observed marks of this sample may be used.
        observed
            Marks that count as measured, one or more.
        """


@dataclass(frozen=True)
class Method(ABC):
    """An imputation method. Its fields are plain values; with the data they decide a fit.

    Attributes
    ----------
    name
        Name on the command line and in tables.
    seed
        Seed of all random numbers.
    """

    name: str
    seed: int = 0

    @abstractmethod
    def fit(self, dataset: "Dataset", samples: Sequence[str], folder: Path) -> Imputer:
        """Learn from some samples.

        Parameters
        ----------
        dataset
            Only its regions may be used.
        samples
            The training samples, one or more.
        folder
            Folder for this fit alone, which need not exist; an interrupted fit may be resumed from it.
        """
