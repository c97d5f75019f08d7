"""The paper's test procedure: hide one mark of a held-out sample at a time, impute it, compare it with the truth."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from app.core.assemblies import get_assembly
from app.core.bigwig.write import BigWigWriter
from app.core.impute import run_model
from app.core.manifest import MarkAccuracy
from app.core.model import Model
from app.core.regions import Region
from app.core.scores import pearson, score
from training.common.errors import BadData
from training.common.progress import console, progress
from training.data.dataset import Dataset, check_samples, open_dataset
from training.paper.evaluation import RESULT_FILE, Evaluation
from training.paper.figures import Locus, draw_scatter, draw_tracks, find_locus
from training.paper.recipe import Recipe
from training.paper.table import table_1
from training.paper.train import training_windows


def impute_hidden(
    model: Model,
    dataset: Dataset,
    sample: str,
    hidden: Sequence[str],
    advance: Callable[[int], None] = lambda bins: None,
) -> NDArray[np.float32]:
    """Impute a sample with some of its marks hidden.

    Returns
    -------
    float32 (marks, bins), every mark of the model over all regions; NaN where no mark that is left was measured.
    """
    order = [dataset.marks.index(mark) for mark in model.marks]
    blind = [model.marks.index(mark) for mark in hidden]
    imputed = np.empty((len(model.marks), dataset.n_bins), dtype=np.float32)
    values = dataset.values(sample)
    for first, last in zip(dataset.offsets, dataset.offsets[1:], strict=False):
        seen = np.array(values[order, first:last])
        seen[blind] = np.nan
        if last - first < model.manifest.min_bins:
            imputed[:, first:last] = np.nan
            continue
        imputed[:, first:last] = run_model(model, seen, advance=advance)[0]
    return imputed


def evaluate_sample(
    model: Model, dataset: Dataset, sample: str, advance: Callable[[int], None] = lambda bins: None
) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    """Hide every measured mark in turn: mark, truth (bins,), imputed (bins,)."""
    for mark in model.marks:
        truth = dataset.values(sample)[dataset.marks.index(mark)]
        if not np.isnan(truth).all():
            imputed = impute_hidden(model, dataset, sample, [mark], advance)
            yield mark, np.asarray(truth), imputed[model.marks.index(mark)]


def missing_marks(model: Model, dataset: Dataset, sample: str) -> list[str]:
    """Marks of the model that the sample has no value of."""
    values = dataset.values(sample)
    return [mark for mark in model.marks if np.isnan(values[dataset.marks.index(mark)]).all()]


def masked_training_values(
    model: Model, dataset: Dataset
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """The masked values of the model's own training windows, as truth, prediction and index of the mark.

    The windows are drawn again from the seed in the model's provenance; a window's prediction is the network's own,
    as a stretch of one window's length has only that window.
    """
    recorded = model.manifest.provenance.hyper_parameters
    recipe = Recipe(**{name: recorded[name] for name in Recipe.__dataclass_fields__ if name in recorded})  # type: ignore[arg-type]
    drawn, drawn_masks = training_windows(dataset, model.manifest.provenance.samples, recipe)
    order = [dataset.marks.index(mark) for mark in model.marks]
    windows, masks = drawn[:, order], drawn_masks[:, order]
    truth, predicted, which = [], [], []
    for first in range(0, len(windows), 4096):
        part, hidden = windows[first : first + 4096], masks[first : first + 4096]
        seen = np.where(hidden[:, :, None], np.float32(np.nan), part)
        wanted = hidden[:, :, None] & ~np.isnan(part)
        truth.append(part[wanted])
        predicted.append(model.run(seen)[:, 0][wanted])
        which.append(np.nonzero(wanted)[1])
    return np.concatenate(truth), np.concatenate(predicted), np.concatenate(which)


def peak_memory_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def evaluate(model: Model, dataset: Dataset, samples: Sequence[str], out: Path, with_training: bool) -> Evaluation:
    """Run the whole procedure and write evaluation.json, table1.md, figure1.png, figure2.png and missing tracks."""
    if set(model.marks) - set(dataset.marks) or model.manifest.bin_size_bp != dataset.bin_size_bp:
        raise BadData(
            f"{model.name} needs {', '.join(model.marks)} in {model.manifest.bin_size_bp}-bp bins;"
            " the data set has other marks or bins."
        )
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    results: dict[str, list[MarkAccuracy]] = {}
    scatters, loci = [], []
    with progress("Imputing", len(samples) * len(model.marks) * dataset.n_bins) as advance:
        for sample in samples:
            results[sample] = []
            for mark, truth, imputed in evaluate_sample(model, dataset, sample, advance):
                results[sample].append(MarkAccuracy.of(mark, score(truth, imputed)))
                if sample == samples[0]:
                    scatters.append((f"{sample} {mark}", truth, imputed))
                    first, last = find_locus(truth, dataset)
                    region = dataset.region_of(first, last)
                    loci.append(Locus(f"{sample} {mark}", region, imputed[first:last], truth[first:last]))
            missing = missing_marks(model, dataset, sample)
            if missing:
                loci += impute_missing(model, dataset, sample, missing, out)
    evaluation = Evaluation(
        model=f"{model.name} {model.manifest.version}",
        protocol=f"Trained on {', '.join(model.manifest.provenance.samples)}; each mark of the held-out sample hidden"
        f" alone and imputed from its other marks; {dataset.n_bins:,} bins of {dataset.bin_size_bp} bp.",
        samples=results,
        seconds=time.perf_counter() - began,
        peak_memory_bytes=peak_memory_bytes(),
    )
    if with_training:
        truth, predicted, which = masked_training_values(model, dataset)
        per_mark = {m: pearson(truth[which == i], predicted[which == i]) for i, m in enumerate(model.marks)}
        update = {"training": per_mark, "training_overall": pearson(truth, predicted)}
        evaluation = evaluation.model_copy(update=update)
        scatters.insert(0, ("training windows, masked values", truth, predicted))
    (out / RESULT_FILE).write_text(evaluation.model_dump_json(indent=2) + "\n")
    (out / "table1.md").write_text(table_1(evaluation.samples, evaluation.training))
    draw_scatter(scatters, out / "figure1.png")
    draw_tracks(loci, dataset.bin_size_bp, out / "figure2.png")
    return evaluation


def impute_missing(model: Model, dataset: Dataset, sample: str, missing: Sequence[str], out: Path) -> list[Locus]:
    """Impute the tracks that a sample lacks; write them as SAMPLE-MARK.imputed.bigWig and give a locus of each."""
    imputed = impute_hidden(model, dataset, sample, missing)
    loci = []
    for mark in missing:
        row = imputed[model.marks.index(mark)]
        path = out / f"{sample}-{mark}.imputed.bigWig"
        with BigWigWriter(path, get_assembly(dataset.index.assembly), dataset.bin_size_bp) as writer:
            for region, values in in_genome_order(dataset, row):
                writer.add(region, values)
        first, last = find_locus(row, dataset)
        loci.append(Locus(f"{sample} {mark}, not measured", dataset.region_of(first, last), row[first:last], None))
    return loci


def in_genome_order(dataset: Dataset, row: NDArray[np.float32]) -> list[tuple[Region, NDArray[np.float32]]]:
    """A row of a data set by region, in the order that a bigWig needs."""
    order = list(get_assembly(dataset.index.assembly).chromosomes)
    parts = zip(dataset.regions, np.split(row, dataset.offsets[1:-1]), strict=True)
    return sorted(parts, key=lambda part: (order.index(part[0].chrom), part[0].start))


def command(
    model: Annotated[Path, typer.Argument(help="Folder of an exported model.")],
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables and figures.")],
    sample: Annotated[list[str] | None, typer.Option(help="Held-out sample (repeatable; default: all others).")] = None,
    training_rows: Annotated[
        bool, typer.Option("--training/--no-training", help="Also score the training windows' masked values.")
    ] = True,
) -> None:
    """Score an exported model on held-out samples: the paper's Table 1, Figure 1 and Figure 2."""
    dataset, loaded = open_dataset(folder), Model(model)
    trained_on = loaded.manifest.provenance.samples
    chosen = check_samples(dataset, sample or [s for s in dataset.samples if s not in trained_on])
    for name in chosen:
        if name in trained_on:
            raise BadData(f"{loaded.name} was trained on {name}; name a sample that it has not seen.")
    have_training = training_rows and set(trained_on) <= set(dataset.samples)
    evaluation = evaluate(loaded, dataset, chosen, out, have_training)
    console.print(table_1(evaluation.samples, evaluation.training), markup=False)
    if evaluation.training_overall is not None:
        console.print(f"Overall r of the masked training values: {evaluation.training_overall:.3f}")
    console.print(
        f"{evaluation.seconds:.0f} s, peak memory {evaluation.peak_memory_bytes / 2**30:.2f} GiB; results in {out}"
    )
