"""Impute whole files without a server, chunk by chunk, in bounded memory; a run that was stopped goes on."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.core.binned import BinnedTracks
from app.core.errors import DiskFull, EpifillError
from app.core.impute import read_around
from app.core.marks import plan, spell
from app.core.model import Model, sha256_of
from app.core.regions import Region, parse_region
from app.core.scores import Score
from app.core.trust import Trust
from app.jobs.chunks import assemble, impute_chunk, judge_tracks, noted
from app.jobs.publish import MANIFEST, manifest_of_folder
from app.jobs.work import INPUTS, JUDGED, WORK, Folder, Input, Work, make_work, write_atomically
from app.store.ingest import Limits, take_in

UNDER_WAY = ".epifill"
"""Folder, in that of the results, of a run that is under way or was stopped."""

_REQUEST = "request.json"
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))


class FolderInUse(EpifillError):
    """A folder for results that holds those of another run."""


@dataclass(frozen=True)
class Result:
    """What was written: covered bins per target, how far to trust it, scores of masked targets, and warnings."""

    bins: dict[str, int]
    trust: dict[str, Trust]
    scores: dict[str, Score]
    warnings: list[str]


@dataclass(frozen=True)
class Request:
    """What is to be imputed.

    Attributes
    ----------
    tracks
        Mark and file of each track.
    mask, targets
        As `app.core.marks.plan` takes them.
    region
        What to impute; None = all that the tracks cover.
    """

    tracks: Sequence[tuple[str, Path]]
    mask: Sequence[str] = ()
    targets: Sequence[str] = ()
    region: str | None = None


def impute_files(
    model: Model,
    models: Path,
    request: Request,
    out: Path,
    console: Console,
    *,
    force: bool = False,
    threads: int = 0,
    chunk_bins: int = 64 * 4096,
    limits: Limits | None = None,
) -> Result:
    """Impute bigWig files into `out`: MARK.imputed.bigWig for each target, and manifest.json.

    If the model gives an interval, there are MARK.lower.bigWig and MARK.upper.bigWig, too. The same call goes on where
    an earlier one was stopped. Files are read by the same limited child process that takes in a server's uploads.

    Parameters
    ----------
    models
        The folder that the model is in.
    force
        Replace another run's results, and what another run that was stopped has left.

    Raises
    ------
    FolderInUse
        `out` holds another run.
    EpifillError
        For everything that is wrong with the files, marks or region.
    """
    tracks = _known(request, model)
    hashes = {mark: sha256_of(path) for mark, path in tracks.items()}
    asked = _described(request, model, tracks, hashes, chunk_bins)
    place = Folder((out / UNDER_WAY).absolute())
    if not _stopped(place, asked):
        _check_free(out, force)
        shutil.rmtree(place.path, ignore_errors=True)
        (place.path / INPUTS).mkdir(parents=True)
        write_atomically(place.path / _REQUEST, lambda file: file.write(orjson.dumps(asked)))
    try:
        with Progress(*_COLUMNS, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
            _ingest(place, request, tracks, model, limits or Limits(), bar)
            if not (place.path / WORK).exists():
                place.create(_cut(place, request, tracks, model, models, hashes, chunk_bins, threads))
            _run(place, model, bar)
    except DiskFull:
        raise  # what is done stays; with more room the same call goes on
    except EpifillError:
        shutil.rmtree(place.path)
        raise
    return _move_out(place, out)


def _known(request: Request, model: Model) -> dict[str, Path]:
    """The files that are read, by mark; those that the model does not know are set aside before."""
    settled = plan(model, [mark for mark, _ in request.tracks], request.mask, request.targets)
    named = [(spell(mark, model), path) for mark, path in request.tracks]
    return {mark: path for mark, path in named if mark in settled.tracks}


def _described(
    request: Request, model: Model, tracks: dict[str, Path], hashes: dict[str, str], chunk_bins: int
) -> dict[str, Any]:
    """All that decides a run's result, for JSON."""
    return {
        "model": model.sha256,
        "tracks": {mark: [path.name, hashes[mark]] for mark, path in tracks.items()},
        "mask": list(request.mask),
        "targets": list(request.targets),
        "region": request.region,
        "chunk_bins": chunk_bins,
    }


