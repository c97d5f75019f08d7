"""The paper's Table 1 in Markdown."""

from collections.abc import Mapping, Sequence

from app.core.manifest import MarkAccuracy

PAPER_ORDER = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9ac", "H3K9me3", "DNase", "H3K27ac")


def table_1(
    samples: Mapping[str, Sequence[MarkAccuracy]],
    training: Mapping[str, float | None] | None = None,
    measure: str = "pearson",
) -> str:
    """Accuracy per sample (rows) and mark (columns, in the paper's order), with the mean of each row."""
    seen = {result.mark for results in samples.values() for result in results} | set(training or {})
    marks = [*(m for m in PAPER_ORDER if m in seen), *sorted(seen - set(PAPER_ORDER))]
    rows = [("Training set", training)] if training else []
    rows += [(sample, {r.mark: getattr(r, measure) for r in results}) for sample, results in samples.items()]
    lines = [f"| | {' | '.join(marks)} | mean |", f"|---|{'---|' * (len(marks) + 1)}"]
    for name, values in rows:
        known = [value for mark in marks if (value := values.get(mark)) is not None]
        mean = f"{sum(known) / len(known):.4f}" if known else "-"
        lines.append(f"| {name} | {' | '.join(_cell(values.get(mark)) for mark in marks)} | {mean} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
