"""The end of an imputation: scores, manifest, track hub and picture, put in place with the bigWigs all at once."""

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from app import __version__
from app.core.model import Model
from app.core.panel import Gaps
from app.core.regions import Region
from app.core.scores import Score, score
from app.core.trust import trust
from app.core.warnings import Outcome, warnings_of
from app.jobs.chunks import noted, on_disk, opened
from app.jobs.hub import hub_text
from app.jobs.picture import draw_scores
from app.jobs.work import Folder, Work, write_atomically

MANIFEST, HUB, PICTURE = "manifest.json", "hub.txt", "scores.png"

Scores = dict[str, dict[str, Score | None]]
"""By observed mark: of the `model` that imputed it from the others, and of the `panel_mean`, None without one."""


@on_disk
def publish(folder: str) -> None:
    """Write what stands beside the bigWigs, and give the result its name."""
    place = Folder(Path(folder))
    if place.result.exists():
        return
    work, model, _ = opened(place.path)
    partial = place.path / "result.partial"
    scores = hidden_scores(place, work)
    manifest = manifest_of_folder(place, scores)
    write_atomically(partial / MANIFEST, lambda file: file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2)))
    parts: tuple[str, ...] = tuple(model.manifest.outputs)
    links = {mark: {part: track_link(mark, part) for part in parts} for mark in work.targets}
    tops = {mark: _note(place, mark, "imputed")["top"] for mark in work.targets}
    by = f"{model.name} {model.manifest.version}"
    hub = hub_text(work.sample, model.assembly.name, links, model=by, maxima=tops, email=work.contact or None)
    write_atomically(partial / HUB, lambda file: file.write(hub.encode()))
    if scores:
        draw_scores(scores, partial / PICTURE)
    place.check()
    for left in partial.glob("*.partial"):  # by a worker that died
        left.unlink()
    partial.rename(place.result)


def track_link(mark: str, part: str) -> str:
    """Where a result track is to be had, beside the manifest."""
    return f"tracks/{mark}.bigWig" if part == "imputed" else f"tracks/{mark}.{part}.bigWig"


def hidden_scores(place: Folder, work: Work) -> Scores:
    """How well each observed mark was imputed from the others on the probes."""
    found: Scores = {}
    for mark in work.observed if work.probes else ():
        parts = []
        for number in range(len(work.probes)):
            with np.load(place.probe(number, mark)) as kept:
                parts.append(np.stack([kept[name] for name in ("truth", "model", "panel")]))
        truth, imputed, panel = np.concatenate(parts, axis=1)
        beside = ~(np.isnan(panel) | np.isnan(truth))
        found[mark] = {"model": score(truth, imputed), "panel_mean": score(truth, panel) if beside.any() else None}
    return found


def manifest_of_folder(place: Folder, hidden: Scores | None = None) -> dict[str, Any]:
    """Where a result comes from: every hash, parameter and version; with scores and what to know before trusting it."""
    work, model, tracks = opened(place.path)
    gaps = _gaps(place, work, model)
    panel = model.manifest.panel
    notes = {(mark, part): _note(place, mark, part) for mark in work.targets for part in model.manifest.outputs}
    found = trust(model.manifest, {mark: notes[mark, "imputed"]["bins"] for mark in work.targets}, gaps)
    scores = {mark: Score(**note["score"]) for (mark, part), note in notes.items() if note["score"]}
    outcome = Outcome(place.strength(), gaps, found, scores)
    return {
        "epifill": __version__,
        "versions": {
            "python": platform.python_version(),
            "onnxruntime": version("onnxruntime"),
            "numpy": np.__version__,
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sample": work.sample,
        "model": {"name": model.name, "version": model.manifest.version, "sha256": model.manifest.sha256},
        "assembly": model.assembly.name,
        "bin_size_bp": model.manifest.bin_size_bp,
        "regions": work.regions,
        "observed": work.observed,
        "masked": work.masked,
        "targets": work.targets,
        "inputs": {mark: given.model_dump(exclude={"path"}) for mark, given in work.inputs.items()},
        "outputs": {
            note["file"]: {"mark": mark, "part": part, **{name: note[name] for name in ("sha256", "bytes", "bins")}}
            for (mark, part), note in notes.items()
        },
        "interval_coverage": model.manifest.interval_coverage,
        "panel": panel
        and gaps
        and {
            "samples": panel.samples,
            "bins_without": gaps.bins,
            "regions_without": [str(stretch) for stretch in gaps.regions],
        },
        "trust": {mark: own.plain() for mark, own in found.items()},
        "scores": {mark: asdict(figures) for mark, figures in scores.items()},
        "hidden_scores": {
            mark: {name: figures and asdict(figures) for name, figures in own.items()}
            for mark, own in (hidden or {}).items()
        },
        "warnings": [*warnings_of(tracks, model, work.plan, outcome), *_unscored_hidden(hidden or {})],
    }


def _unscored_hidden(hidden: Scores) -> list[str]:
    """A sentence on each observed mark that was hidden but could not be scored."""
    reasons = {mark: own["model"].reason for mark, own in hidden.items() if own["model"]}
    return [f"{mark} was hidden in turn but has no score: {reason}" for mark, reason in reasons.items() if reason]


def _note(place: Folder, mark: str, part: str) -> dict[str, Any]:
    note: dict[str, Any] = orjson.loads(noted(place, mark, part).read_bytes())
    return note


def _gaps(place: Folder, work: Work, model: Model) -> Gaps | None:
    """Where the panel had nothing, over all chunks."""
    if not model.panel:
        return None
    total = Gaps()
    for number, region in enumerate(work.pieces):
        with np.load(place.chunk(number)) as kept:
            stretches = tuple(Region(region.chrom, *map(int, stretch)) for stretch in kept["gaps"])
            by_target = dict(zip(work.targets, map(int, kept["gap_targets"]), strict=True))
            total = total.then(Gaps(int(kept["gap_bins"]), stretches, by_target), model.assembly)
    return total
