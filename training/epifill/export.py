"""Export a trained committee with its panel as a model folder."""

import platform
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from torch import Tensor

from app.core.manifest import Accuracy, Manifest, MarkAccuracy, PanelDescription, Provenance, YardstickDescription
from app.core.model import GRAPH_FILE, MANIFEST_FILE, Model, sha256_of
from app.core.panel import panel_file
from app.core.regions import PIECE_BINS, Region
from training.benchmark.results import Benchmark, Result, average
from training.common.calibration import coverage
from training.common.card import model_card
from training.common.errors import BadData, ExportRefused
from training.common.metrics import COMPARED
from training.common.progress import console
from training.data.dataset import Dataset, open_dataset
from training.epifill.layers import HALO_BINS
from training.epifill.network import INTERVAL_COVERAGE, EpifillGraph, Readout
from training.epifill.panel import channel_names
from training.epifill.reference import KNOT_LEVELS
from training.epifill.train import EpifillTraining, load_epifill
from training.export import ROADMAP_LICENCE, new_model, write_graph
from training.train import machine

METHOD_NAME = "epifill"
"""Of this kind of model in a benchmark."""

FIGURES = {
    "marks.png": "Accuracy per mark, beside every other method",
    "sizes.png": "Accuracy on all hidden marks, by the number of observed ones (random sets)",
    f"{METHOD_NAME}-scatter.png": "Predicted against true values of a left-out sample, each mark hidden alone",
    f"{METHOD_NAME}-loci.png": "Loci of that sample: the imputed track with its interval (pale), the training samples'"
    " mean, and the truth, each on its own scale",
    f"{METHOD_NAME}-reliability.png": "How much of the truth the intervals hold, and predicted beside true signal, by"
    " tenths of predicted signal, on left-out samples",
}
"""What a benchmark draws that belongs into a card."""

_YARDSTICK_BINS = 2_000_000
"""Most bins by which a model judges a track."""

_AGREEMENT = 1e-3
"""Largest difference between torch and onnxruntime, relative to the largest output: steep knots magnify rounding."""


