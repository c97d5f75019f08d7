"""Features of a bin, the same in training and in the exported graph."""

import torch
from torch import Tensor

from training.epifill.layers import BOXES, PANEL_SHIFTS, shift, surroundings

OWN = 1 + len(BOXES)
BESIDE = OWN + len(PANEL_SHIFTS) + 3 + 3
"""Rows per mark of the sample's own features, and of the panel's."""

_NONE = 9.0
"""Stands in for hidden marks when the minimum over the visible ones is taken."""


def own_features(normalised: Tensor, observed: Tensor) -> Tensor:
    """Features of a sample's tracks: their values, and their means at several scales.

    Parameters
    ----------
    normalised
        From `Normaliser`, (batch, marks, bins).
    observed
        (batch, marks, bins), 1 = has a value.

    Returns
    -------
    (batch, OWN, marks, bins); 0 where a mark was not observed.
    """
    here = normalised * observed
    return torch.stack([here, *surroundings(here, observed)], dim=1)


def panel_features(mean: Tensor, normal: Tensor, raw: Tensor, there: Tensor) -> Tensor:
    """Features of the panel, (batch, BESIDE, marks, bins), from channels (batch, marks, bins) that are 0 if missing."""
    height = torch.asinh(raw)
    channels = torch.cat([mean, normal, height], dim=1)
    means = [part.chunk(3, dim=1) for part in surroundings(channels, there)]
    rows = [mean, *(part[0] for part in means), *(shift(mean, bins) for bins in PANEL_SHIFTS)]
    return torch.stack([*rows, height, means[0][2], means[2][2], normal, means[1][1], means[3][1]], dim=1)


def assemble(own: Tensor, visible: Tensor, beside: Tensor | None = None, there: Tensor | None = None) -> Tensor:
    """All features of the network.

    Parameters
    ----------
    own, beside
        (batch, OWN, marks, bins) and, unless the network takes no panel, (batch, BESIDE, marks, bins).
    visible, there
        (batch, marks, bins), 1 where a mark has a value and is not hidden; where the panel has one.

    Returns
    -------
    (batch, features, bins)
    """
    least = torch.where(visible > 0, own[:, 0], _NONE).amin(dim=1, keepdim=True)
    rows = [own.flatten(1, 2), visible, least]
    if beside is not None and there is not None:
        differences = (own - beside[:, :OWN]) * (visible * there)[:, None]
        rows += [differences.flatten(1, 2), beside.flatten(1, 2)]
    return torch.cat(rows, dim=1)


def count_features(marks: int, panel: bool) -> int:
    """Rows that `assemble` gives."""
    return marks * (OWN + 1 + (OWN + BESIDE if panel else 0)) + 1
