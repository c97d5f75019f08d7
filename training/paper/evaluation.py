"""evaluation.json: what an evaluation measured."""

from pathlib import Path

from pydantic import BaseModel

from app.core.manifest import MarkAccuracy
from training.common.errors import BadData

RESULT_FILE = "evaluation.json"


class Evaluation(BaseModel):
    """What an evaluation measured.

    Attributes
    ----------
    samples
        Per held-out sample, the accuracy of every mark, each hidden alone.
    training
        Per mark, Pearson r of the masked values of the training windows; None where that was not measured.
    training_overall
        The same over all marks together.
    seconds, peak_memory_bytes
        Wall time of the imputation, and the most memory that the process held.
    """

    model: str
    protocol: str
    samples: dict[str, list[MarkAccuracy]]
    training: dict[str, float | None] | None = None
    training_overall: float | None = None
    seconds: float
    peak_memory_bytes: int


def mean_over_samples(evaluation: Evaluation) -> list[MarkAccuracy]:
    """Accuracy per mark, averaged over the held-out samples that have it."""
    marks = dict.fromkeys(result.mark for results in evaluation.samples.values() for result in results)
    means = []
    for mark in marks:
        results = [r for results in evaluation.samples.values() for r in results if r.mark == mark]
        fields = {}
        for field in ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh"):
            known = [value for r in results if (value := getattr(r, field)) is not None]
            fields[field] = round(sum(known) / len(known), 5) if known else None
        means.append(MarkAccuracy(mark=mark, bins=sum(r.bins for r in results), **fields))
    return means


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation.json; raises BadData."""
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise BadData(f"'{path}' is no evaluation.json; make one with evaluate or leave-one-out.") from None
