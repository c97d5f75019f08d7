"""Training examples: every bin of every sample, as input of the network, with a panel of the other samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset
from training.epifill.features import own_features, panel_features
from training.epifill.layers import Normaliser
from training.epifill.reference import Reference

_AT_ONCE = 100_000  # bins that are normalised in one go


@dataclass(frozen=True)
class NormalisedTracks:
    """One sample's tracks over all regions of a data set, each (marks, bins).

    Attributes
    ----------
    raw
        float32, -log10 p-value, NaN = not measured.
    normalised, scores
        From `Normaliser`; NaN = not measured.
    """

    raw: NDArray[np.float32]
    normalised: NDArray[np.float32]
    scores: NDArray[np.float32]


@torch.no_grad()
def normalise(reference: Reference, raw: NDArray[np.float32], quantiles: NDArray[np.float32]) -> NormalisedTracks:
    """Give tracks the reference's distribution, with the quantile functions (marks, knots) of the whole tracks."""
    layer = Normaliser(reference)
    there = ~np.isnan(raw)
    given = torch.from_numpy(np.nan_to_num(quantiles))[None]
    normalised, scores = np.full_like(raw, np.nan), np.full_like(raw, np.nan)
    for first in range(0, raw.shape[1], _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        mapped = layer(torch.from_numpy(np.nan_to_num(raw[:, part]))[None], given)
        for whole, piece in zip((normalised, scores), mapped, strict=True):
            whole[:, part] = np.where(there[:, part], piece[0].numpy(), np.float32(np.nan))
    return NormalisedTracks(np.asarray(raw), normalised, scores)


def panel_channels(samples: Sequence[NormalisedTracks]) -> NDArray[np.float32]:
    """Statistics of some samples at every bin, float32 (marks, STATISTICS, bins); NaN where none has a value."""
    channels = []
    for rows in zip(*((sample.normalised, sample.scores, sample.raw) for sample in samples), strict=True):
        total, count = np.zeros_like(rows[0]), np.zeros_like(rows[0])
        for row in rows:
            there = ~np.isnan(row)
            total += np.where(there, row, np.float32(0))
            count += there
        channels.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    return np.stack(channels, axis=1)


@dataclass(frozen=True)
class Examples:
    """One sample's bins.

    Attributes
    ----------
    own
        float16 (bins, OWN, marks).
    measured
        float32 (bins, marks), 1 = has a value.
    target
        float32 (bins, marks), the normalised tracks, 0 where not measured.
    panels
        Features of the panel, float16 (bins, BESIDE, marks), and where it has something, float32 (bins, marks): first
        that of all other samples, then those of fewer of them.
    """

    own: Tensor
    measured: Tensor
    target: Tensor
    panels: list[tuple[Tensor, Tensor]]


def make_examples(dataset: Dataset, tracks: dict[str, NormalisedTracks], sample: str) -> Examples:
    """The examples of one sample; its panels are made of the others alone."""
    mine = tracks[sample]
    there = torch.from_numpy((~np.isnan(mine.normalised)).astype(np.float32))
    target = torch.from_numpy(np.nan_to_num(mine.normalised))
    own = _by_region(dataset, lambda part: own_features(target[None, :, part], there[None, :, part]))
    others = [name for name in tracks if name != sample]
    groups = [others, *combinations(others, len(others) - 1)] if len(others) > 1 else [others]
    panels = [_panel(dataset, [tracks[name] for name in group]) for group in groups if group]
    return Examples(own, there.T.contiguous(), target.T.contiguous(), panels)


def _panel(dataset: Dataset, samples: Sequence[NormalisedTracks]) -> tuple[Tensor, Tensor]:
    channels = panel_channels(samples)
    there = torch.from_numpy((~np.isnan(channels[:, 0])).astype(np.float32))
    filled = torch.from_numpy(np.nan_to_num(channels))

    def features(part: slice) -> Tensor:
        mean, normal, raw = filled[None, :, :, part].unbind(dim=2)
        return panel_features(mean, normal, raw, there[None, :, part])

    return _by_region(dataset, features), there.T.contiguous()


@torch.no_grad()
def _by_region(dataset: Dataset, features: Callable[[slice], Tensor]) -> Tensor:
    """Features (1, rows, marks, bins) of every region, as float16 (bins, rows, marks) one after the other."""
    parts = []
    for first, last in zip(dataset.offsets, dataset.offsets[1:], strict=False):
        parts.append(features(slice(int(first), int(last)))[0].permute(2, 0, 1).half())
    return torch.cat(parts)
