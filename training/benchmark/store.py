"""Where the results of a benchmark are kept while it runs, so that nothing is computed twice."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from training.benchmark.protocols import Case
from training.common.method import Method
from training.common.publish import publish
from training.common.results import Result
from training.data.dataset import Dataset


class ResultStore:
    """One small file per result, named after a hash of everything that decides it, so a file that exists is valid.

    Parameters
    ----------
    folder
        METHOD/SAMPLE-HASH.json in it. When a method's code has changed and its fields have not, remove its folder.
    dataset
        What is imputed.
    annotation
        Hash of the annotation that was used.
    """

    def __init__(self, folder: Path, dataset: Dataset, annotation: str = "") -> None:
        self._folder, self._data, self._annotation = folder, dataset.fingerprint, annotation

    def path(self, method: Method, case: Case) -> Path:
        """The file of a case's result."""
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
