"""Checkpoints: the state of a training run in one file, written atomically."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from training.common.errors import BadCheckpoint
from training.common.publish import publish

_T = TypeVar("_T")


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values atomically."""
    partial = path.with_name(path.name + ".partial")
    torch.save(dict(state), partial)
    publish(partial, path)


def load_checkpoint(path: Path, restore: Callable[[dict[str, Any]], _T]) -> _T:
    """Read a checkpoint; returns what `restore` makes of its state.

    Raises
    ------
    BadCheckpoint
        There is none, or `restore` fails.
    """
    try:
        return restore(torch.load(path, weights_only=True, map_location="cpu"))
    except FileNotFoundError:
        raise BadCheckpoint(f"'{path}' does not exist; train first.") from None
    except Exception:
        raise BadCheckpoint(f"'{path}' is no checkpoint of this trainer; train again.") from None


def check_same_run(folder: Path, found: object, wanted: object) -> None:
    """Check that the run in a folder can be resumed: it must have the same data, samples and recipe.

    Raises
    ------
    BadCheckpoint
        The two differ.
    """
    if found != wanted:
        raise BadCheckpoint(f"'{folder}' holds another run (other data, samples or parameters); choose a new folder.")


def machine() -> str:
    """The processor that trains, for a model's provenance."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
