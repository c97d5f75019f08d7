"""Impute whole files without a server, chunk by chunk, in bounded memory."""

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app import __version__
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.caveats import caveats
from app.core.errors import NoOverlap
from app.core.impute import Imputation, impute
from app.core.marks import plan
from app.core.model import Model, sha256_of
from app.core.panel import Gaps
from app.core.regions import PIECE_BINS, Region, parse_region
from app.core.scores import Score, score
from app.core.strength import judge

CHUNK_BINS = 500_000
"""Bins in memory at a time; 12.5 Mb of 25-bp bins, 10 MB per five marks."""

_SCORED_BINS = 4_000_000
"""Most bins that are kept for a mark's scores; of longer runs, every k-th bin is scored."""


@dataclass(frozen=True)
class Result:
    """What was written: covered bins per target, the scores of the masked ones, and what to know before trusting it."""

    bins: dict[str, int]
    scores: dict[str, Score]
    warnings: list[str]


def impute_files(
    model: Model,
    tracks: Sequence[tuple[str, Path]],
    mask: Sequence[str],
    targets: Sequence[str],
    region: str | None,
    out: Path,
    console: Console,
) -> Result:
    """Impute bigWig files into `out`: MARK.imputed.bigWig for each target, and manifest.json.

    If the model gives an interval, there are MARK.lower.bigWig and MARK.upper.bigWig, too.

    Parameters
    ----------
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
    size, assembly = model.manifest.bin_size_bp, model.assembly
    files = {mark: TrackFile(path, path.name) for mark, path in tracks}
    out.mkdir(parents=True, exist_ok=True)
    outputs: dict[tuple[str, str], str] = {
        (mark, part): f"{mark}.{part}.bigWig" for mark in settled.targets for part in model.manifest.outputs
    }
    bins = dict.fromkeys(settled.targets, 0)
    gaps = Gaps()
    with ExitStack() as stack:
        opened = stack.enter_context(Tracks(files, assembly, size))
        chunks = _chunks(opened, region, size)
        total = sum(chunk.n_bins(size) for chunk in chunks)
        kept = _KeptValues(max(1, -(-total // _SCORED_BINS)))
        writers = {
            output: stack.enter_context(BigWigWriter(out / name, assembly, size)) for output, name in outputs.items()
        }
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("bins"))
        bar = stack.enter_context(Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console))
        task = bar.add_task("Imputing", total=total)
        strength = judge(opened, model, settled.observed)
        for chunk in chunks:
            imputation = impute(
                opened, model, settled, chunk, strength=strength, advance=lambda done: bar.advance(task, done)
            )
            for part, signal in imputation.parts().items():
                for mark in settled.targets:
                    writers[mark, part].add(chunk, signal.row(mark))
            for mark in settled.targets:
                bins[mark] += int((~np.isnan(imputation.imputed.row(mark))).sum())
            gaps = gaps.then(imputation.gaps or Gaps(), assembly)
            kept.add(imputation)
        if not sum(bins.values()):
            where = region or f"{assembly.name}'s chromosomes"
            raise NoOverlap(f"No unmasked track has a value in {where}; choose tracks or a region with values.", region)
        warnings = caveats(opened, model, strength, gaps)
    result = Result(bins, kept.scores(), warnings)
    panel = model.manifest.panel
    written = {output: {"file": name, "sha256": sha256_of(out / name)} for output, name in outputs.items()}
    manifest = {
        "epifill": __version__,
        "python": platform.python_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {"name": model.name, "version": model.manifest.version, "sha256": model.manifest.sha256},
        "assembly": assembly.name,
        "bin_size_bp": size,
        "region": region,
        **asdict(settled),
        "inputs": {mark: {"file": path.name, "sha256": sha256_of(path)} for mark, path in tracks},
        "outputs": {
            mark: {
                **written[mark, "imputed"],
                "bins": bins[mark],
                **{part: written[mark, part] for part in model.manifest.outputs[1:]},
            }
            for mark in settled.targets
        },
        "interval_coverage": model.manifest.interval_coverage,
        "panel": panel
        and {
            "samples": panel.samples,
            "bins_without": gaps.bins,
            "regions_without": [str(stretch) for stretch in gaps.regions],
        },
        "scores": {mark: asdict(figures) for mark, figures in result.scores.items()},
        "warnings": warnings,
    }
    (out / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return result


def _chunks(tracks: Tracks, region: str | None, bin_size_bp: int) -> list[Region]:
    """What to impute, in genome order, in pieces that fit in memory."""
    chunk_bp = CHUNK_BINS * bin_size_bp
    if region is not None:
        wanted = parse_region(region, tracks.assembly)
        return list(wanted.snap(bin_size_bp, tracks.assembly.length(wanted.chrom)).pieces(chunk_bp))
    return list(tracks.covered_regions(PIECE_BINS * bin_size_bp, chunk_bp))


class _KeptValues:
    """Every `step`-th bin of the imputed and the true values of the masked targets."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}

    def add(self, imputation: Imputation) -> None:
        truth, imputed = imputation.truth, imputation.imputed
        for mark in set(truth.marks) & set(imputed.marks):
            pair = (truth.row(mark)[:: self._step].copy(), imputed.row(mark)[:: self._step].copy())
            self._pairs.setdefault(mark, []).append(pair)

    def scores(self) -> dict[str, Score]:
        return {
            mark: score(np.concatenate([t for t, _ in pairs]), np.concatenate([i for _, i in pairs]))
            for mark, pairs in self._pairs.items()
        }
