"""Export a trained network as a model folder: model.onnx, model.json and its card."""

import logging
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from app.core.manifest import MODEL_NAME, MODEL_VERSION, Accuracy, Manifest, MarkAccuracy, Provenance
from app.core.model import GRAPH_FILE, MANIFEST_FILE, Model, sha256_of
from training.common.card import model_card
from training.common.errors import BadData, ExportRefused
from training.common.progress import console
from training.data.dataset import Dataset, open_dataset
from training.data.windows import draw_windows
from training.evaluate import Evaluation
from training.networks import SlidingAutoencoder, flop_per_bin
from training.train import Training, load, machine

_OPSET = 18
_AGREEMENT = 1e-4
"""Largest difference between torch and onnxruntime, relative to the largest output."""

ROADMAP_LICENCE = "Roadmap Epigenomics consolidated data, free to use with citation (doi:10.1038/nature14248)"


def export(
    training: Training,
    dataset: Dataset,
    out: Path,
    *,
    version: str = "1.0.0",
    description: str = "",
    evaluations: Sequence[Evaluation] = (),
    data_licence: str = ROADMAP_LICENCE,
) -> Model:
    """Write `out` (its last part becomes the model's name) and load it again.

    Raises
    ------
    ExportRefused
        onnxruntime and torch differ by more than 1e-4 on real windows; nothing is left behind then.
    """
    if dataset.fingerprint != training.data:
        raise BadData("The checkpoint was not made with this data set (other regions, bins or marks); name its own.")
    network = SlidingAutoencoder(training.network).eval()
    with new_model(out, version) as partial:
        example = torch.zeros(2, len(training.marks), 3 * training.recipe.window)
        inputs = {"signal": example, "observed": torch.ones_like(example)}
        write_graph(network, inputs, ["imputed"], training.recipe.window, partial / GRAPH_FILE)
        manifest = Manifest(
            schema_version=1,
            name=out.name,
            version=version,
            description=description or "The paper's denoising autoencoder, as one fully convolutional graph.",
            marks=list(training.marks),
            assembly=dataset.index.assembly,
            bin_size_bp=dataset.bin_size_bp,
            units="-log10 p-value",
            halo_bins=training.recipe.window - 1,
            min_bins=training.recipe.window,
            inputs=["signal", "observed"],
            outputs=["imputed"],
            sha256={GRAPH_FILE: sha256_of(partial / GRAPH_FILE)},
            parameters=sum(p.numel() for p in training.network.parameters()),
            flop_per_bin=flop_per_bin(len(training.marks), training.recipe.window, training.recipe.hidden),
            provenance=Provenance(
                samples=list(training.samples),
                regions=f"{len(dataset.regions)} regions, {dataset.n_bins:,} bins of {dataset.bin_size_bp} bp",
                seed=training.recipe.seed,
                hyper_parameters=asdict(training.recipe),
                training_seconds=round(training.seconds, 1),
                machine=machine(),
                versions={"torch": torch.__version__, "onnx": onnx.__version__, "python": platform.python_version()},
                created=datetime.now(UTC).date(),
            ),
            accuracy=[
                Accuracy(protocol=f"{', '.join(evaluation.samples)} held out. {evaluation.protocol}", marks=marks)
                for evaluation in evaluations
                for marks in [mean_over_samples(evaluation)]
            ],
            data_licence=data_licence,
        )
        (partial / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        (partial / "README.md").write_text(model_card(manifest))
        check_agreement(network, Model(partial), dataset)
    return Model(out)


@contextmanager
def new_model(out: Path, version: str) -> Iterator[Path]:
    """A folder to write a model into, which takes its place at `out` if the block ends well and goes if not.

    Raises
    ------
    BadData
        There is something else at `out`, or its name or the version cannot be a model's.
    """
    if out.exists() and not (out / MANIFEST_FILE).is_file():
        raise BadData(f"'{out}' exists and is no model; name a new folder, such as models/my-model.")
    if not MODEL_NAME.fullmatch(out.name) or not MODEL_VERSION.fullmatch(version):
        raise BadData(
            f"'{out.name}' {version} cannot be a model's name and version; write small letters, digits, '.', '_' or"
            " '-', and a version such as 1.0.0."
        )
    partial = out.with_name(out.name + ".partial") / out.name
    shutil.rmtree(partial.parent, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rename(partial.parent / "replaced")
        partial.rename(out)
    finally:
        shutil.rmtree(partial.parent, ignore_errors=True)


def write_graph(
    network: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], min_bins: int, path: Path
) -> None:
    """Export to one self-contained ONNX file with dynamic batch and bins.

    Parameters
    ----------
    inputs
        An example of each input, in the order of the network's arguments, (batch, rows, bins); `quantiles` has a
        fixed number of knots in place of bins.
    """
    batch, bins = torch.export.Dim("batch"), torch.export.Dim("bins", min=min_bins)
    shapes = tuple({0: batch} if name == "quantiles" else {0: batch, 2: bins} for name in inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of operators that are not used here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own libraries
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    graph = onnx.load(path)
    _strip_metadata(graph)
    onnx.save(graph, path)


def _strip_metadata(graph: onnx.ModelProto) -> None:
    """Take out the exporter's notes: they hold stack traces with the paths of the machine that exported."""
    inner = graph.graph
    for part in (graph, inner, *inner.node, *inner.input, *inner.output, *inner.value_info, *inner.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def check_agreement(network: SlidingAutoencoder, model: Model, dataset: Dataset) -> None:
    """Run torch and onnxruntime on the same real windows, with marks missing; raises ExportRefused."""
    rng = np.random.default_rng(0)
    length = min(8 * model.manifest.min_bins, int(np.diff(dataset.offsets).max()))
    windows = draw_windows(dataset, dataset.samples, length, 32, rng)
    windows[rng.random(windows.shape[:2]) < 0.3] = np.nan
    seen = torch.from_numpy(windows)
    with torch.no_grad():
        expected: NDArray[np.float32] = network(torch.nan_to_num(seen), (~seen.isnan()).float()).numpy()
    difference = float(np.abs(model.run(windows)[:, 0] - expected).max() / np.abs(expected).max())
    if not difference <= _AGREEMENT:
        raise ExportRefused(
            f"onnxruntime and torch differ by {difference:.1e} (at most {_AGREEMENT:.0e} is allowed);"
            " the model was not written."
        )


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


def command(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of a run.")],
    folder: Annotated[Path, typer.Argument(help="The data set it was trained on.")],
    out: Annotated[Path, typer.Option(help="Model folder to write, such as models/my-model.")],
    version: Annotated[str, typer.Option(help="Version of the model, such as 1.0.0.")] = "1.0.0",
    description: Annotated[str, typer.Option(help="One sentence for its card.")] = "",
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="evaluation.json whose figures go into the card (repeatable).")
    ] = None,
) -> None:
    """Export a checkpoint as ONNX with its model.json and card, checked against torch."""
    evaluations = [read_evaluation(path) for path in evaluation or []]
    model = export(
        load(checkpoint), open_dataset(folder), out, version=version, description=description, evaluations=evaluations
    )
    console.print(f"{model.name} {version}: {model.manifest.parameters:,} parameters, in {out}")
