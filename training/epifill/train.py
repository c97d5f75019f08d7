"""Train the ensemble of networks: whole marks hidden, panels of the other samples, one member per seed."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from training.common.checkpoint import check_same_run
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.epifill.examples import Examples, make_examples, normalise
from training.epifill.features import assemble
from training.epifill.network import BEYOND, RankNetwork
from training.epifill.reference import KNOT_LEVELS, Reference, sample_quantiles
from training.epifill.training import CHECKPOINT_FILE, EpifillRecipe, EpifillTraining, load_epifill, save_epifill


def train_epifill(dataset: Dataset, samples: Sequence[str], recipe: EpifillRecipe, out: Path) -> EpifillTraining:
    """Train every member that the checkpoint does not have.

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
        found = (training.recipe, training.data, training.samples)
        check_same_run(out, found, (recipe, dataset.fingerprint, tuple(samples)))
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
            save_epifill(training, path)
    return training


def train_member(
    examples: Sequence[Examples],
    reference: Reference,
    recipe: EpifillRecipe,
    member: int,
    panel: bool,
    advance: Callable[[float], None] = lambda steps: None,
) -> RankNetwork:
    """Train one network; `advance` is called after every step."""
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
    proper score of the whole distribution with most weight on values and a little on ranks.
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
    """A mini-batch: features (bins, features), target (bins, marks), and a mask of what to predict (bins, marks)."""
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
