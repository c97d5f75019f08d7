"""Checkpoints: the state of a run in one file, whole or not at all, and never taken for another run's."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from training.common.errors import BadCheckpoint
from training.common.publish import publish

_T = TypeVar("_T")


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    torch.save(dict(state), partial)
    publish(partial, path)


def load_checkpoint(path: Path, restore: Callable[[dict[str, Any]], _T]) -> _T:
    """Read a checkpoint and make of its state what `restore` makes of it.

    Raises
    ------
    BadCheckpoint
        It is not there, or `restore` cannot use it.
    """
    try:
        return restore(torch.load(path, weights_only=True, map_location="cpu"))
    except FileNotFoundError:
        raise BadCheckpoint(f"'{path}' does not exist; train first.") from None
    except Exception:
        raise BadCheckpoint(f"'{path}' is no checkpoint of this trainer; train again.") from None


def check_same_run(folder: Path, found: object, wanted: object) -> None:
    """Refuse to go on with the run in a folder, unless what decided it is what decides this one.

    Raises
    ------
    BadCheckpoint
        The two differ.
    """
    if found != wanted:
        raise BadCheckpoint(f"'{folder}' holds another run (other data, samples or parameters); choose a new folder.")


def machine() -> str:
    """What a training runs on, for a model's provenance."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
