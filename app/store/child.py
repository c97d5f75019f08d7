"""The limited process that looks at uploads: `python -m app.store.child`, one request as JSON on standard input.

It is the only process that parses an upload. It gives up memory, CPU time, file size and, where the kernel allows it,
the network before it opens the file; whatever a hostile file does to the parser ends with this process.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import get_assembly, recognise
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.structure import chromosomes_of
from app.core.binned import write_binned
from app.core.errors import EmptyTrack, EpifillError
from app.core.quality import QualityMeter, Verdict, examine, units_warning
from app.core.regions import PIECE_BINS, Region

_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1


def main() -> None:
    """Take in one file; print {"taken": ...} or {"refused": ...}."""
    request = json.load(sys.stdin)
    limit(request["memory_bytes"], request["cpu_seconds"], request["file_bytes"])
    try:
        answer = {"taken": take_in(request)}
    except EpifillError as error:
        answer = {"refused": {"kind": type(error).__name__, "detail": str(error), "subject": error.subject}}
    json.dump(answer, sys.stdout)


def limit(memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Give up what this process does not need."""
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_CPU, cpu_seconds, 1)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, 0)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a server that dies takes its children along
    # Needs user namespaces, or root; without them the process keeps a network that it has no use for.
    libc.unshare(_CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET)


def _lower(kind: int, most: int, grace: int = 0) -> None:
    """Set a limit, or leave the lower one under which the service itself runs."""
    hard = resource.getrlimit(kind)[1]
    allowed = most + grace if hard == resource.RLIM_INFINITY else min(most + grace, hard)
    resource.setrlimit(kind, (min(most, allowed), allowed))


def take_in(request: dict[str, Any]) -> dict[str, Any]:
    """Check a file's structure, read it, and write the binned form with its figures and what is odd about it."""
    path, name, folder = Path(request["path"]), request["name"], Path(request["folder"])
    size = request["bin_size_bp"]
    wanted = request["assembly"]
    assembly = get_assembly(wanted) if wanted else recognise(chromosomes_of(path, name), name)
    within = [Region(*region) for region in request["regions"]]
    meter = QualityMeter(assembly, size)
    with Tracks({"track": TrackFile(path, name)}, assembly, size) as tracks:
        structure = tracks.structure("track")
        distribution = tracks.distribution("track")
        if not distribution.covered_fraction:
            raise EmptyTrack(
                f"'{name}' holds no value on a chromosome of {assembly.name}; give a track with data.", name
            )
        values = examine(distribution, structure.minimum, structure.maximum)
        warnings = [
            *structure.warnings,
            *tracks.fit("track").notes(),
            *units_warning(_spans(tracks), assembly),
            *values.warnings,
        ]
        verdict = Verdict(tuple(warnings), values.unusable)
        write_binned(folder, assembly, size, distribution, _read(tracks, meter, within), verdict)
    quality = meter.finish(distribution.quantiles)
    return {
        "assembly": assembly.name,
        "quality": asdict(quality) if quality else None,
        "warnings": [
            *verdict.warnings,
            *([f"The track counts as not observed: {verdict.unusable}"] if verdict.unusable else []),
        ],
    }


def _spans(tracks: Tracks) -> dict[str, Region]:
    """First to last base of each chromosome that may have a value, to the border of a piece."""
    spans: dict[str, Region] = {}
    for piece in tracks.covered_regions(PIECE_BINS * tracks.bin_size_bp):
        first = spans.get(piece.chrom, piece)
        spans[piece.chrom] = Region(piece.chrom, first.start, piece.end)
    return spans


def _read(tracks: Tracks, meter: QualityMeter, within: list[Region]) -> Iterator[tuple[Region, NDArray[np.float32]]]:
    piece_bp = PIECE_BINS * tracks.bin_size_bp
    for region in tracks.covered_regions(piece_bp, piece_bp * (2 if within else 32)):
        if not within or any(map(region.overlaps, within)):
            values = tracks.read(region).values[0]
            meter.add(values)
            yield region, values


if __name__ == "__main__":
    main()
