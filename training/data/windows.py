"""Random training windows, and the masks that hide whole marks of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.common.errors import BadData
from training.data.dataset import Dataset


def draw_windows(
    dataset: Dataset, samples: Sequence[str], window: int, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw windows at random places of the samples, each within one region of one sample.

    Returns
    -------
    float32 (count, marks, window), -log10 p-value, NaN = not measured.

    Raises
    ------
    BadData
        No region is as long as a window.
    """
    starts = np.diff(dataset.offsets) - window + 1
    room = np.maximum(starts, 0)
    if not room.sum():
        raise BadData(f"No region of the data set has {window} bins; a window needs that many.")
    which = rng.integers(len(samples), size=count)
    place = rng.integers(int(room.sum()), size=count)
    region = np.searchsorted(np.cumsum(room), place, side="right")
    column = dataset.offsets[region] + place - (np.cumsum(room) - room)[region]
    windows = np.empty((count, len(dataset.marks), window), dtype=np.float32)
    reach = np.arange(window)
    for i, sample in enumerate(samples):
        chosen = which == i
        columns = column[chosen][:, None] + reach
        windows[chosen] = dataset.values(sample)[:, columns].transpose(1, 0, 2)
    return windows


def draw_masks(count: int, marks: int, probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Hide each mark of each window with a probability of its own; bool (count, marks), True = masked."""
    return rng.random((count, marks)) < probability
