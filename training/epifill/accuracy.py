"""Results of a benchmark for a model's manifest and card."""

from pathlib import Path

from app.core.manifest import Accuracy, MarkAccuracy
from training.common.calibration import coverage
from training.common.errors import BadData
from training.common.metrics import COMPARED
from training.common.results import Benchmark, Result, average

METHOD_NAME = "epifill"
"""Name of this kind of model in a benchmark."""

WITHOUT_PANEL = "epifill-blind"
"""Name of the same without a panel."""

FIGURES = {
    "marks.png": "Accuracy per mark, beside every other method",
    "sizes.png": "Accuracy on all hidden marks, by the number of observed ones (random sets)",
    f"{METHOD_NAME}-scatter.png": "Predicted against true values of a left-out sample, each mark hidden alone",
    f"{METHOD_NAME}-loci.png": "Loci of that sample: the imputed track with its interval (pale), the training samples'"
    " mean, and the truth, each on its own scale",
    f"{METHOD_NAME}-reliability.png": "How much of the truth the intervals hold, and predicted beside true signal, by"
    " tenths of predicted signal, on left-out samples",
}
"""Pictures of a benchmark that the card shows, with captions."""


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark.json; raises BadData."""
    try:
        return Benchmark.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise BadData(f"'{path}' is no benchmark.json; make one with `python -m training benchmark`.") from None


def pictures_of(folder: Path) -> dict[Path, str]:
    """The pictures in a benchmark's folder that belong into a card, and their captions."""
    return {folder / name: caption for name, caption in FIGURES.items() if (folder / name).is_file()}


def accuracy_of(benchmark: Benchmark) -> list[Accuracy]:
    """Accuracy per mark with each sample left out in turn, with the panel and, if it was measured, without."""
    without = [result for result in benchmark.leave_one_out if result.method == WITHOUT_PANEL]
    return [_accuracy(benchmark, _own(benchmark), True), *([_accuracy(benchmark, without, False)] if without else [])]


def _accuracy(benchmark: Benchmark, own: list[Result], panel: bool) -> Accuracy:
    """The mean over the samples."""
    rows = []
    for mark in benchmark.marks:
        fields = {name: average(own, name, mark) for name in ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh")}
        bins = sum(result.marks[mark].bins for result in own if mark in result.marks)
        rows.append(MarkAccuracy(mark=mark, bins=bins, **{name: _rounded(value) for name, value in fields.items()}))
    return Accuracy(
        protocol=f"Leave one sample out of {', '.join(sorted({result.sample for result in own}))}: each mark of the"
        f" held-out sample hidden alone and imputed from its other marks by a model of the remaining samples"
        f"{'' if panel else ' that sees no panel'}; {benchmark.bins:,} bins of {benchmark.bin_size_bp} bp.",
        marks=rows,
        panel=panel,
    )


def means_of(benchmark: Benchmark) -> dict[str, dict[str, float | None]]:
    """Per method, its measures with each sample left out in turn: mean over marks and samples."""
    methods = dict.fromkeys(result.method for result in benchmark.leave_one_out)
    return {
        method: {
            measure: _rounded(average([r for r in benchmark.leave_one_out if r.method == method], measure))
            for measure in (*COMPARED, "mse1obs_arcsinh")
        }
        for method in methods
    }


def reliability_of(benchmark: Benchmark) -> dict[str, float]:
    """Share of the truth between lower and upper: per mark, overall, and in the tenth of bins predicted highest."""
    groups = [(mark, group) for result in _own(benchmark) for mark, group in result.reliability.items()]
    shares: dict[str, list[float]] = {mark: [] for mark in (*benchmark.marks, "overall", "top decile")}
    for mark, group in groups:
        covered = coverage(group)
        if covered is not None:
            shares[mark].append(covered)
            shares["overall"].append(covered)
            shares["top decile"].append(group[-1].coverage)
    return {name: round(sum(values) / len(values), 4) for name, values in shares.items() if values}


def _own(benchmark: Benchmark) -> list[Result]:
    own = [result for result in benchmark.leave_one_out if result.method == METHOD_NAME]
    if not own:
        raise BadData(f"The benchmark has no result of the method {METHOD_NAME}; run it with --method {METHOD_NAME}.")
    return own


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
