"""How strong a sample's tracks are: the quantile functions that a model compares them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.model import Model
from app.core.quantiles import LEVELS, Distribution
from app.core.regions import Region
from app.core.signal import Signal
from app.core.yardstick import Judged, Yardstick


class Source(Protocol):
    """The tracks of one sample, as `Tracks` and `BinnedTracks` give them."""

    def read(self, region: Region) -> Signal:
        """The tracks over a region that starts on a bin border."""

    def distribution(self, mark: str) -> Distribution:
        """How the values of a whole track are distributed."""


@dataclass(frozen=True)
class Strength:
    """How strong the observed tracks are.

    Attributes
    ----------
    quantiles
        float32 (marks, knots), -log10 p-value at the model's levels; NaN for marks that are not observed.
    judged
        Per observed mark, how much of the model's yardstick it covers; None = too little, so it was judged by all of
        its values, as all are for a model without a yardstick.
    """

    quantiles: NDArray[np.float32]
    judged: dict[str, float | None]


def judge(source: Source, model: Model, observed: Sequence[str]) -> Strength | None:
    """Judge some tracks of a sample; None for a model that does not look at strength.

    It takes a tenth of a second; whoever imputes several regions judges once.
    """
    levels = model.manifest.quantile_levels
    if levels is None:
        return None
    knots = [LEVELS.index(level) for level in levels]
    quantiles = np.full((len(model.marks), len(knots)), np.nan, dtype=np.float32)
    shares: dict[str, float | None] = {}
    judged = _by_yardstick(source, model, model.yardstick, observed) if model.yardstick else {}
    for mark in observed:
        found = judged.get(mark)
        shares[mark] = found.share if found else None
        whole = found.quantiles if found else source.distribution(mark).quantiles
        quantiles[model.marks.index(mark)] = whole[knots]
    return Strength(quantiles, shares)


def _by_yardstick(
    source: Source, model: Model, yardstick: Yardstick, observed: Sequence[str]
) -> dict[str, Judged | None]:
    tracks = np.concatenate([source.read(region).select(observed).values for region in yardstick.regions], axis=1)
    return {mark: yardstick.judge(model.marks.index(mark), row) for mark, row in zip(observed, tracks, strict=True)}
