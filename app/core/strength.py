"""How strong a sample's tracks are: the quantile functions that a model compares them by."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.model import Model
from app.core.quality import Verdict
from app.core.quantiles import LEVELS, Distribution
from app.core.regions import Region
from app.core.signal import Signal

_RULES = 1
"""Raised when the same track and model would be judged otherwise: what older versions have kept counts no more."""


class TrackSource(Protocol):
    """The tracks of one sample, as `BinnedTracks` gives them."""

    def read(self, region: Region) -> Signal:
        """The tracks over a region that starts on a bin border."""

    def read_row(self, mark: str, region: Region) -> NDArray[np.float32]:
        """One track over a region that starts on a bin border, float32 (bins,)."""

    def distribution(self, mark: str) -> Distribution:
        """How the values of a whole track are distributed."""

    def verdict(self, mark: str) -> Verdict:
        """What was found odd about a track when it was taken in."""

    def kept(self, mark: str, name: str, work_out: Callable[[], Any]) -> Any:
        """What was worked out from a track before, or is now; anything that JSON can hold."""


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


def judge(source: TrackSource, model: Model, observed: Sequence[str]) -> Strength | None:
    """Judge some tracks of a sample; None for a model that does not look at strength.

    A track is judged on its own, so what was found for a model is kept with the track and serves every later request.
    """
    levels = model.manifest.quantile_levels
    if levels is None:
        return None
    knots = [LEVELS.index(level) for level in levels]
    quantiles = np.full((len(model.marks), len(knots)), np.nan, dtype=np.float32)
    shares: dict[str, float | None] = {}
    for mark in observed:
        found = _by_yardstick(source, model, mark) if model.yardstick else None
        whole, shares[mark] = found or (source.distribution(mark).quantiles, None)
        quantiles[model.marks.index(mark)] = whole[knots]
    return Strength(quantiles, shares)


def _by_yardstick(source: TrackSource, model: Model, mark: str) -> tuple[NDArray[np.float32], float] | None:
    """A track's quantile function at the yardstick, and how much of it it covers; None if that is too little."""

    def work_out() -> dict[str, Any] | None:
        yardstick = model.yardstick
        assert yardstick
        values = np.concatenate([source.read_row(mark, region) for region in yardstick.regions])
        found = yardstick.judge(model.marks.index(mark), values)
        return {"quantiles": found.quantiles.tolist(), "share": found.share} if found else None

    kept = source.kept(mark, f"strength-{_rule_of(model)}-{mark}", work_out)
    return kept and (np.array(kept["quantiles"], np.float32), kept["share"])


def _rule_of(model: Model) -> str:
    """A name for the way in which a model judges."""
    described = model.manifest.panel and model.manifest.panel.yardstick
    return hashlib.sha256(repr((_RULES, model.sha256, described)).encode()).hexdigest()[:16]
