"""A training of the default kind of model: its recipe, its networks, and their checkpoint."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.common.checkpoint import load_checkpoint, save_checkpoint
from training.epifill.network import Ensemble, EpifillGraph, RankNetwork, Readout
from training.epifill.reference import Reference

CHECKPOINT_FILE = "epifill.pt"


@dataclass(frozen=True)
class EpifillRecipe:
    """All settings of a training run.

    Attributes
    ----------
    members, blind_members
        Networks with a panel and without one, each from a seed of its own.
    first, second
        Units of the two hidden layers.
    steps, batch
        Mini-batches per member, and bins of a mini-batch, all of one sample.
    learning_rate, weight_decay
        AdamW's; the rate rises over 50 steps and falls as a cosine.
    dropout
        Share of hidden units left out.
    fewer
        Probability that a mini-batch's panel lacks one of the other samples: panels of several sizes are seen.
    one_hidden
        Probability that one mark of a bin is hidden; else 1 to all but one of them.
    rank_weight
        Weight of a threshold: its step in arcsinh(-log10 p), plus this times its step in rank.
    averaging
        Decay of the moving average of the weights; the average is the result.
    """

    members: int = 4
    blind_members: int = 1
    first: int = 128
    second: int = 96
    steps: int = 1500
    batch: int = 8192
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    fewer: float = 0.6
    one_hidden: float = 0.5
    rank_weight: float = 0.3
    averaging: float = 0.998
    seed: int = 0


@dataclass
class EpifillTraining:
    """Trained networks, and what they need to be used."""

    recipe: EpifillRecipe
    reference: Reference
    samples: tuple[str, ...]
    data: str
    quantiles: dict[str, NDArray[np.float32]]
    networks: list[RankNetwork]
    seconds: float

    def graph(self, readout: Readout) -> EpifillGraph:
        """The whole model in the contract."""
        seeing = Ensemble([network for network in self.networks if network.panel])
        blind = Ensemble([network for network in self.networks if not network.panel])
        return EpifillGraph(self.reference, seeing, blind, readout).eval()


def save_epifill(training: EpifillTraining, path: Path) -> None:
    """Write a checkpoint."""
    state = {
        "recipe": asdict(training.recipe),
        "marks": list(training.reference.marks),
        "knots": torch.from_numpy(training.reference.knots),
        "samples": list(training.samples),
        "data": training.data,
        "quantiles": {name: torch.from_numpy(values) for name, values in training.quantiles.items()},
        "networks": [(network.panel, network.state_dict()) for network in training.networks],
        "seconds": training.seconds,
    }
    save_checkpoint(state, path)


def load_epifill(path: Path) -> EpifillTraining:
    """Read a checkpoint; raises BadCheckpoint."""
    return load_checkpoint(path, _restore)


def _restore(state: dict[str, Any]) -> EpifillTraining:
    recipe = EpifillRecipe(**state["recipe"])
    marks = tuple(state["marks"])
    networks = []
    for panel, weights in state["networks"]:
        network = RankNetwork(len(marks), (recipe.first, recipe.second), panel, recipe.dropout)
        network.load_state_dict(weights)
        networks.append(network.eval())
    reference = Reference(marks, state["knots"].numpy())
    quantiles = {name: values.numpy() for name, values in state["quantiles"].items()}
    return EpifillTraining(
        recipe, reference, tuple(state["samples"]), state["data"], quantiles, networks, state["seconds"]
    )
