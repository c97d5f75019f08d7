"""The pieces of an imputation, as workers do them: each idempotent, each leaving one file, whole or not at all.

Whoever does a piece needs the imputation's folder and the folder of models at the same paths, and nothing else.
"""

import errno
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.binned import BinnedTracks
from app.core.errors import DiskFull, ModelReplaced, WriteFailed
from app.core.impute import impute
from app.core.marks import Plan
from app.core.model import Model, sha256_of
from app.core.regions import Region
from app.core.scores import score, scored_every
from app.core.strength import Strength, judge
from app.jobs.work import JUDGED, WORK, Cancelled, Folder, Work, write_atomically

DISK_FULL = "The disk is full, so the result cannot be written; free some room and start the imputation again."


def on_disk(piece: Callable[..., None]) -> Callable[..., None]:
    """Say in plain words that the disk is full, and that a folder that went away was removed on purpose."""

    @wraps(piece)
    def run(folder: str, *which: Any) -> None:
        try:
            piece(folder, *which)
        except OSError as error:
            Folder(Path(folder)).check()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(DISK_FULL) from None
            raise
        except WriteFailed:
            Folder(Path(folder)).check()
            raise

    return run


@lru_cache(maxsize=2)
def _model(folder: str, model_sha256: str, threads: int) -> Model:
    """A model, loaded once per worker; raises ModelReplaced."""
    model = Model(Path(folder), threads)
    if model.sha256 != model_sha256:
        raise ModelReplaced(f"{model.name} was replaced by another version meanwhile; start the imputation again.")
    return model


@lru_cache(maxsize=4)
def _opened(folder: str, created: int) -> tuple[Work, Model, BinnedTracks]:  # noqa: ARG001
    work = Folder(Path(folder)).work()
    model = _model(str(Path(work.models) / work.model), work.model_sha256, work.threads)
    return work, model, work.open()


def opened(folder: Path) -> tuple[Work, Model, BinnedTracks]:
    """An imputation's work, model and tracks, opened once per worker; raises Cancelled."""
    Folder(folder).check()
    return _opened(str(folder), (folder / WORK).stat().st_mtime_ns)


@on_disk
def judge_tracks(folder: str) -> None:
    """Find out how strong the tracks are."""
    place = Folder(Path(folder))
    work, model, tracks = opened(place.path)
    strength = judge(tracks, model, work.observed)
    if strength:
        place.keep_strength(strength)
    write_atomically(place.path / JUDGED, lambda file: None)


@on_disk
def impute_chunk(folder: str, number: int, advance: Callable[[int], None] = lambda bins: None) -> None:
    """Impute one chunk: `values`, float32 (outputs, targets, bins), and where the panel had nothing."""
    place = Folder(Path(folder))
    work, model, tracks = opened(place.path)
    region = work.pieces[number]

    def look_up(bins: int) -> None:
        place.check()
        advance(bins)

    found = impute(tracks, model, work.plan, region, strength=place.strength(), advance=look_up)
    values = np.stack([signal.values for signal in found.parts().values()])
    gaps = found.gaps
    stretches = [(gap.start, gap.end) for gap in gaps.regions] if gaps else []
    by_target = [gaps.by_target[mark] if gaps else 0 for mark in work.targets]

    def write(file: BinaryIO) -> None:
        np.savez(
            file,
            values=values,
            gap_bins=gaps.bins if gaps else 0,
            gap_targets=by_target,
            gaps=np.array(stretches).reshape(-1, 2),
        )

    write_atomically(place.chunk(number), write)


@on_disk
def probe(folder: str, number: int, mark: str) -> None:
    """Hide an observed mark on one stretch and impute it: `truth`, `model` and `panel`, float32 (bins,) each."""
    place = Folder(Path(folder))
    work, model, tracks = opened(place.path)
    region = Region(*work.probes[number])
    others = tuple(other for other in work.observed if other != mark)
    found = impute(
        tracks,
        model,
        Plan(others, (mark,), (mark,)),
        region,
        strength=_without(place.strength(), model, mark),
        advance=lambda _: place.check(),
    )
    panel = np.full(found.imputed.n_bins, np.nan, np.float32)
    described = model.manifest.panel
    if model.panel and described and described.means:
        row = described.channels.index(described.means[model.marks.index(mark)])
        panel = model.panel.read(region)[row]

    def write(file: BinaryIO) -> None:
        np.savez(file, truth=found.truth.row(mark), model=found.imputed.row(mark), panel=panel)

    write_atomically(place.probe(number, mark), write)


def _without(strength: Strength | None, model: Model, mark: str) -> Strength | None:
    if strength is None:
        return None
    quantiles = strength.quantiles.copy()
    quantiles[model.marks.index(mark)] = np.nan
    return Strength(quantiles, {other: share for other, share in strength.judged.items() if other != mark})


@on_disk
def assemble(folder: str, mark: str, part: str) -> None:
    """Write the bigWig of a target's part from the chunks, read it back, compare, and note what it holds."""
    place = Folder(Path(folder))
    work, model, tracks = opened(place.path)
    size, assembly = model.manifest.bin_size_bp, model.assembly
    output, target = model.manifest.outputs.index(part), work.targets.index(mark)  # type: ignore[arg-type]
    scored = part == "imputed" and mark in work.masked and mark in work.inputs
    every = scored_every(work.bins(size))
    bins, seen, top, pairs = 0, 0, 0.0, []
    target_file = place.path / "result.partial" / f"{mark}.{part}.bigWig"
    target_file.parent.mkdir(exist_ok=True)
    with BigWigWriter(target_file, assembly, size) as writer:
        for number, region in enumerate(work.pieces):
            place.check()
            values = _chunk_values(place, number)[output, target]
            writer.add(region, values)
            there = ~np.isnan(values)
            bins += int(there.sum())
            top = max(top, float(np.quantile(values[there], 0.999)) if there.any() else 0.0)
            if scored:
                pairs.append(np.stack([tracks.read_row(mark, region), values])[:, -seen % every :: every])
            seen += len(values)
    _compare(place, work, target_file, output, target, model)
    both = np.concatenate(pairs, axis=1) if pairs else None
    note = {
        "file": target_file.name,
        "sha256": sha256_of(target_file),
        "bytes": target_file.stat().st_size,
        "bins": bins,
        "top": top,
        "score": None if both is None else score(both[0], both[1], every),
    }
    write_atomically(noted(place, mark, part), lambda file: file.write(orjson.dumps(note)))


def noted(place: Folder, mark: str, part: str) -> Path:
    """Where `assemble` leaves what it found."""
    return place.path / "chunks" / f"assembled-{mark}.{part}.json"


def _chunk_values(place: Folder, number: int) -> NDArray[np.float32]:
    try:
        with np.load(place.chunk(number)) as kept:
            values: NDArray[np.float32] = kept["values"]
            return values
    except FileNotFoundError:
        raise Cancelled("The imputation was cancelled.") from None


def _compare(place: Folder, work: Work, path: Path, output: int, target: int, model: Model) -> None:
    """Raise WriteFailed unless a bigWig reads back, bin by bin, as the chunks say."""
    with Tracks({"m": TrackFile(path, path.name)}, model.assembly, model.manifest.bin_size_bp) as written:
        for number, region in enumerate(work.pieces):
            place.check()
            expected = _chunk_values(place, number)[output, target]
            if not np.array_equal(written.read(region).values[0], expected, equal_nan=True):
                raise WriteFailed(f"'{path.name}' did not read back as written in {region}; is the disk full?")
