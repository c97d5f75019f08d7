"""benchmark.md: what a benchmark measured, in tables."""

from collections.abc import Mapping, Sequence

from training.benchmark.comparison import compare
from training.common.calibration import Reliability, coverage
from training.common.metrics import COMPARED, LOWER_IS_BETTER, MEASURES
from training.common.results import Benchmark, Result, average

Cell = float | None
ByMethod = Mapping[str, Sequence[Result]]


def report(benchmark: Benchmark) -> str:
    """The whole of benchmark.md."""
    names = [str(method["name"]) for method in benchmark.methods]
    parts = [
        "# Benchmark",
        f"{benchmark.bins:,} bins of {benchmark.bin_size_bp} bp ({benchmark.assembly}); marks:"
        f" {', '.join(benchmark.marks)}; seed {benchmark.seed}. Every method is fitted without the sample that it is"
        " tested on. Means are over the hidden tracks of a sample, then over the samples. Bold is best; `mse…` are the"
        " better the lower, all else the higher. `training/common/metrics.py` has the formulas.",
    ]
    if benchmark.leave_one_out:
        parts += _leave_one_out(_by_method(benchmark.leave_one_out, names))
    if benchmark.subsets:
        parts += _subsets(_by_method(benchmark.subsets, names))
    if benchmark.chromosomes:
        folds = "; ".join(", ".join(fold) for fold in benchmark.folds)
        parts += [
            "## Chromosomes held out",
            f"As above, but fitted without the chromosomes that are scored: {folds}.",
            _measures(_by_method(benchmark.chromosomes, names), MEASURES),
        ]
    return "\n\n".join(parts) + "\n"


def _by_method(results: Sequence[Result], names: Sequence[str]) -> dict[str, list[Result]]:
    return {name: [result for result in results if result.method == name] for name in names}


def _leave_one_out(results: ByMethod) -> list[str]:
    everything = [result for own in results.values() for result in own]
    samples = dict.fromkeys(result.sample for result in everything)
    marks = dict.fromkeys(mark for result in everything for mark in result.marks)
    parts = ["## One sample left out, each mark hidden alone", _measures(results, MEASURES)]
    parts += ["### Which method beats every other", _comparison(results, list(samples))]
    parts += ["### Seconds", _seconds(results)]
    for sample in samples:
        own = {name: [result for result in some if result.sample == sample] for name, some in results.items()}
        parts += [f"### Sample {sample}", _measures(own, (*COMPARED, "mse1obs_arcsinh"))]
    for mark in marks:
        parts += [f"### Mark {mark}", _measures(results, (*COMPARED, "mse1obs_arcsinh"), mark)]
    return parts + _intervals(results)


def _subsets(results: ByMethod) -> list[str]:
    sizes = sorted({len(result.observed) for own in results.values() for result in own})
    parts = ["## Random marks observed, all others imputed", "By the number of observed marks."]
    for measure in COMPARED:
        rows = {
            name: [average([r for r in own if len(r.observed) == size], measure) for size in sizes]
            for name, own in results.items()
        }
        lower = [measure in LOWER_IS_BETTER] * len(sizes)
        parts += [f"### {measure}", table([str(size) for size in sizes], rows, lower)]
    return parts


def _measures(results: ByMethod, measures: Sequence[str], mark: str | None = None) -> str:
    rows = {name: [average(own, measure, mark) for measure in measures] for name, own in results.items()}
    return table(measures, rows, [measure in LOWER_IS_BETTER for measure in measures])


def _comparison(results: ByMethod, samples: Sequence[str]) -> str:
    lines = [
        "In the mean over the samples: who is as good or better, `-` = nobody. Per sample: on how many of the"
        f" {len(COMPARED)} measures somebody is.",
        "",
        f"| | beats all | {' | '.join((*COMPARED, *samples))} |",
        f"|---|---|{'---|' * (len(COMPARED) + len(samples))}",
    ]
    for name in results:
        comparison = compare(results, name)
        cells = [comparison.beaten_by[measure] or "-" for measure in COMPARED]
        cells += [str(comparison.lost.get(sample, "")) for sample in samples]
        lines.append(f"| {name} | {'yes' if comparison.beats_all else 'no'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(results: ByMethod) -> str:
    lines = ["Wall time, the mean of a fit and of an imputation.", "", "| | fit | imputation |", "|---|---|---|"]
    for name, own in results.items():
        if own:
            fit, impute = (
                sum(getattr(result, field) for result in own) / len(own) for field in ("fit_seconds", "impute_seconds")
            )
            lines.append(f"| {name} | {fit:.1f} | {impute:.1f} |")
    return "\n".join(lines)


def _intervals(results: ByMethod) -> list[str]:
    parts = []
    for name, own in results.items():
        tracks = [groups for result in own for groups in result.reliability.values() if groups]
        if not tracks:
            continue
        shares = [share for groups in tracks if (share := coverage(groups)) is not None]
        top = [groups[-1].coverage for groups in tracks]
        nominal = next((f"{result.nominal:.0%}" for result in own if result.nominal is not None), "an unnamed share")
        parts += [
            f"### Intervals of {name}",
            f"They mean to hold {nominal} of the truth, and hold {sum(shares) / len(shares):.1%}; in the tenth of bins"
            f" with the highest predictions {sum(top) / len(top):.1%}. Means over the tracks, by tenths of predicted"
            " signal:",
            _reliability(tracks),
        ]
    return parts


def _reliability(tracks: Sequence[Sequence[Reliability]]) -> str:
    lines = ["| tenth | predicted | true | coverage | width |", "|---|---|---|---|---|"]
    for tenth, groups in enumerate(zip(*tracks, strict=False), 1):
        means = [
            sum(getattr(group, field) for group in groups) / len(groups)
            for field in ("predicted", "true", "coverage", "width")
        ]
        lines.append(f"| {tenth} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines)


def table(header: Sequence[str], rows: Mapping[str, Sequence[Cell]], lower_is_better: Sequence[bool]) -> str:
    """A Markdown table with the best of every column in bold; `-` = not known. Columns without a value are left out."""
    columns = [i for i in range(len(header)) if any(row[i] is not None for row in rows.values())]
    best = {
        i: (min if lower_is_better[i] else max)(value for row in rows.values() if (value := row[i]) is not None)
        for i in columns
    }
    lines = [f"| | {' | '.join(header[i] for i in columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, row in rows.items():
        cells = [f"**{_cell(row[i])}**" if row[i] == best[i] else _cell(row[i]) for i in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
