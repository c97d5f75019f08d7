"""benchmark.json: what a benchmark measured."""

from collections import defaultdict
from collections.abc import Iterable

from pydantic import BaseModel

from training.common.calibration import Reliability
from training.common.metrics import Measures


class Result(BaseModel):
    """How well one imputation went.

    Attributes
    ----------
    marks
        Measures of every mark that was measured and not observed.
    reliability
        Of the same marks, where the method gives an interval; `nominal` is the nominal coverage.
    fit_seconds, impute_seconds
        Wall time of the fit, which several imputations may share, and of the imputation of all marks.
    """

    method: str
    sample: str
    observed: tuple[str, ...]
    chromosomes: tuple[str, ...]
    marks: dict[str, Measures]
    reliability: dict[str, list[Reliability]] = {}
    nominal: float | None = None
    fit_seconds: float
    impute_seconds: float


class Benchmark(BaseModel):
    """Every result, by protocol.

    Attributes
    ----------
    data
        Fingerprint of the data set.
    methods
        The fields of every method.
    folds
        The chromosomes that were held out together.
    """

    data: str
    assembly: str
    bin_size_bp: int
    bins: int
    marks: list[str]
    seed: int
    methods: list[dict[str, object]]
    folds: list[list[str]]
    leave_one_out: list[Result]
    subsets: list[Result]
    chromosomes: list[Result]


def average(results: Iterable[Result], measure: str, mark: str | None = None) -> float | None:
    """Mean of a measure over the tracks of each sample, then over the samples; None where nothing has it.

    Parameters
    ----------
    mark
        Only this mark.
    """
    by_sample: defaultdict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, measures in result.marks.items():
            value = getattr(measures, measure)
            if value is not None and mark in (None, name):
                by_sample[result.sample].append(value)
    means = [sum(values) / len(values) for values in by_sample.values()]
    return sum(means) / len(means) if means else None
