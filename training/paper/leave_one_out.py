"""Leave one sample out: train on the others, export, and evaluate on the one; for every sample."""

import time
from pathlib import Path
from typing import Annotated

import typer

from app.core.manifest import MarkAccuracy
from training.common.errors import BadData
from training.common.progress import console
from training.data.dataset import Dataset, check_samples, open_dataset
from training.paper.evaluate import evaluate, peak_memory_bytes
from training.paper.evaluation import RESULT_FILE, Evaluation
from training.paper.export import export
from training.paper.recipe import (
    L2,
    Batch,
    Hidden,
    Iterations,
    LearningRate,
    Preset,
    Recipe,
    Seed,
    Window,
    Windows,
    chosen_recipe,
)
from training.paper.table import table_1
from training.paper.train import train


def leave_one_out(dataset: Dataset, held_out: tuple[str, ...], recipe: Recipe, out: Path) -> Evaluation:
    """Evaluate every held-out sample with a model that never saw it; writes evaluation.json and tables to `out`."""
    began = time.perf_counter()
    results: dict[str, list[MarkAccuracy]] = {}
    for sample in held_out:
        others = [name for name in dataset.samples if name != sample]
        if not others:
            raise BadData("Leaving one sample out needs at least two samples.")
        console.rule(f"{sample} held out")
        training = train(dataset, others, recipe, out / sample)
        model = export(training, dataset, out / sample / "model")
        results |= evaluate(model, dataset, [sample], out / sample, with_training=True).samples
    evaluation = Evaluation(
        model="one model per held-out sample",
        protocol="Leave one sample out: each mark of the held-out sample hidden alone and imputed from its other marks"
        f" by a model of the remaining samples; {dataset.n_bins:,} bins of {dataset.bin_size_bp} bp.",
        samples=results,
        seconds=time.perf_counter() - began,
        peak_memory_bytes=peak_memory_bytes(),
    )
    (out / RESULT_FILE).write_text(evaluation.model_dump_json(indent=2) + "\n")
    (out / "table1.md").write_text(table_1(results))
    return evaluation


def command(
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; what was cut off goes on.")],
    sample: Annotated[list[str] | None, typer.Option(help="Hold out this sample (repeatable; default: each).")] = None,
    preset: Preset = "paper",
    hidden: Hidden = None,
    window: Window = None,
    windows: Windows = None,
    l2: L2 = None,
    learning_rate: LearningRate = None,
    batch: Batch = None,
    iterations: Iterations = None,
    seed: Seed = None,
) -> None:
    """Train on all samples but one and evaluate on that one, for every sample."""
    dataset = open_dataset(folder)
    recipe = chosen_recipe(
        preset,
        hidden=hidden,
        window=window,
        windows=windows,
        l2=l2,
        learning_rate=learning_rate,
        batch=batch,
        iterations=iterations,
        seed=seed,
    )
    evaluation = leave_one_out(dataset, check_samples(dataset, sample or []), recipe, out)
    for measure in ("pearson", "pearson_arcsinh", "spearman", "mse_arcsinh"):
        console.print(f"\n{measure}\n{table_1(evaluation.samples, measure=measure)}", markup=False)
    console.print(f"{evaluation.seconds:.0f} s, peak memory {evaluation.peak_memory_bytes / 2**30:.2f} GiB")
