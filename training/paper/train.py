"""Train the paper's autoencoder by the paper's recipe."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training.common.checkpoint import check_same_run, load_checkpoint, save_checkpoint
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.data.windows import draw_masks, draw_windows
from training.paper.network import PaperAutoencoder
from training.paper.recipe import (
    L2,
    Batch,
    Hidden,
    Iterations,
    LearningRate,
    Preset,
    Recipe,
    Seed,
    Window,
    Windows,
    chosen_recipe,
)

CHECKPOINT_FILE = "checkpoint.pt"
_SAVE_EVERY = 25
"""Iterations between two checkpoints."""


@dataclass
class Training:
    """A network with its origin and the state needed to resume training."""

    network: PaperAutoencoder
    recipe: Recipe
    marks: tuple[str, ...]
    samples: tuple[str, ...]
    data: str
    iteration: int
    seconds: float
    optimiser: torch.optim.Adam


def cost(network: PaperAutoencoder, windows: Tensor, measured: Tensor, masked: Tensor, l2: float) -> Tensor:
    """The paper's cost of a mini-batch.

    Root of the mean, over every entry of the batch, masked ones included, of (input - output)², plus the L2 term.
    Entries that were never measured are left out of the mean; the paper's data has none.

    Parameters
    ----------
    windows
        float32 (batch, marks, window), -log10 p-value, 0 where not measured.
    measured
        float32 (batch, marks, window), 1 = measured.
    masked
        bool (batch, marks), True = hidden from the network.
    """
    out = network(windows * ~masked[:, :, None])
    squares = ((windows - out) * measured).square().sum()
    return torch.sqrt(squares / measured.sum()) + l2 * network.weight_penalty()


def start(dataset: Dataset, samples: Sequence[str], recipe: Recipe) -> Training:
    """A network before its first iteration; the seed decides its weights."""
    torch.manual_seed(recipe.seed)
    network = PaperAutoencoder(len(dataset.marks), recipe.window, recipe.hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    return Training(network, recipe, dataset.marks, tuple(samples), dataset.fingerprint, 0, 0.0, optimiser)


def training_windows(
    dataset: Dataset, samples: Sequence[str], recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The windows (count, marks, window) and masks (count, marks) that the recipe's seed draws."""
    rng = np.random.default_rng(recipe.seed)
    windows = draw_windows(dataset, samples, recipe.window, recipe.windows, rng)
    if np.isnan(windows).all():
        raise BadData(f"None of the samples {', '.join(samples)} has a value in the data set.")
    return windows, draw_masks(recipe.windows, len(dataset.marks), recipe.mask_probability, rng)


def fit(
    training: Training,
    windows: NDArray[np.float32],
    masks: NDArray[np.bool_],
    each: Callable[[Training, float], None] = lambda training, value: None,
) -> None:
    """Run the remaining iterations; `each` is called with the training and the cost after every one."""
    recipe, network = training.recipe, training.network
    measured = torch.from_numpy(~np.isnan(windows)).float()
    inputs, masked = torch.from_numpy(np.nan_to_num(windows)), torch.from_numpy(masks)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    while training.iteration < recipe.iterations:
        began = time.perf_counter()
        places = (torch.arange(recipe.batch) + training.iteration * recipe.batch) % len(inputs)
        batch = [tensor[places].to(device) for tensor in (inputs, measured, masked)]
        training.optimiser.zero_grad()
        loss = cost(network, batch[0], batch[1], batch[2], recipe.l2)
        loss.backward()  # type: ignore[no-untyped-call]
        training.optimiser.step()
        training.iteration += 1
        training.seconds += time.perf_counter() - began
        each(training, loss.item())
    network.cpu()


def save(training: Training, path: Path) -> None:
    """Write a checkpoint."""
    state = {
        "recipe": asdict(training.recipe),
        "marks": list(training.marks),
        "samples": list(training.samples),
        "data": training.data,
        "iteration": training.iteration,
        "seconds": training.seconds,
        "network": training.network.state_dict(),
        "optimiser": training.optimiser.state_dict(),
    }
    save_checkpoint(state, path)


def load(path: Path) -> Training:
    """Read a checkpoint; raises BadCheckpoint."""
    return load_checkpoint(path, _restore)


def _restore(state: dict[str, Any]) -> Training:
    recipe = Recipe(**state["recipe"])
    network = PaperAutoencoder(len(state["marks"]), recipe.window, recipe.hidden)
    network.load_state_dict(state["network"])
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    optimiser.load_state_dict(state["optimiser"])
    marks, samples = tuple(state["marks"]), tuple(state["samples"])
    return Training(network, recipe, marks, samples, state["data"], state["iteration"], state["seconds"], optimiser)


def train(dataset: Dataset, samples: Sequence[str], recipe: Recipe, out: Path) -> Training:
    """Train, or go on with a run that was cut off, with a progress bar, TensorBoard log and checkpoints.

    Raises
    ------
    BadCheckpoint
        The folder holds a run on other data or with another recipe.
    """
    path = out / CHECKPOINT_FILE
    training = load(path) if path.exists() else start(dataset, samples, recipe)
    found = (training.recipe, training.data, training.samples)
    check_same_run(out, found, (recipe, dataset.fingerprint, tuple(samples)))
    windows, masks = training_windows(dataset, samples, recipe)
    out.mkdir(parents=True, exist_ok=True)
    with (
        SummaryWriter(str(out / "tensorboard"), purge_step=training.iteration) as log,
        progress("Training", recipe.iterations - training.iteration) as advance,
    ):

        def each(training: Training, value: float) -> None:
            log.add_scalar("cost", value, training.iteration)
            if training.iteration % _SAVE_EVERY == 0 or training.iteration == recipe.iterations:
                save(training, path)
            advance()

        fit(training, windows, masks, each)
    return training


def command(
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run that was cut off goes on.")],
    sample: Annotated[list[str] | None, typer.Option(help="Train on this sample (repeatable; default: all).")] = None,
    preset: Preset = "paper",
    hidden: Hidden = None,
    window: Window = None,
    windows: Windows = None,
    l2: L2 = None,
    learning_rate: LearningRate = None,
    batch: Batch = None,
    iterations: Iterations = None,
    seed: Seed = None,
) -> None:
    """Train an autoencoder; the preset `paper` is the paper's network and recipe."""
    dataset = open_dataset(folder)
    recipe = chosen_recipe(
        preset,
        hidden=hidden,
        window=window,
        windows=windows,
        l2=l2,
        learning_rate=learning_rate,
        batch=batch,
        iterations=iterations,
        seed=seed,
    )
    training = train(dataset, check_samples(dataset, sample or []), recipe, out)
    console.print(f"{training.iteration} iterations in {training.seconds:.0f} s; checkpoint in {out}")
