"""How strong a track is, judged at the places where a model's training samples were judged.

A quantile function depends on where one looks: genes are dense in some regions, and a whole genome is emptier than the
regions that a model was trained on. So a track is judged by its values in those regions alone; where it covers a part
of them, bins are weighed so that the part is composed as the whole is (post-stratification; Holt & Smith, Journal of
the Royal Statistical Society A 142:33, 1979), strata being ranges of the panel's signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.core.panel import Panel
from app.core.quantiles import LEVELS, quantile_function
from app.core.regions import Region

LEAST_BINS = 10_000
"""Bins of the yardstick that a track must cover to be judged by it: 250 kb of 25-bp bins."""

_WHOLE = 0.999
"""Share of the yardstick from which on nothing needs weighing."""

_STRATA = np.concatenate([np.arange(0.05, 0.9, 0.05), 1 - np.geomspace(0.1, 0.001, 12)])
"""Borders of the strata, as levels of the panel's signal: finer where it is high."""

_MOST_WEIGHT = 20.0
"""A bin counts for at most as many: else a few bins of a rare stratum would decide."""


@dataclass(frozen=True)
class Judged:
    """What the yardstick says of a track.

    Attributes
    ----------
    quantiles
        float32 (levels,), -log10 p-value at each of LEVELS.
    share
        How much of the yardstick the track covers.
    """

    quantiles: NDArray[np.float32]
    share: float


class Yardstick:
    """The places by which a model judges how strong a track is. Safe for several threads.

    Parameters
    ----------
    panel
        Per mark of the model, the channel by which bins are put into strata.
    regions
        On bin borders, of one to four million bins in all.
    """

    def __init__(self, panel: Panel, regions: Sequence[Region]) -> None:
        self.regions = tuple(regions)
        self._panel = panel

    @cached_property
    def _strata(self) -> NDArray[np.uint8]:
        """Number of each bin's stratum, uint8 (marks, bins); 0 where the panel has nothing."""
        signal = np.concatenate([self._panel.read(region) for region in self.regions], axis=1)
        numbers = np.zeros(signal.shape, dtype=np.uint8)
        for own, row in zip(numbers, signal, strict=True):
            there = ~np.isnan(row)
            if there.any():
                borders = np.unique(np.quantile(row[there], _STRATA))
                own[there] = 1 + np.searchsorted(borders, row[there])
        return numbers

    def judge(self, mark: int, values: NDArray[np.float32]) -> Judged | None:
        """The quantile function of a track; None if it covers too little of the yardstick.

        Parameters
        ----------
        mark
            The mark's place among the model's.
        values
            float32 (bins,), the track over all regions one after the other, -log10 p-value; NaN = not covered.
        """
        there = ~np.isnan(values)
        covered = int(there.sum())
        if covered < LEAST_BINS:
            return None
        share = covered / len(values)
        if share >= _WHOLE:
            return Judged(quantile_function(values), share)
        strata = self._strata[mark]
        whole = np.bincount(strata, minlength=256) / len(strata)
        part = np.bincount(strata[there], minlength=256) / covered
        weights = np.divide(whole, part, out=np.zeros(256), where=part > 0).clip(max=_MOST_WEIGHT)
        return Judged(_weighted_quantiles(values[there], weights[strata[there]]), share)


def _weighted_quantiles(values: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Value at each of LEVELS, where each value stands for as many as its weight says; float32 (levels,)."""
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order])
    middles = (up_to - weights[order] / 2) / up_to[-1]
    return np.interp(LEVELS, middles, values[order]).astype(np.float32)
