"""The paper's recipe, and the options by which a command changes it."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from training.common.errors import BadData


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run. The defaults are the paper's.

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
