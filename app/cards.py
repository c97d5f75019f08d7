"""Models on the terminal: all of them in short, and the figures of one model's card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from app.core.trust import measured

if TYPE_CHECKING:
    from app.core.manifest import Accuracy, Manifest

_MEASURES = {
    "pearson": "Pearson r",
    "pearson_arcsinh": "of arcsinh",
    "spearman": "Spearman r",
    "mse_arcsinh": "MSE of arcsinh",
    "auc": "AUC",
    "mse1obs_arcsinh": "MSE of top 1 %",
}


def overview(manifests: "Sequence[Manifest]") -> Table:
    """A row for each model: what it imputes, in which assembly, and how well."""
    table = Table("model", "assembly", "bin", "mean Pearson r", "marks")
    table.columns[0].no_wrap = True
    for manifest in manifests:
        name = f"{manifest.name} {manifest.version}"
        table.add_row(name, manifest.assembly, f"{manifest.bin_size_bp} bp", _mean(manifest), ", ".join(manifest.marks))
    return table


def _mean(manifest: "Manifest") -> str:
    """The mean correlation on samples that the model had not seen."""
    said = []
    for panel, where in ((True, " with panel"), (False, " without"), (None, "")):
        found = [measured(manifest, mark, panel) for mark in manifest.marks]
        known = [accuracy.pearson for accuracy in found if accuracy and accuracy.pearson is not None]
        said += [f"{sum(known) / len(known):.2f}{where}"] if known else []
    return ", ".join(said) or "not measured"


def card(manifest: "Manifest") -> Iterator[RenderableType]:
    """What a model imputes, what it goes by, how well it does by mark, beside other methods, and with its interval."""
    yield f"{manifest.name} {manifest.version}: {manifest.description}"
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, fact in _facts(manifest).items():
        facts.add_row(name, fact)
    yield Padding(facts, (1, 0))
    for accuracy in manifest.accuracy:
        yield _accuracy(accuracy)
    if manifest.benchmark:
        yield _figures(f"{manifest.name} and other methods, means over marks", "method", manifest.benchmark)
    if manifest.reliability:
        share = f"{manifest.interval_coverage:.0%}" if manifest.interval_coverage else "part"
        rows = {name: {"share": value} for name, value in manifest.reliability.items()}
        yield _figures(f"Truth inside the interval, which should hold {share} of it", "", rows)


def _facts(manifest: "Manifest") -> dict[str, str]:
    panel, levels, made = manifest.panel, manifest.quantile_levels, manifest.provenance
    facts = {
        "marks": ", ".join(manifest.marks),
        "assembly": manifest.assembly,
        "signal": f"{manifest.units}, {manifest.bin_size_bp}-bp bins",
        "strength": f"by {len(levels)} quantiles of each whole track" if levels else "",
        "panel": f"{len(panel.channels)} channels of {', '.join(panel.samples)}" if panel else "",
        "panel regions": panel.regions if panel else "",
        "interval": f"{manifest.interval_coverage:.0%}" if manifest.interval_coverage else "",
        "trained on": f"{', '.join(made.samples)}; {made.regions}",
        "made": f"{made.created}, {manifest.parameters:,} parameters",
        "training data": manifest.data_licence,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _accuracy(accuracy: "Accuracy") -> Table:
    """The accuracy of each mark, and the protocol that measured it."""
    where = {True: " where the panel has a value", False: " where the panel has none", None: ""}[accuracy.panel]
    rows = {own.mark: own.model_dump(exclude={"mark", "bins"}) for own in accuracy.marks}
    table = _figures(f"Accuracy{where}", "mark", rows)
    table.caption = accuracy.protocol
    return table


def _figures(title: str, first: str, rows: Mapping[str, Mapping[str, float | None]]) -> Table:
    """A row of figures for each name."""
    measures = list(dict.fromkeys(measure for figures in rows.values() for measure in figures))
    table = Table(first, *(_MEASURES.get(measure, measure) for measure in measures), title=title)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for name, figures in rows.items():
        values = [figures.get(measure) for measure in measures]
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in values))
    return table
