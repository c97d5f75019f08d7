"""`python -m training benchmark`: compare imputation methods."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from training.benchmark.charts import draw_marks, draw_reliability, draw_sizes
from training.benchmark.examples import draw_examples
from training.benchmark.protocols import (
    Case,
    Protocol,
    check_chromosomes,
    chromosome_folds,
    leave_one_out,
    random_subsets,
)
from training.benchmark.registry import METHODS, choose_methods
from training.benchmark.report import report
from training.benchmark.run import Bench
from training.benchmark.store import ResultStore
from training.common.errors import BadData
from training.common.method import Method
from training.common.progress import console, progress
from training.common.results import Benchmark
from training.data.annotations import promoter_bins, read_sites
from training.data.dataset import Dataset, check_samples, open_dataset

RESULT_FILE, REPORT_FILE = "benchmark.json", "benchmark.md"


def benchmark(
    bench: Bench,
    methods: Sequence[Method],
    cases: dict[Protocol, list[Case]],
    folds: Sequence[tuple[str, ...]] = (),
    seed: int = 0,
) -> Benchmark:
    """Compute the missing results, method by method, and write benchmark.json, benchmark.md and the figures.

    Parameters
    ----------
    cases
        What to impute, by protocol; a case of two protocols is imputed once.
    folds, seed
        How the cases were drawn; they go into benchmark.json.
    """
    everything = list(dict.fromkeys(case for some in cases.values() for case in some))
    if not everything:
        raise BadData("No sample has two marks, so there is nothing to hide.")
    with progress("Imputing", len(methods) * len(everything)) as advance:
        done = [bench.run(method, everything, advance) for method in methods]
    results = {protocol: [own[case] for own in done for case in some] for protocol, some in cases.items()}
    index = bench.dataset.index
    measured = Benchmark(
        data=bench.dataset.fingerprint,
        assembly=index.assembly,
        bin_size_bp=index.bin_size_bp,
        bins=bench.dataset.n_bins,
        marks=index.marks,
        seed=seed,
        methods=[asdict(method) for method in methods],
        folds=[list(fold) for fold in folds],
        leave_one_out=results.get(Protocol.LEAVE_ONE_OUT, []),
        subsets=results.get(Protocol.SUBSETS, []),
        chromosomes=results.get(Protocol.CHROMOSOMES, []),
    )
    (bench.out / RESULT_FILE).write_text(measured.model_dump_json(indent=1) + "\n")
    (bench.out / REPORT_FILE).write_text(report(measured))
    names = [method.name for method in methods]
    if measured.leave_one_out:
        draw_marks(measured.leave_one_out, names, bench.out / "marks.png")
        for name in dict.fromkeys(r.method for r in measured.leave_one_out if r.reliability and r.nominal):
            draw_reliability(measured.leave_one_out, name, bench.out / f"{name}-reliability.png")
    if measured.subsets:
        draw_sizes(measured.subsets, names, bench.out / "sizes.png")
    return measured


def open_bench(dataset: Dataset, out: Path, tss: Path | None = None) -> Bench:
    """A bench in a folder, with the promoters of a BED file if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    if tss is None:
        return Bench(dataset, out, ResultStore(out / "results", dataset))
    promoters = promoter_bins(dataset, read_sites(tss))
    annotation = hashlib.sha256(promoters.tobytes()).hexdigest()
    return Bench(dataset, out, ResultStore(out / "results", dataset, annotation), promoters)


def command(
    folder: Annotated[Path, typer.Argument(help="Data set made by prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the benchmark; what was cut off goes on.")],
    protocol: Annotated[list[Protocol] | None, typer.Option(help="What is hidden (repeatable; default: all).")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help=f"Method (repeatable; default: all): {', '.join(METHODS)}.")
    ] = None,
    sample: Annotated[list[str] | None, typer.Option(help="Hold out this sample (repeatable; default: each).")] = None,
    subsets: Annotated[int, typer.Option(help="Sets of observed marks per sample and number of marks.", min=1)] = 2,
    folds: Annotated[int, typer.Option(help="Folds of chromosomes, shared out by the seed.", min=2)] = 2,
    chromosome: Annotated[
        list[str] | None, typer.Option(help="Hold out these instead (repeatable): a single fold.")
    ] = None,
    tss: Annotated[
        Path | None, typer.Option(help="BED of transcription start sites, plain or gzip, for the promoters' error.")
    ] = None,
    example: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Method and held-out sample whose tracks are drawn.", metavar="METHOD SAMPLE"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides subsets, folds and the methods' draws.", min=0)] = 0,
) -> None:
    """Compare imputation methods on samples, sets of marks and chromosomes that they have not seen."""
    dataset = open_dataset(folder)
    chosen, methods = check_samples(dataset, sample or []), choose_methods(method or [], seed)
    cases: dict[Protocol, list[Case]] = {}
    held_out: list[tuple[str, ...]] = []
    for name in dict.fromkeys(protocol or Protocol):
        if name is Protocol.LEAVE_ONE_OUT:
            cases[name] = leave_one_out(dataset, chosen)
        elif name is Protocol.SUBSETS:
            cases[name] = random_subsets(dataset, chosen, subsets, seed)
        else:
            explicit = check_chromosomes(dataset, chromosome or [])
            held_out = [explicit] if explicit else chromosome_folds(dataset, folds, seed)
            cases[name] = [case for fold in held_out for case in leave_one_out(dataset, chosen, fold)]
    bench = open_bench(dataset, out, tss)
    if example:
        (shown,), (left_out,) = choose_methods([example[0]], seed), check_samples(dataset, [example[1]])
    measured = benchmark(bench, methods, cases, held_out, seed)
    if example:
        with progress("Drawing", len(leave_one_out(dataset, [left_out]))) as advance:
            draw_examples(bench, shown, left_out, lambda: advance(1))
    console.print(report(measured).split("### Sample")[0], markup=False, soft_wrap=True)
    console.print(f"Whole report: {out / REPORT_FILE}")
