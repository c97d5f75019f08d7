"""The methods that a benchmark can compare, the quick ones first."""

from collections.abc import Callable, Sequence

from training.baselines.boosting import Boosting
from training.baselines.ridge import Ridge
from training.baselines.samples import NearestSample, PanelMean
from training.common.errors import BadData
from training.common.method import Method
from training.epifill.method import Epifill
from training.paper.method import PaperNetwork

METHODS: dict[str, Callable[[str, int], Method]] = {
    "panel-mean": lambda name, seed: PanelMean(name, seed),
    "panel-mean-raw": lambda name, seed: PanelMean(name, seed, raw=True),
    "nearest-sample": lambda name, seed: NearestSample(name, seed),
    "ridge": lambda name, seed: Ridge(name, seed),
    "ridge-mean": lambda name, seed: Ridge(name, seed, with_mean=True),
    "boosting": lambda name, seed: Boosting(name, seed),
    "boosting-mean": lambda name, seed: Boosting(name, seed, with_mean=True),
    "paper": lambda name, seed: PaperNetwork(name, seed),
    "epifill": lambda name, seed: Epifill(name, seed),
    "epifill-blind": lambda name, seed: Epifill(name, seed, with_panel=False),
}
"""Makes a method from its name and the seed."""


def choose_methods(names: Sequence[str], seed: int) -> list[Method]:
    """The named methods, or all where none is named; raises BadData for one that is not known."""
    for name in names:
        if name not in METHODS:
            raise BadData(f"Method '{name}' is not known; the known ones are {', '.join(METHODS)}.")
    return [METHODS[name](name, seed) for name in dict.fromkeys(names or METHODS)]
