"""Export a trained ensemble with its panel as a model folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from app.core.manifest import PanelDescription, YardstickDescription
from app.core.model import Model
from app.core.panel import panel_file
from app.core.regions import PIECE_BINS, Region
from training.common.errors import BadData
from training.common.export import Labels, Origin, write_model
from training.common.graph import Check, Graph
from training.common.progress import console
from training.common.results import Benchmark
from training.data.dataset import Dataset, open_dataset
from training.epifill.accuracy import accuracy_of, means_of, pictures_of, read_benchmark, reliability_of
from training.epifill.layers import HALO_BINS
from training.epifill.network import INTERVAL_COVERAGE, EpifillGraph, Readout
from training.epifill.panel import channel_names
from training.epifill.reference import KNOT_LEVELS
from training.epifill.training import EpifillTraining, load_epifill

_REFERENCE_BINS = 2_000_000
"""Most bins in a model's reference regions."""

_AGREEMENT = 1e-3
"""Largest difference between torch and onnxruntime, relative to the largest output: steep knots magnify rounding."""


def export_epifill(
    training: EpifillTraining,
    dataset: Dataset,
    panel: Path,
    out: Path,
    *,
    version: str = "1.0.0",
    description: str = "",
    benchmark: Benchmark | None = None,
    figures: Path | None = None,
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
    dataset.check_fingerprint(training.data)
    channels = channel_names(training.reference.marks)
    panel_files = {panel_file(channel): panel / panel_file(channel) for channel in channels}
    for name, path in panel_files.items():
        if not path.is_file():
            raise BadData(f"'{panel}' has no {name}; make the panel with `python -m training panel`.")
    readout = Readout()
    inputs = example_inputs(training, dataset, min(4096, int(np.diff(dataset.offsets).max())))
    labels = Labels(
        version,
        description or "Ranks predicted from the sample's own marks and a panel of training samples.",
        accuracy_of(benchmark) if benchmark else [],
        pictures_of(figures) if figures else {},
    )
    return write_model(
        out,
        in_contract(training.graph(readout), inputs),
        Check(inputs, _AGREEMENT),
        origin_of(training, dataset, readout),
        labels,
        files=panel_files,
        quantile_levels=list(KNOT_LEVELS),
        panel=describe_panel(training, dataset, channels),
        interval_coverage=INTERVAL_COVERAGE,
        benchmark=means_of(benchmark) if benchmark else None,
        reliability=reliability_of(benchmark) if benchmark else None,
    )


def in_contract(network: EpifillGraph, inputs: dict[str, Tensor]) -> Graph:
    """The graph as it is exported."""
    return Graph(
        network,
        inputs,
        ["imputed", "lower", "upper"],
        halo_bins=HALO_BINS,
        min_bins=1,
        parameters=sum(p.numel() for p in network.parameters()),
        flop_per_bin=flop_per_bin(network),
    )


def origin_of(training: EpifillTraining, dataset: Dataset, readout: Readout) -> Origin:
    """What the model was trained on, and how."""
    return Origin(
        training.reference.marks,
        training.samples,
        dataset.index.assembly,
        dataset.bin_size_bp,
        dataset.extent,
        {**asdict(training.recipe), **{f"readout_{name}": value for name, value in asdict(readout).items()}},
        training.recipe.seed,
        training.seconds,
    )


def describe_panel(training: EpifillTraining, dataset: Dataset, channels: list[str]) -> PanelDescription:
    """What the panel holds, and where a track is compared with it."""
    marks = training.reference.marks
    return PanelDescription(
        channels=channels,
        samples=list(training.samples),
        regions=dataset.extent,
        yardstick=YardstickDescription(
            regions=[str(region) for region in reference_regions(dataset)],
            channels=[f"{mark}.mean" for mark in marks],
        ),
        means=[f"{mark}.raw" for mark in marks],
    )


def reference_regions(dataset: Dataset) -> list[Region]:
    """Regions whose quantiles normalise a track: the data set's, or evenly spread parts of them if they are large."""
    step = -(-dataset.n_bins // _REFERENCE_BINS)
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


def flop_per_bin(graph: EpifillGraph) -> int:
    """Multiplications and additions of the graph's convolutions for one bin; all else is a few percent of it."""
    convolutions = [module for module in graph.modules() if isinstance(module, torch.nn.Conv1d)]
    return sum(2 * layer.weight.numel() for layer in convolutions)


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
    training, dataset = load_epifill(checkpoint), open_dataset(folder)
    model = export_epifill(
        training,
        dataset,
        panel,
        out,
        version=version,
        description=description,
        benchmark=read_benchmark(benchmark) if benchmark else None,
        figures=benchmark.parent if benchmark else None,
    )
    console.print(f"{model.name} {version}: {model.manifest.parameters:,} parameters, in {out}", markup=False)
