"""A model's card: README.md beside its graph."""

from collections.abc import Mapping

from app.core.manifest import Accuracy, Manifest


def model_card(manifest: Manifest, figures: Mapping[str, str] | None = None) -> str:
    """The card in Markdown, from model.json and some pictures (file name -> caption)."""
    made = manifest.provenance
    parameters = ", ".join(f"{name} {value}" for name, value in made.hyper_parameters.items())
    return f"""# {manifest.name} {manifest.version}

{manifest.description}

**Imputes {", ".join(manifest.marks)} in {manifest.assembly}.** {_where(manifest)}

| | |
|---|---|
| marks | {", ".join(manifest.marks)} |
| signal | {manifest.units}, {manifest.bin_size_bp}-bp bins, {manifest.assembly} |
| looks | {manifest.halo_bins} bins to either side; {_least(manifest.min_bins)} |
| size | {manifest.parameters:,} parameters, {manifest.flop_per_bin:,} flop per bin |
| trained on | {", ".join(made.samples)}: {made.regions} |
| recipe | {parameters} |
| made on | {made.machine}, {made.training_seconds} s, {made.created}, torch {made.versions.get("torch", "?")} |
| training data | {manifest.data_licence} |

## Accuracy

{"".join(_accuracy(accuracy) for accuracy in manifest.accuracy) or "Not measured."}
{_benchmark(manifest)}{_interval(manifest)}{_figures(figures or {})}## Intended use

{_USE}

## Limits

{_PANEL_LIMITS if manifest.panel else _LIMITS}
It was trained on few samples and regions; on other cell types, laboratories or sequencing depths it may do worse than
the figures above. Its values are predictions and no substitute for an experiment.
"""


_USE = """To fill in the tracks that a sample lacks, for browsing, for choosing what to measure next, and as input of
methods that want every mark. Not for calling what is different between two samples, nor for diagnosis."""
_LIMITS = "It sees only the sample's own marks, so it cannot tell what they do not show. It underestimates high peaks."
_PANEL_LIMITS = """Where its panel has nothing it sees only the sample's own marks, and does much worse; answers say
where that is. It compares tracks by their quantile functions over its training regions; a track that covers few of them
is judged by what it has, and answers warn of that. It underestimates peaks that no training sample has."""


_HEADINGS = {True: "### Where the panel has values", False: "### Elsewhere"}


def _benchmark(manifest: Manifest) -> str:
    if not manifest.benchmark:
        return ""
    names = list(next(iter(manifest.benchmark.values())))
    lines = [
        "## Beside other methods",
        "",
        "The same samples left out in turn, means over marks and samples (`python -m training benchmark`); errors are"
        " the better the lower.",
        "",
        f"| method | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for method, measures in manifest.benchmark.items():
        shown = " | ".join("-" if value is None else f"{value:.3f}" for value in measures.values())
        lines.append(f"| {method} | {shown} |")
    return "\n".join(lines) + "\n\n"


def _interval(manifest: Manifest) -> str:
    if not manifest.reliability:
        return ""
    lines = [
        "## Interval",
        "",
        f"`lower` and `upper` mean to hold {manifest.interval_coverage:.0%} of the measured values. On left-out samples"
        " they held:",
        "",
        "| | share |",
        "|---|---|",
    ]
    lines += [f"| {name} | {share:.1%} |" for name, share in manifest.reliability.items()]
    return "\n".join(lines) + "\n\n"


def _least(bins: int) -> str:
    return "any number of bins will do" if bins == 1 else f"needs {bins} bins at least"


def _figures(figures: Mapping[str, str]) -> str:
    return "".join(f"![{caption}]({name})\n\n*{caption}.*\n\n" for name, caption in figures.items())


def _where(manifest: Manifest) -> str:
    """Where it does how well, in a sentence: the mean correlation over marks of samples that it had not seen."""
    found = {accuracy.panel: _mean(accuracy) for accuracy in manifest.accuracy}
    if manifest.panel is None:
        return f"Mean Pearson r on samples that it had not seen: {found.get(None, 'not measured')} (below)."
    return (
        f"Mean Pearson r on samples that it had not seen: {found.get(True, 'not measured')} where its panel of training"
        f" samples has values ({manifest.panel.regions}), {found.get(False, 'not measured')} elsewhere."
    )


def _mean(accuracy: Accuracy) -> str:
    known = [own.pearson for own in accuracy.marks if own.pearson is not None]
    return f"{sum(known) / len(known):.2f}" if known else "not measured"


def _accuracy(accuracy: Accuracy) -> str:
    lines = [
        *([] if accuracy.panel is None else [_HEADINGS[accuracy.panel], ""]),
        accuracy.protocol,
        "",
        "| mark | Pearson | Pearson, arcsinh | Spearman | MSE, arcsinh | bins |",
        "|---|---|---|---|---|---|",
    ]
    for r in accuracy.marks:
        cells = (r.pearson, r.pearson_arcsinh, r.spearman, r.mse_arcsinh)
        shown = " | ".join("-" if value is None else f"{value:.3f}" for value in cells)
        lines.append(f"| {r.mark} | {shown} | {r.bins:,} |")
    return "\n".join(lines) + "\n\n"
