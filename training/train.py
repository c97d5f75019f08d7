"""Train the paper's autoencoder by the paper's recipe."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training.common.errors import BadCheckpoint, BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.data.windows import draw_masks, draw_windows
from training.networks import PaperAutoencoder

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run but the data. The defaults are the paper's.

    Attributes
    ----------
    window, hidden
        Bins of a window, units of the middle layer.
    windows
        Number of random windows drawn once.
    mask_probability
        Probability that a mark of a window is hidden; drawn once per window.
    l2
        Weight of ½‖W1‖² + ½‖W2‖² in the cost.
    learning_rate, batch, iterations
        Adam's initial learning rate; windows per mini-batch; number of mini-batches, taken in turn, wrapping around.
    """

    window: int = 41
    hidden: int = 2000
    windows: int = 100_000
    mask_probability: float = 0.3
    l2: float = 0.001
    learning_rate: float = 0.01
    batch: int = 9000
    iterations: int = 200
    seed: int = 0


PRESETS = {"paper": Recipe()}


@dataclass
class Training:
    """A network, how it came about, and what it takes to go on with it."""

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
    """Run the iterations that are left; `each` is told the training and the cost after every one."""
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
    """Write a checkpoint, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    state: dict[str, Any] = {
        "recipe": asdict(training.recipe),
        "marks": list(training.marks),
        "samples": list(training.samples),
        "data": training.data,
        "iteration": training.iteration,
        "seconds": training.seconds,
        "network": training.network.state_dict(),
        "optimiser": training.optimiser.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(path)


def load(path: Path) -> Training:
    """Read a checkpoint; raises BadCheckpoint."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        recipe = Recipe(**state["recipe"])
        network = PaperAutoencoder(len(state["marks"]), recipe.window, recipe.hidden)
        network.load_state_dict(state["network"])
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        optimiser.load_state_dict(state["optimiser"])
    except FileNotFoundError:
        raise BadCheckpoint(f"'{path}' does not exist; train first.") from None
    except Exception:
        raise BadCheckpoint(f"'{path}' is no checkpoint of this trainer; train again.") from None
    marks, samples = tuple(state["marks"]), tuple(state["samples"])
    return Training(network, recipe, marks, samples, state["data"], state["iteration"], state["seconds"], optimiser)


def train(dataset: Dataset, samples: Sequence[str], recipe: Recipe, out: Path, save_every: int = 25) -> Training:
    """Train, or go on with a run that was cut off, with a progress bar, TensorBoard log and checkpoints.

    Raises
    ------
    BadCheckpoint
        The folder holds a run on other data or with another recipe.
    """
    path = out / CHECKPOINT_FILE
    training = load(path) if path.exists() else start(dataset, samples, recipe)
    if (training.recipe, training.data, training.samples) != (recipe, dataset.fingerprint, tuple(samples)):
        raise BadCheckpoint(f"'{out}' holds another run (other data, samples or parameters); choose a new folder.")
    windows, masks = training_windows(dataset, samples, recipe)
    out.mkdir(parents=True, exist_ok=True)
    with (
        SummaryWriter(str(out / "tensorboard"), purge_step=training.iteration) as log,
        progress("Training", recipe.iterations - training.iteration) as advance,
    ):

        def each(training: Training, value: float) -> None:
            log.add_scalar("cost", value, training.iteration)
            if training.iteration % save_every == 0 or training.iteration == recipe.iterations:
                save(training, path)
            advance()

        fit(training, windows, masks, each)
    return training


def machine() -> str:
    """What the training ran on, for a model's provenance."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def chosen_recipe(preset: str, **changes: Any) -> Recipe:
    """A preset with the given parameters changed; raises BadData for an unknown one."""
    if preset not in PRESETS:
        raise BadData(f"Preset '{preset}' is not known; the known ones are {', '.join(PRESETS)}.")
    return replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})


Preset = Annotated[str, typer.Option(help=f"Recipe to start from: {', '.join(PRESETS)}.")]
Hidden = Annotated[int | None, typer.Option(help="Units of the middle layer.", min=1)]
Window = Annotated[int | None, typer.Option(help="Bins of a window.", min=1)]
Windows = Annotated[int | None, typer.Option(help="Number of training windows.", min=1)]
L2 = Annotated[float | None, typer.Option(help="Weight of the L2 term.", min=0)]
LearningRate = Annotated[float | None, typer.Option(help="Adam's initial learning rate.", min=1e-9)]
Batch = Annotated[int | None, typer.Option(help="Windows per mini-batch.", min=1)]
Iterations = Annotated[int | None, typer.Option(help="Number of mini-batches.", min=1)]
Seed = Annotated[int | None, typer.Option(help="Decides weights, windows and masks.", min=0)]


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