def export_epifill(
    training: EpifillTraining,
    dataset: Dataset,
    panel: Path,
    out: Path,
    *,
    readout: Readout | None = None,
    version: str = "1.0.0",
    description: str = "",
    benchmark: Benchmark | None = None,
    figures: Path | None = None,
    data_licence: str = ROADMAP_LICENCE,
) -> Model:
    """Write `out` (its last part becomes the model's name) and load it again.

    Parameters
    ----------
    panel
        Folder in which `write_panel` wrote `panel/`.
    benchmark
        Numbers for model.json and the card: of the method `epifill` and of all that it was compared with.
    figures
        Folder of a benchmark, whose pictures go into the card.

    Raises
    ------
    ExportRefused
        onnxruntime and torch differ on real tracks; nothing is left behind then.
    """
    if dataset.fingerprint != training.data:
        raise BadData("The checkpoint was not made with this data set (other regions, bins or marks); name its own.")
    marks = training.reference.marks
    channels = channel_names(marks)
    for channel in channels:
        if not (panel / panel_file(channel)).is_file():
            raise BadData(f"'{panel}' has no {panel_file(channel)}; make the panel with `python -m training panel`.")
    readout = readout or Readout()
    graph = training.graph(readout)
    with new_model(out, version) as partial:
        inputs = example_inputs(training, dataset, min(4096, int(np.diff(dataset.offsets).max())))
        write_graph(graph, inputs, ["imputed", "lower", "upper"], 1, partial / GRAPH_FILE)
        shutil.copytree(panel / "panel", partial / "panel")
        files = [GRAPH_FILE, *map(panel_file, channels)]
        recipe = {**asdict(training.recipe), **{f"readout_{name}": value for name, value in asdict(readout).items()}}
        manifest = Manifest(
            schema_version=1,
            name=out.name,
            version=version,
            description=description or "Ranks predicted from the sample's own marks and a panel of training samples.",
            marks=list(marks),
            assembly=dataset.index.assembly,
            bin_size_bp=dataset.bin_size_bp,
            units="-log10 p-value",
            halo_bins=HALO_BINS,
            min_bins=1,
            inputs=["signal", "observed", "quantiles", "panel", "panel_observed"],
            outputs=["imputed", "lower", "upper"],
            sha256={file: sha256_of(partial / file) for file in files},
            parameters=sum(p.numel() for p in graph.parameters()),
            flop_per_bin=flop_per_bin(graph),
            provenance=Provenance(
                samples=list(training.samples),
                regions=f"{len(dataset.regions)} regions, {dataset.n_bins:,} bins of {dataset.bin_size_bp} bp",
                seed=training.recipe.seed,
                hyper_parameters=recipe,
                training_seconds=round(training.seconds, 1),
                machine=machine(),
                versions={"torch": torch.__version__, "onnx": onnx.__version__, "python": platform.python_version()},
                created=datetime.now(UTC).date(),
            ),
            accuracy=[accuracy_of(benchmark)] if benchmark else [],
            data_licence=data_licence,
            quantile_levels=list(KNOT_LEVELS),
            panel=PanelDescription(
                channels=channels,
                samples=list(training.samples),
                regions=f"{len(dataset.regions)} regions, {dataset.n_bins:,} bins of {dataset.bin_size_bp} bp",
                yardstick=YardstickDescription(
                    regions=[str(region) for region in yardstick_regions(dataset)],
                    channels=[f"{mark}.mean" for mark in marks],
                ),
                means=[f"{mark}.raw" for mark in marks],
            ),
            interval_coverage=INTERVAL_COVERAGE,
            benchmark=means_of(benchmark) if benchmark else None,
            reliability=reliability_of(benchmark) if benchmark else None,
        )
        (partial / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        drawn = {name: caption for name, caption in FIGURES.items() if figures and (figures / name).is_file()}
        for name in drawn:
            shutil.copy(figures / name, partial / name)  # type: ignore[operator]
        (partial / "README.md").write_text(model_card(manifest, drawn))
        check_agreement(graph, Model(partial), inputs)
    return Model(out)


def yardstick_regions(dataset: Dataset) -> list[Region]:
    """Where the model judges tracks: the data set's regions, or, of too many bins, evenly spread pieces of them."""
    step = -(-dataset.n_bins // _YARDSTICK_BINS)
    if step == 1:
        return list(dataset.regions)
    pieces = [piece for region in dataset.regions for piece in region.pieces(PIECE_BINS * dataset.bin_size_bp)]
    return pieces[::step]


def example_inputs(training: EpifillTraining, dataset: Dataset, bins: int) -> dict[str, Tensor]:
    """Two stretches of the first sample, one with a mark hidden, each with random numbers for a panel."""
    values = np.array(dataset.values(training.samples[0])[:, :bins])
    both = np.stack([values, values])
    both[1, 0] = np.nan
    quantiles = np.stack([training.quantiles[training.samples[0]]] * 2)
    quantiles[1, 0] = np.nan
    rows = len(channel_names(training.reference.marks))
    panel = np.random.default_rng(0).gamma(0.5, 0.5, (2, rows, bins)).astype(np.float32)
    panel[1, :, bins // 2 :] = np.nan
    inputs = {"signal": both, "observed": ~np.isnan(both), "quantiles": quantiles}
    inputs |= {"panel": panel, "panel_observed": ~np.isnan(panel)}
    return {name: torch.from_numpy(np.nan_to_num(part).astype(np.float32)) for name, part in inputs.items()}


def check_agreement(graph: EpifillGraph, model: Model, inputs: dict[str, Tensor]) -> None:
    """Run torch and onnxruntime on the same real tracks; raises ExportRefused."""
    with torch.no_grad():
        expected = torch.stack(graph(*inputs.values()), dim=1).numpy()
    holes = {
        name: np.where(inputs[mask].numpy() > 0, inputs[name].numpy(), np.float32(np.nan))
        for name, mask in (("signal", "observed"), ("panel", "panel_observed"))
    }
    found = model.run(holes["signal"], inputs["quantiles"].numpy(), holes["panel"])
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= _AGREEMENT:
        raise ExportRefused(
            f"onnxruntime and torch differ by {difference:.1e} (at most {_AGREEMENT:.0e} is allowed);"
            " the model was not written."
        )


def flop_per_bin(graph: EpifillGraph) -> int:
    """Multiplications and additions of the graph's convolutions for one bin; all else is a few percent of it."""
    convolutions = [module for module in graph.modules() if isinstance(module, torch.nn.Conv1d)]
    return sum(2 * layer.weight.numel() for layer in convolutions)


def accuracy_of(benchmark: Benchmark) -> Accuracy:
    """Accuracy per mark with each sample left out in turn, the mean over the samples."""
    own = _own(benchmark)
    rows = []
    for mark in benchmark.marks:
        fields = {name: average(own, name, mark) for name in ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh")}
        bins = sum(result.marks[mark].bins for result in own if mark in result.marks)
        rows.append(MarkAccuracy(mark=mark, bins=bins, **{name: _rounded(value) for name, value in fields.items()}))
    return Accuracy(
        protocol=f"Leave one sample out of {', '.join(sorted({result.sample for result in own}))}: each mark of the"
        f" held-out sample hidden alone and imputed from its other marks by a model of the remaining samples;"
        f" {benchmark.bins:,} bins of {benchmark.bin_size_bp} bp.",
        marks=rows,
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


def command(
    checkpoint: Annotated[Path, typer.Argument(help="epifill.pt of a run.")],
    folder: Annotated[Path, typer.Argument(help="The data set it was trained on.")],
    panel: Annotated[Path, typer.Option(help="Folder that `python -m training panel` wrote to.")],
    out: Annotated[Path, typer.Option(help="Model folder to write, such as models/my-model.")],
    version: Annotated[str, typer.Option(help="Version of the model, such as 1.0.0.")] = "1.0.0",
    description: Annotated[str, typer.Option(help="One sentence for its card.")] = "",
    benchmark: Annotated[
        Path | None, typer.Option(help="benchmark.json whose numbers and pictures go into the card.")
    ] = None,
) -> None:
    """Export a trained model with its panel as ONNX, model.json and card, checked against torch."""
    numbers = None
    if benchmark:
        try:
            numbers = Benchmark.model_validate_json(benchmark.read_bytes())
        except (OSError, ValueError):
            raise BadData(
                f"'{benchmark}' is no benchmark.json; make one with `python -m training benchmark`."
            ) from None
    training, dataset = load_epifill(checkpoint), open_dataset(folder)
    model = export_epifill(
        training,
        dataset,
        panel,
        out,
        version=version,
        description=description,
        benchmark=numbers,
        figures=benchmark.parent if benchmark else None,
    )
    console.print(f"{model.name} {version}: {model.manifest.parameters:,} parameters, in {out}", markup=False)
