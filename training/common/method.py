"""What an imputation method is, whichever way it works."""

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
    """What an imputer gives, all of it over every region of the data set.

    Attributes
    ----------
    values
        float32 (marks, bins), -log10 p-value, rows as in the data set; NaN where it says nothing. Rows of observed
        marks are not looked at.
    lower, upper
        Bounds of a central interval, like `values`, where the imputer gives one.
    nominal
        Share of the truth that the interval means to hold, such as 0.9.
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
            May have regions that the fit did not see. Of the training samples everything may be looked at.
        sample
            Of this sample only the observed marks may be looked at.
        observed
            Marks that count as measured, one or more.
        """


@dataclass(frozen=True)
class Method(ABC):
    """A way to impute. Its fields, all plain values, are everything that decides a fit but the data.

    Attributes
    ----------
    name
        As people call it on the command line and read it in tables.
    seed
        Decides whatever is drawn at random.
    """

    name: str
    seed: int = 0

    @abstractmethod
    def fit(self, dataset: "Dataset", samples: Sequence[str], folder: Path) -> Imputer:
        """Learn from some samples.

        Parameters
        ----------
        dataset
            Its regions are all that may be learned from.
        samples
            The training samples, one or more.
        folder
            A place of the fit's own, which need not exist yet; what was cut off may go on there.
        """
