"""A model's card: README.md beside its graph."""

from app.core.model import Accuracy, Manifest


def model_card(manifest: Manifest) -> str:
    """The card in Markdown, all of it told by model.json."""
    made = manifest.provenance
    parameters = ", ".join(f"{name} {value}" for name, value in made.hyper_parameters.items())
    return f"""# {manifest.name} {manifest.version}

{manifest.description}

| | |
|---|---|
| marks | {", ".join(manifest.marks)} |
| signal | {manifest.units}, {manifest.bin_size_bp}-bp bins, {manifest.assembly} |
| looks | {manifest.halo_bins} bins to either side; needs {manifest.min_bins} bins at least |
| size | {manifest.parameters:,} parameters, {manifest.flop_per_bin:,} flop per bin |
| trained on | {", ".join(made.samples)}: {made.regions} |
| recipe | {parameters} |
| made on | {made.machine}, {made.training_seconds} s, {made.created}, torch {made.versions.get("torch", "?")} |
| training data | {manifest.data_licence} |

## Accuracy

{"".join(_accuracy(accuracy) for accuracy in manifest.accuracy) or "Not measured."}
## Limits

It sees only the sample's own marks, so it cannot tell what they do not show. It underestimates high peaks. It was
trained on few samples and regions; on other cell types, laboratories or sequencing depths it may do worse than the
figures above. Its values are predictions and no substitute for an experiment.
"""


def _accuracy(accuracy: Accuracy) -> str:
    lines = [
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
