"""The paper's network as a method of the benchmark: trained by its recipe, exported and run by the core."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.core.model import Model
from training.common.method import Imputed, Method
from training.data.dataset import Dataset
from training.paper.evaluate import impute_hidden
from training.paper.export import export
from training.paper.recipe import Recipe
from training.paper.train import train


@dataclass(frozen=True)
class PaperNetwork(Method):
    """The paper's denoising autoencoder.

    Attributes
    ----------
    recipe
        How it is trained; the method's own seed takes the place of the recipe's.
    """

    recipe: Recipe = Recipe()  # noqa: RUF009  (frozen)

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "ModelImputer":
        """Train, or go on with a training that was cut off, and export."""
        training = train(dataset, samples, replace(self.recipe, seed=self.seed), folder)
        return ModelImputer(export(training, dataset, folder / "model"))


@dataclass(frozen=True)
class ModelImputer:
    """An exported model."""

    model: Model

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`."""
        imputed = impute_hidden(self.model, dataset, sample, [m for m in self.model.marks if m not in observed])
        order = [self.model.marks.index(mark) for mark in dataset.marks]
        return Imputed(np.ascontiguousarray(imputed[order]))