def _stopped(place: Folder, asked: dict[str, Any]) -> bool:
    """Whether a folder holds this very run, stopped."""
    try:
        return bool(orjson.loads((place.path / _REQUEST).read_bytes()) == asked)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _check_free(out: Path, force: bool) -> None:
    """Raise FolderInUse if a folder holds another run that is not to be replaced, or is none."""
    if out.exists() and not out.is_dir():
        raise FolderInUse(f"'{out}' is a file; give a folder for the results.", str(out))
    if force:
        return
    for name, what in ((MANIFEST, "the results of another run"), (UNDER_WAY, "another run that was stopped")):
        if (out / name).exists():
            raise FolderInUse(f"'{out}' holds {what}; give another folder, or replace it with --force.", str(out))
    if found := next(_results(out), None):
        raise FolderInUse(
            f"'{out}' holds a track of another run, {found.name}; give another folder, or replace it with --force.",
            str(out),
        )


def _results(out: Path) -> Iterator[Path]:
    """The files in a folder that are named as a run's results are."""
    for part in ("imputed", "lower", "upper"):
        yield from sorted(out.glob(f"*.{part}.bigWig"))


def _ingest(
    place: Folder, request: Request, tracks: dict[str, Path], model: Model, limits: Limits, bar: Progress
) -> None:
    """Check and bin the files; those that an earlier call has done stay."""
    around: list[Region] = []
    if request.region is not None:
        around = read_around(parse_region(request.region, model.assembly), model)
    task = bar.add_task("Checking", total=len(tracks), unit="files")
    for mark, path in tracks.items():
        folder = place.path / INPUTS / mark
        if not folder.exists():
            partial = place.path / f"{mark}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            size = model.manifest.bin_size_bp
            asyncio.run(take_in(path, partial, path.name, model.assembly.name, size, limits, around))
            partial.rename(folder)
        bar.advance(task)


def _cut(
    place: Folder,
    request: Request,
    tracks: dict[str, Path],
    model: Model,
    models: Path,
    hashes: dict[str, str],
    chunk_bins: int,
    threads: int,
) -> Work:
    folders = {mark: place.path / INPUTS / mark for mark in tracks}
    marks = [mark for mark, _ in request.tracks]
    settled = plan(model, marks, request.mask, request.targets, BinnedTracks(folders).unusable())
    inputs = {
        mark: Input(path=str(folders[mark]), file=path.name, sha256=hashes[mark]) for mark, path in tracks.items()
    }
    regions = None if request.region is None else [request.region]
    return make_work("", model, models, inputs, settled, regions, False, chunk_bins, threads)


def _run(place: Folder, model: Model, bar: Progress) -> None:
    """Do what is not done yet."""
    folder, size, work = str(place.path), model.manifest.bin_size_bp, place.work()
    if not (place.path / JUDGED).exists():
        judge_tracks(folder)
    task = bar.add_task("Imputing", total=work.bins(size), unit="bins")
    for number, region in enumerate(work.pieces):
        if place.chunk(number).exists():
            bar.advance(task, region.n_bins(size))
        else:
            impute_chunk(folder, number, lambda done: bar.advance(task, done))
    parts = [(mark, part) for mark in work.targets for part in model.manifest.outputs]
    task = bar.add_task("Writing", total=len(parts), unit="files")
    for mark, part in parts:
        if not noted(place, mark, part).exists():
            assemble(folder, mark, part)
        bar.advance(task)


def _move_out(place: Folder, out: Path) -> Result:
    """Put the finished files into the folder of results, in place of all that another run has left there."""
    manifest = manifest_of_folder(place)
    for old in (out / MANIFEST, *_results(out)):
        old.unlink(missing_ok=True)
    for name in manifest["outputs"]:
        (place.path / "result.partial" / name).replace(out / name)
    (out / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    shutil.rmtree(place.path)
    bins = {mark: manifest["outputs"][f"{mark}.imputed.bigWig"]["bins"] for mark in manifest["targets"]}
    scores = {mark: Score(**figures) for mark, figures in manifest["scores"].items()}
    trust = {mark: Trust.of(plain) for mark, plain in manifest["trust"].items()}
    return Result(bins, trust, scores, manifest["warnings"])
