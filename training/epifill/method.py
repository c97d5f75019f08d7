"""The default kind of model as a method of the benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.tiles import cut, run_tiles
from training.common.method import Imputed, Method
from training.data.dataset import Dataset
from training.epifill.examples import normalise, panel_channels
from training.epifill.layers import HALO_BINS
from training.epifill.network import INTERVAL_COVERAGE, Readout
from training.epifill.reference import knot_quantiles
from training.epifill.train import train_epifill
from training.epifill.training import EpifillRecipe, EpifillTraining

_TILE_BINS = 16 * HALO_BINS


@dataclass(frozen=True)
class Epifill(Method):
    """Ranks predicted from the sample's own marks and a panel of the training samples.

    Attributes
    ----------
    recipe
        How it is trained; the method's own seed takes the place of the recipe's.
    readout
        How values are decoded from the predicted ranks.
    with_panel
        Whether it uses the panel when it imputes.
    """

    recipe: EpifillRecipe = EpifillRecipe()  # noqa: RUF009  (frozen)
    readout: Readout = Readout()  # noqa: RUF009
    with_panel: bool = True

    def fit(self, dataset: Dataset, samples: Sequence[str], folder: Path) -> "EpifillImputer":
        """Train, or go on with a training that was cut off."""
        training = train_epifill(dataset, samples, replace(self.recipe, seed=self.seed), folder)
        return EpifillImputer(training, self.readout, self.with_panel)


@dataclass(frozen=True)
class EpifillImputer:
    """A trained ensemble."""

    training: EpifillTraining
    readout: Readout
    with_panel: bool

    def impute(self, dataset: Dataset, sample: str, observed: Sequence[str]) -> Imputed:
        """See `Imputer`; runs the graph that would be exported, in torch."""
        graph = self.training.graph(self.readout)
        seen = np.array(dataset.values(sample))
        seen[[i for i, mark in enumerate(dataset.marks) if mark not in observed]] = np.nan
        quantiles = torch.from_numpy(np.nan_to_num(knot_quantiles(seen)))[None]
        panel = self.panel(dataset)
        results = np.empty((3, *seen.shape), dtype=np.float32)

        @torch.no_grad()
        def run(values: NDArray[np.float32], beside: NDArray[np.float32]) -> NDArray[np.float32]:
            fed = []
            for part in (values, beside):
                there = ~np.isnan(part)
                fed += [torch.from_numpy(np.where(there, part, np.float32(0))), torch.from_numpy(there).float()]
            outputs = graph(*fed[:2], quantiles.expand(len(values), -1, -1), *fed[2:])
            return torch.stack(outputs, dim=1).numpy()

        for first, last in zip(dataset.offsets, dataset.offsets[1:], strict=False):
            bins = int(last - first)
            tiles = cut(0, bins, bins, _TILE_BINS, HALO_BINS, 1)
            arrays = [seen[:, first:last], panel[:, first:last]]
            results[:, :, first:last] = run_tiles(run, arrays, (3, len(seen)), tiles, 1)
        return Imputed(results[0], results[1], results[2], INTERVAL_COVERAGE)

    def panel(self, dataset: Dataset) -> NDArray[np.float32]:
        """Channels of the training samples, float32 (marks * STATISTICS, bins)."""
        training = self.training
        tracks = [
            normalise(training.reference, dataset.values(name), training.quantiles[name]) for name in training.samples
        ]
        channels = panel_channels(tracks).reshape(-1, dataset.n_bins)
        return channels if self.with_panel else np.full_like(channels, np.nan)
