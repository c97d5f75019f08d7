"""Does a method beat every other?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.common.metrics import COMPARED, LOWER_IS_BETTER
from training.common.results import Result, average


@dataclass(frozen=True)
class Comparison:
    """A method against all others.

    Attributes
    ----------
    beaten_by
        Per measure, in the mean over the samples, the best other method if it is as good or better; None = this wins.
    lost
        Per sample, on how many of the measures another method is as good or better.
    """

    method: str
    beaten_by: dict[str, str | None]
    lost: dict[str, int]

    @property
    def beats_all(self) -> bool:
        """Whether the method wins every measure in the mean over the samples."""
        return not any(self.beaten_by.values())


def compare(results: Mapping[str, Sequence[Result]], method: str) -> Comparison:
    """Compare one method with the others on `COMPARED`, by results per method, each of the same cases."""
    samples = dict.fromkeys(result.sample for result in results[method])
    lost = {
        sample: sum(winner is not None for winner in _winners(_only(results, sample), method).values())
        for sample in samples
    }
    return Comparison(method, _winners(results, method), lost)


def _only(results: Mapping[str, Sequence[Result]], sample: str) -> dict[str, list[Result]]:
    return {name: [result for result in own if result.sample == sample] for name, own in results.items()}


def _winners(results: Mapping[str, Sequence[Result]], method: str) -> dict[str, str | None]:
    """Per measure, the best other method if it is as good as this one; one without a value never wins."""
    winners: dict[str, str | None] = {}
    for measure in COMPARED:
        goodness = {name: _goodness(own, measure) for name, own in results.items()}
        best = max((name for name in results if name != method), key=lambda name: goodness[name], default=None)
        beaten = best is not None and goodness[best] > float("-inf") and goodness[best] >= goodness[method]
        winners[measure] = best if beaten else None
    return winners


def _goodness(results: Sequence[Result], measure: str) -> float:
    value = average(results, measure)
    if value is None:
        return float("-inf")
    return -value if measure in LOWER_IS_BETTER else value
