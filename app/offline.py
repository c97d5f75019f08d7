"""Impute whole files without a server, chunk by chunk, in bounded memory; a run that was stopped goes on."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.core.errors import DiskFull, EpifillError
from app.core.marks import plan
from app.core.model import Model, sha256_of
from app.core.scores import Score
from app.jobs.chunks import assemble, impute_chunk, judge_tracks, noted
from app.jobs.publish import MANIFEST, manifest_of_folder
from app.jobs.work import JUDGED, Cancelled, Folder, Input, Work, make_work

UNDER_WAY = ".epifill"
"""Folder, in that of the results, of a run that is under way or was stopped."""


@dataclass(frozen=True)
class Result:
    """What was written: covered bins per target, the scores of the masked ones, and what to know before trusting it."""

    bins: dict[str, int]
    scores: dict[str, Score]
    warnings: list[str]


def impute_files(
    model: Model,
    models: Path,
    tracks: Sequence[tuple[str, Path]],
    mask: Sequence[str],
    targets: Sequence[str],
    region: str | None,
    out: Path,
    console: Console,
    *,
    threads: int = 0,
    chunk_bins: int = 64 * 4096,
) -> Result:
    """Impute bigWig files into `out`: MARK.imputed.bigWig for each target, and manifest.json.

    If the model gives an interval, there are MARK.lower.bigWig and MARK.upper.bigWig, too. The same call goes on where
    an earlier one was stopped.

    Parameters
    ----------
    models
        The folder that the model is in.
    tracks
        Mark and file of each track.
    region
        What to impute; None = all that the tracks cover.

    Raises
    ------
    EpifillError
        For everything that is wrong with the files, marks or region.
    """
    settled = plan(model, [mark for mark, _ in tracks], mask, targets)
    inputs = {mark: Input(path=str(path.absolute()), file=path.name, sha256=sha256_of(path)) for mark, path in tracks}
    regions = None if region is None else [region]
    work = make_work("", model, models, inputs, settled, regions, False, chunk_bins, threads)
    out.mkdir(parents=True, exist_ok=True)
    place = Folder((out / UNDER_WAY).absolute())
    if not _same(place, work):
        shutil.rmtree(place.path, ignore_errors=True)
        place.create(work)
    try:
        _run(place, work, model, console)
    except DiskFull:
        raise  # what is done stays; with more room the same call goes on
    except EpifillError:
        shutil.rmtree(place.path)
        raise
    manifest = manifest_of_folder(place)
    bins = {mark: manifest["outputs"][f"{mark}.imputed.bigWig"]["bins"] for mark in settled.targets}
    for name in manifest["outputs"]:
        (place.path / "result.partial" / name).replace(out / name)
    (out / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    shutil.rmtree(place.path)
    scores = {mark: Score(**figures) for mark, figures in manifest["scores"].items()}
    return Result(bins, scores, manifest["warnings"])


def _same(place: Folder, work: Work) -> bool:
    """Whether a folder holds this very run, stopped."""
    try:
        return place.work() == work
    except (Cancelled, ValueError):
        return False


def _run(place: Folder, work: Work, model: Model, console: Console) -> None:
    """Do what is not done yet."""
    folder, size = str(place.path), model.manifest.bin_size_bp
    if not (place.path / JUDGED).exists():
        judge_tracks(folder)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("bins"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("Imputing", total=work.bins(size))
        for number, region in enumerate(work.pieces):
            if place.chunk(number).exists():
                bar.advance(task, region.n_bins(size))
            else:
                impute_chunk(folder, number, lambda done: bar.advance(task, done))
        parts = [(mark, part) for mark in work.targets for part in model.manifest.outputs]
        for mark, part in bar.track(parts, description="Writing"):
            if not noted(place, mark, part).exists():
                assemble(folder, mark, part)
