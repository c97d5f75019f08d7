"""Train the committee of networks: whole marks hidden, panels of the other samples, every seed a member."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from torch import Tensor

from training.common.errors import BadCheckpoint, BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.epifill.examples import Examples, make_examples, normalise
from training.epifill.features import assemble
from training.epifill.network import BEYOND, Committee, EpifillGraph, RankNetwork, Readout
from training.epifill.reference import KNOT_LEVELS, Reference, sample_quantiles

CHECKPOINT_FILE = "epifill.pt"


@dataclass(frozen=True)
class EpifillRecipe:
    """Everything that decides a training run but the data.

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
        Memory of the moving average of the weights, which is what is kept.
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
        seeing = Committee([network for network in self.networks if network.panel])
        blind = Committee([network for network in self.networks if not network.panel])
        return EpifillGraph(self.reference, seeing, blind, readout).eval()


def train_epifill(dataset: Dataset, samples: Sequence[str], recipe: EpifillRecipe, out: Path) -> EpifillTraining:
    """Train every member, or go on with those that are lacking.

    Raises
    ------
    BadData
        There are fewer than two samples, or a mark that none of them has.
    BadCheckpoint
        The folder holds a run on other data or with another recipe.
    """
    if len(samples) < 2:
        raise BadData("A model with a panel needs at least two training samples; give more, or use the preset paper.")
    quantiles = sample_quantiles(dataset, samples)
    reference = Reference.of(dataset.marks, list(quantiles.values()))
    training = EpifillTraining(recipe, reference, tuple(samples), dataset.fingerprint, quantiles, [], 0.0)
    path = out / CHECKPOINT_FILE
    if path.exists():
        training = load_epifill(path)
        if (training.recipe, training.data, training.samples) != (recipe, dataset.fingerprint, tuple(samples)):
            raise BadCheckpoint(f"'{out}' holds another run (other data, samples or parameters); choose a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    total = recipe.members + recipe.blind_members
    if len(training.networks) == total:
        return training
    tracks = {sample: normalise(reference, dataset.values(sample), quantiles[sample]) for sample in samples}
    examples = [make_examples(dataset, tracks, sample) for sample in samples]
    with progress("Training", (total - len(training.networks)) * recipe.steps) as advance:
        for member in range(len(training.networks), total):
            began = time.perf_counter()
            network = train_member(examples, reference, recipe, member, member < recipe.members, advance)
            training.networks.append(network)
            training.seconds += time.perf_counter() - began
            _save(training, path)
    return training


def train_member(
    examples: Sequence[Examples],
    reference: Reference,
    recipe: EpifillRecipe,
    member: int,
    panel: bool,
    advance: Callable[[float], None] = lambda steps: None,
) -> RankNetwork:
    """Train one network; `advance` is told every step."""
    torch.manual_seed(1000 * recipe.seed + member)
    marks = len(reference.marks)
    network = RankNetwork(marks, (recipe.first, recipe.second), panel, recipe.dropout)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _standardise(network, examples, recipe.batch)
    network.to(device).train()
    kept = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    thresholds, weights = (part.to(device) for part in threshold_weights(reference, recipe.rank_weight))
    for step in range(recipe.steps):
        rate = recipe.learning_rate * min(1, (step + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * step / recipe.steps))
        for group in optimiser.param_groups:
            group["lr"] = max(rate, 0.005 * recipe.learning_rate)
        features, target, wanted = (
            part.to(device) for part in _draw(examples[step % len(examples)], recipe, panel, marks)
        )
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(features)
        passed = (target[:, :, None] > thresholds).float()
        loss = F.binary_cross_entropy_with_logits(logits.float(), passed, reduction="none") * weights
        cost = (loss.sum(dim=2) * wanted).sum() / wanted.sum().clamp(min=1)
        optimiser.zero_grad()
        cost.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        memory = min(recipe.averaging, (step + 1) / (step + 20))
        with torch.no_grad():
            for average, parameter in zip(kept, network.parameters(), strict=True):
                average.lerp_(parameter, 1 - memory)
        advance(1)
    with torch.no_grad():
        for average, parameter in zip(kept, network.parameters(), strict=True):
            parameter.copy_(average)
    return network.cpu().eval()


def threshold_weights(reference: Reference, rank_weight: float) -> tuple[Tensor, Tensor]:
    """Thresholds in the normalised signal, and how much each counts: (marks, thresholds) both.

    A threshold counts by how far the values on its two sides lie apart, so that the summed cross-entropies are a
    proper score of the whole distribution that cares for values and, a little, for ranks.
    """
    knots = np.concatenate([reference.knots, reference.knots[:, -1:] + BEYOND], axis=1)
    levels = np.array([*KNOT_LEVELS, 1.0])
    steps = np.diff((knots[:, 1:] + knots[:, :-1]) / 2, axis=1)
    steps = steps + rank_weight * np.diff((levels[1:] + levels[:-1]) / 2)
    weights = torch.tensor(4 * steps / steps.sum(axis=1, keepdims=True), dtype=torch.float32)
    return torch.tensor(reference.knots[:, 1:], dtype=torch.float32), weights


def draw_visible(count: int, marks: int, one_hidden: float) -> Tensor:
    """Hide whole marks, one or at random 1 to all but one; float32 (count, marks), 1 = visible."""
    hidden = torch.randint(1, max(marks, 2), (count, 1))
    hidden = torch.where(torch.rand(count, 1) < one_hidden, 1, hidden)
    order = torch.rand(count, marks).argsort(dim=1).argsort(dim=1)
    return (order >= hidden).float()


def _draw(examples: Examples, recipe: EpifillRecipe, panel: bool, marks: int) -> tuple[Tensor, Tensor, Tensor]:
    """A mini-batch: features (bins, features), target (bins, marks), and which of it is to be told (bins, marks)."""
    chosen = torch.randint(len(examples.own), (recipe.batch,))
    shown = draw_visible(recipe.batch, marks, recipe.one_hidden)
    beside = None
    if panel:
        others = examples.panels[1:]
        some = others and float(torch.rand(1)) < recipe.fewer
        beside = others[int(torch.randint(len(others), (1,)))] if some else examples.panels[0]
    measured = examples.measured[chosen]
    features = _features(examples, chosen, shown, beside)
    return features, examples.target[chosen], measured * (1 - shown)


def _features(examples: Examples, chosen: Tensor, shown: Tensor, beside: tuple[Tensor, Tensor] | None) -> Tensor:
    own = (examples.own[chosen].float() * shown[:, None])[..., None]
    visible = (examples.measured[chosen] * shown)[..., None]
    if beside is None:
        return assemble(own, visible)[..., 0]
    panel, there = (part[chosen].float()[..., None] for part in beside)
    return assemble(own, visible, panel, there)[..., 0]


def _standardise(network: RankNetwork, examples: Sequence[Examples], batch: int) -> None:
    """Take the features' mean and spread from bins with all marks shown."""
    drawn = []
    for sample in examples:
        chosen = torch.randint(len(sample.own), (2 * batch,))
        shown = torch.ones(len(chosen), network.marks)
        drawn.append(_features(sample, chosen, shown, sample.panels[0] if network.panel else None))
    together = torch.cat(drawn)
    network.mean.copy_(together.mean(dim=0))
    network.scale.copy_(together.std(dim=0) + 0.05)


def _save(training: EpifillTraining, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    state: dict[str, Any] = {
        "recipe": asdict(training.recipe),
        "marks": list(training.reference.marks),
        "knots": torch.from_numpy(training.reference.knots),
        "samples": list(training.samples),
        "data": training.data,
        "quantiles": {name: torch.from_numpy(values) for name, values in training.quantiles.items()},
        "networks": [(network.panel, network.state_dict()) for network in training.networks],
        "seconds": training.seconds,
    }
    torch.save(state, partial)
    partial.replace(path)


def load_epifill(path: Path) -> EpifillTraining:
    """Read a checkpoint; raises BadCheckpoint."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        recipe = EpifillRecipe(**state["recipe"])
        marks = tuple(state["marks"])
        networks = []
        for panel, weights in state["networks"]:
            network = RankNetwork(len(marks), (recipe.first, recipe.second), panel, recipe.dropout)
            network.load_state_dict(weights)
            networks.append(network.eval())
    except FileNotFoundError:
        raise BadCheckpoint(f"'{path}' does not exist; train first.") from None
    except Exception:
        raise BadCheckpoint(f"'{path}' is no checkpoint of this trainer; train again.") from None
    reference = Reference(marks, state["knots"].numpy())
    quantiles = {name: values.numpy() for name, values in state["quantiles"].items()}
    return EpifillTraining(
        recipe, reference, tuple(state["samples"]), state["data"], quantiles, networks, state["seconds"]
    )


def command(
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run that was cut off goes on.")],
    sample: Annotated[list[str] | None, typer.Option(help="Train on this sample (repeatable; default: all).")] = None,
    members: Annotated[int, typer.Option(help="Networks whose predictions are averaged.", min=1)] = 4,
    steps: Annotated[int, typer.Option(help="Mini-batches per network.", min=1)] = 1500,
    batch: Annotated[int, typer.Option(help="Bins of a mini-batch.", min=1)] = 8192,
    seed: Annotated[int, typer.Option(help="Decides weights, bins and masks.", min=0)] = 0,
) -> None:
    """Train the default kind of model: networks that see the sample's marks and a panel of the other samples."""
    dataset = open_dataset(folder)
    recipe = EpifillRecipe(members=members, steps=steps, batch=batch, seed=seed)
    training = train_epifill(dataset, check_samples(dataset, sample or []), recipe, out)
    console.print(f"{len(training.networks)} networks in {training.seconds:.0f} s; checkpoint in {out}", markup=False)
