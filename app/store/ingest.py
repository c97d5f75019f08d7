"""Take an upload in: run the limited child process on it, and understand what it says."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core import errors
from app.core.errors import DiskFull, EpifillError, NotABigWig
from app.core.regions import Region
from app.store.files import DISK_FULL

_KINDS = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


@dataclass(frozen=True)
class Limits:
    """What a child process may use.

    Attributes
    ----------
    memory_bytes, file_bytes
        Address space, and size of each file that it writes.
    base_seconds, bytes_per_second
        CPU time: some seconds, and more for larger files.
    """

    memory_bytes: int = 2 * 2**30
    file_bytes: int = 2**30
    base_seconds: int = 30
    bytes_per_second: int = 2_000_000

    def cpu_seconds(self, file_bytes: int) -> int:
        """CPU time for a file of that size."""
        return self.base_seconds + file_bytes // self.bytes_per_second


@dataclass(frozen=True)
class Taken:
    """What was found in a file that was taken in.

    Attributes
    ----------
    quality
        Figures of the bins that were written; None where there were none.
    warnings
        What is odd about it, one sentence each; the binned form holds it, too.
    """

    assembly: str
    quality: dict[str, Any] | None
    warnings: list[str]


async def take_in(
    path: Path,
    folder: Path,
    name: str,
    assembly: str | None,
    bin_size_bp: int,
    limits: Limits,
    regions: Sequence[Region] = (),
) -> Taken:
    """Check and bin a bigWig in a child process; the binned form is written into a folder.

    Parameters
    ----------
    name
        What the user calls the file.
    assembly
        The assembly that it must be in; None = recognise it.
    regions
        Bin only what lies around these; default: everything.

    Raises
    ------
    NotABigWig, EmptyTrack, BadTrackValues, AssemblyMismatch
        The file is refused.
    """
    cpu_seconds = limits.cpu_seconds(path.stat().st_size)
    request = {
        "path": str(path.absolute()),
        "folder": str(folder.absolute()),
        "name": name,
        "assembly": assembly,
        "bin_size_bp": bin_size_bp,
        "regions": [(region.chrom, region.start, region.end) for region in regions],
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.file_bytes,
        "cpu_seconds": cpu_seconds,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.store.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        async with asyncio.timeout(2 * cpu_seconds + 10):
            out, err = await process.communicate(json.dumps(request).encode())
    except TimeoutError:
        raise _too_heavy(name) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        answer = json.loads(out)
    except ValueError:
        raise _explain(name, process.returncode or 0, err, limits) from None
    if "refused" in answer:
        refused = answer["refused"]
        raise _KINDS[refused["kind"]](refused["detail"], refused["subject"])
    return Taken(**answer["taken"])


def _explain(name: str, status: int, err: bytes, limits: Limits) -> EpifillError:
    """Why a child gave no answer."""
    if b"MemoryError" in err or status in (-signal.SIGXCPU, -signal.SIGKILL):
        return _too_heavy(name)
    if b"No space left on device" in err or b"[Errno 28]" in err:
        return DiskFull(DISK_FULL)
    if b"File too large" in err or status == -signal.SIGXFSZ:
        own = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        if own != resource.RLIM_INFINITY and own < limits.file_bytes:
            return DiskFull(
                "The service may not write files that large (its limit on file sizes, ulimit -f, is too low)."
            )
        return NotABigWig(f"'{name}' takes more room in bins than any real track; check how it was made.", name)
    return NotABigWig(f"'{name}' is damaged: reading it failed; make or transfer it again.", name)


def _too_heavy(name: str) -> NotABigWig:
    return NotABigWig(
        f"'{name}' takes more time or memory to read than any real track of its size; check how it was made.", name
    )
