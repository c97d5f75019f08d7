"""Fit every method, impute every case, score it against the truth; results that exist are not computed again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.benchmark.protocols import Case, columns_on, measured_marks, without_chromosomes
from training.benchmark.store import ResultStore, fingerprint
from training.common.calibration import reliability
from training.common.errors import BadData
from training.common.method import Imputed, Imputer, Method
from training.common.metrics import measure
from training.common.results import Result
from training.data.dataset import Dataset


@dataclass(frozen=True)
class Bench:
    """A data set and a folder for comparing methods.

    Attributes
    ----------
    dataset
        All samples and regions.
    out
        Folder of the fits, of the data sets without chromosomes, and of the results.
    results
        Where the results are kept.
    promoters
        Bins near a transcription start site, bool (bins,), if known.
    """

    dataset: Dataset
    out: Path
    results: ResultStore
    promoters: NDArray[np.bool_] | None = field(default=None, repr=False)

    def run(
        self, method: Method, cases: Sequence[Case], advance: Callable[[], None] = lambda: None
    ) -> dict[Case, Result]:
        """Results of some cases; cases share fits, and a fit is made only if a result is missing."""
        done = {case: result for case in cases if (result := self.results.load(method, case))}
        for _ in done:
            advance()
        missing = [case for case in dict.fromkeys(cases) if case not in done]
        for chromosomes, sample in dict.fromkeys((case.chromosomes, case.sample) for case in missing):
            others = [other for other in self.dataset.samples if other != sample]
            if not others:
                raise BadData("A benchmark needs at least two samples.")
            began = time.perf_counter()
            imputer = self.fit(method, others, chromosomes)
            seconds = time.perf_counter() - began
            variance = panel_variance(self.dataset, others)
            for case in missing:
                if (case.chromosomes, case.sample) == (chromosomes, sample):
                    done[case] = self._score(method, imputer, case, variance, seconds)
                    self.results.save(method, case, done[case])
                    advance()
        return {case: done[case] for case in cases}

    def fit(self, method: Method, samples: Sequence[str], chromosomes: tuple[str, ...] = ()) -> Imputer:
        """Fit a method to some samples, without some chromosomes; a method may reuse a fit that it has on disk."""
        dataset = self.dataset
        if chromosomes:
            folder = self.out / "data" / fingerprint(dataset.fingerprint, chromosomes)
            dataset = without_chromosomes(dataset, chromosomes, folder)
        fit = fingerprint(dataset.fingerprint, asdict(method), list(samples))
        return method.fit(dataset, samples, self.out / "fits" / method.name / fit)

    def _score(
        self, method: Method, imputer: Imputer, case: Case, variance: NDArray[np.float32], fit_seconds: float
    ) -> Result:
        began = time.perf_counter()
        imputed = imputer.impute(self.dataset, case.sample, case.observed)
        seconds = time.perf_counter() - began
        truth = self.dataset.values(case.sample)
        check_shape(method, imputed, truth.shape)
        scored = columns_on(self.dataset, case.chromosomes) if case.chromosomes else np.ones(truth.shape[1], dtype=bool)
        hidden = [mark for mark in measured_marks(self.dataset, case.sample) if mark not in case.observed]
        result = Result(
            method=method.name,
            sample=case.sample,
            observed=case.observed,
            chromosomes=case.chromosomes,
            marks={},
            nominal=imputed.nominal,
            fit_seconds=round(fit_seconds, 3),
            impute_seconds=round(seconds, 3),
        )
        promoters = None if self.promoters is None else self.promoters[scored]
        for mark in hidden:
            row = self.dataset.marks.index(mark)
            t, p = truth[row, scored], imputed.values[row, scored]
            result.marks[mark] = measure(t, p, variance[row, scored], promoters)
            if imputed.lower is not None and imputed.upper is not None:
                result.reliability[mark] = reliability(t, p, imputed.lower[row, scored], imputed.upper[row, scored])
        return result


def check_shape(method: Method, imputed: Imputed, shape: tuple[int, ...]) -> None:
    """Raise BadData unless a method gave an array of the data set's shape, and bounds of the same."""
    for values in (imputed.values, imputed.lower, imputed.upper):
        if values is not None and values.shape != shape:
            raise BadData(f"Method '{method.name}' gave an array of {values.shape}; the data set has {shape}.")


def panel_variance(dataset: Dataset, samples: Sequence[str]) -> NDArray[np.float32]:
    """Variance of -log10 p over the samples that have a value, float32 (marks, bins); NaN where none has."""
    shape = (len(dataset.marks), dataset.n_bins)
    count, mean, squares = np.zeros(shape, dtype=np.float32), np.zeros(shape), np.zeros(shape)
    for sample in samples:
        values = dataset.values(sample)
        there = ~np.isnan(values)
        count += there
        difference = np.where(there, values - mean, 0)
        mean += difference / np.maximum(count, 1)
        squares += difference * np.where(there, values - mean, 0)  # Welford, Technometrics 4:419 (1962)
    variance: NDArray[np.float32] = np.where(count > 0, squares / np.maximum(count, 1), np.nan).astype(np.float32)
    return variance
