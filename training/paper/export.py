"""Export a trained autoencoder as a model folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from app.core.manifest import Accuracy
from app.core.model import Model
from training.common.export import Labels, Origin, write_model
from training.common.graph import Check, Graph
from training.common.progress import console
from training.data.dataset import Dataset, open_dataset
from training.data.windows import draw_windows
from training.paper.evaluation import Evaluation, mean_over_samples, read_evaluation
from training.paper.network import SlidingAutoencoder, flop_per_bin
from training.paper.train import Training, load

_AGREEMENT = 1e-4
"""Largest difference between torch and onnxruntime, relative to the largest output."""

_CHECKED_WINDOWS, _HIDDEN_SHARE = 32, 0.3


def export(
    training: Training,
    dataset: Dataset,
    out: Path,
    *,
    version: str = "1.0.0",
    description: str = "",
    evaluations: Sequence[Evaluation] = (),
) -> Model:
    """Write `out` (its last part becomes the model's name) and load it again.

    Raises
    ------
    BadData
        The data set is not the one that it was trained on, or `out` cannot be a model's folder.
    ExportRefused
        onnxruntime and torch differ by more than 1e-4 on real windows; nothing is left behind then.
    """
    dataset.check_fingerprint(training.data)
    recipe = training.recipe
    example = torch.zeros(2, len(training.marks), 3 * recipe.window)
    graph = Graph(
        SlidingAutoencoder(training.network).eval(),
        {"signal": example, "observed": torch.ones_like(example)},
        ["imputed"],
        halo_bins=recipe.window - 1,
        min_bins=recipe.window,
        parameters=sum(p.numel() for p in training.network.parameters()),
        flop_per_bin=flop_per_bin(len(training.marks), recipe.window, recipe.hidden),
    )
    origin = Origin(
        training.marks,
        training.samples,
        dataset.index.assembly,
        dataset.bin_size_bp,
        dataset.extent,
        asdict(recipe),
        recipe.seed,
        training.seconds,
    )
    labels = Labels(
        version,
        description or "The paper's denoising autoencoder, as one fully convolutional graph.",
        [
            Accuracy(
                protocol=f"{', '.join(evaluation.samples)} held out. {evaluation.protocol}",
                marks=mean_over_samples(evaluation),
            )
            for evaluation in evaluations
        ],
    )
    return write_model(out, graph, Check(real_windows(dataset, recipe.window), _AGREEMENT), origin, labels)


def real_windows(dataset: Dataset, min_bins: int) -> dict[str, Tensor]:
    """Inputs from random places of the data set, with marks missing: signal and observed, (windows, marks, bins)."""
    rng = np.random.default_rng(0)
    length = min(8 * min_bins, int(np.diff(dataset.offsets).max()))
    windows = draw_windows(dataset, dataset.samples, length, _CHECKED_WINDOWS, rng)
    windows[rng.random(windows.shape[:2]) < _HIDDEN_SHARE] = np.nan
    seen = torch.from_numpy(windows)
    return {"signal": torch.nan_to_num(seen), "observed": (~seen.isnan()).float()}


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
