"""What a benchmark measured, and its safe place on disk."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ValidationError

from training.benchmark.protocols import Case
from training.common.calibration import Reliability
from training.common.method import Method
from training.common.metrics import Measures
from training.common.publish import publish
from training.data.dataset import Dataset


class Result(BaseModel):
    """How well one imputation went.

    Attributes
    ----------
    marks
        Measures of every mark that was measured and not observed.
    reliability
        Of the same marks, where the method gives an interval; `nominal` is what the interval means to hold.
    fit_seconds, impute_seconds
        Wall time of the fit, which other imputations may share, and of the imputation of all marks.
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
    """benchmark.json: every result, by protocol.

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


class Results:
    """One small file per result, named after a hash of all that decides it: a file that is there fits.

    Parameters
    ----------
    folder
        METHOD/SAMPLE-HASH.json in it. When a method's code has changed and its fields have not, remove its folder.
    dataset
        What is imputed.
    annotation
        What was read besides: a hash of the annotation.
    """

    def __init__(self, folder: Path, dataset: Dataset, annotation: str = "") -> None:
        self._folder, self._data, self._annotation = folder, dataset.fingerprint, annotation

    def path(self, method: Method, case: Case) -> Path:
        """Where the result of a case belongs."""
        key = fingerprint(self._data, self._annotation, asdict(method), asdict(case))
        return self._folder / method.name / f"{case.sample}-{key}.json"

    def load(self, method: Method, case: Case) -> Result | None:
        """The result, if it is there and whole."""
        try:
            return Result.model_validate_json(self.path(method, case).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def save(self, method: Method, case: Case, result: Result) -> None:
        """Write a result, whole or not at all."""
        path = self.path(method, case)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(result.model_dump_json(indent=1) + "\n")
        publish(partial, path)


def fingerprint(*parts: object) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


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
