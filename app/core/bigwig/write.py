"""Write imputed tracks as bigWig, checked before they are published."""

import errno
import os
import secrets
from pathlib import Path
from types import TracebackType

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.bigwig.validate import check_bigwig
from app.core.errors import EmptyTrack, NotABigWig, WriteFailed
from app.core.regions import Region
from app.core.signal import runs

_ENTRIES_AT_ONCE = 1_000_000
_MARGIN_BYTES = 512 * 1024
"""What must be free on the disk besides what is written."""


class BigWigWriter:
    """Writes one bigWig, in genome order, under a temporary name until it has read back as written.

    Used as a context manager. Left without an error it publishes the file; left by an exception it removes it.

    Parameters
    ----------
    path
        Where the finished file will stand.
    assembly
        Its chromosomes, all of which go into the header.
    bin_size_bp
        Width of the bins that `add` is given.
    """

    def __init__(self, path: Path, assembly: Assembly, bin_size_bp: int) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        self._assembly = assembly
        self._bin_size_bp = bin_size_bp
        self._covered_bp = 0
        self._sum = self._absolute_sum = 0.0
        try:
            self._partial.touch()
            self._bigwig = pyBigWig.open(str(self._partial.absolute()), "w")
        except (OSError, RuntimeError):
            raise WriteFailed(f"'{path.name}' cannot be written; check the folder and its permissions.") from None
        self._bigwig.addHeader(list(assembly.chromosomes.items()))

    def __enter__(self) -> "BigWigWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._publish()
            else:
                self._bigwig.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def add(self, region: Region, values: NDArray[np.float32]) -> None:
        """Append the bins of a region, float32 (bins,), -log10 p-value; NaN bins are left uncovered.

        Regions come in the assembly's order, start on bin borders and do not overlap.
        """
        length = self._assembly.length(region.chrom)
        if region.end > length:
            raise ValueError(f"{region} passes the end of {region.chrom} ({length:,} bp)")
        if np.isinf(values).any():
            raise ValueError(f"infinite values in {region}")
        self._check_room(values.nbytes)
        size = self._bin_size_bp
        starts = region.start + size * np.arange(len(values))
        whole = len(values) - int(starts[-1] + size > length)
        for first, last in runs(~np.isnan(values[:whole])):
            for left in range(first, last, _ENTRIES_AT_ONCE):
                right = min(left + _ENTRIES_AT_ONCE, last)
                self._bigwig.addEntries(
                    region.chrom, int(starts[left]), values=values[left:right], span=size, step=size
                )
        if whole < len(values) and not np.isnan(values[-1]):
            start, value = int(starts[-1]), float(values[-1])
            self._bigwig.addEntries([region.chrom], [start], ends=[length], values=[value])
        self._count(starts, values, length)

    def _check_room(self, more: int) -> None:
        """Raise OSError before libBigWig meets a full disk: it ends the process then, or leaves a file cut short.

        Its zoom levels, written at the end, take up to another third of the file.
        """
        disk = os.statvfs(self._partial.parent)
        if disk.f_bavail * disk.f_frsize < more + self._partial.stat().st_size // 3 + _MARGIN_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path.name)

    def _count(self, starts: NDArray[np.int64], values: NDArray[np.float32], length: int) -> None:
        present = ~np.isnan(values)
        widths = np.minimum(self._bin_size_bp, length - starts)[present]
        self._covered_bp += int(widths.sum())
        exact = values[present].astype(np.float64)
        self._sum += float(widths @ exact)
        self._absolute_sum += float(widths @ np.abs(exact))

    def _publish(self) -> None:
        """Close the file, compare what it says with what was added, and give it its name."""
        self._check_room(0)
        self._bigwig.close()
        failed = WriteFailed(f"'{self._path.name}' did not read back as written; is the disk full?")
        try:
            written = check_bigwig(self._partial, self._path.name)
        except (EmptyTrack, NotABigWig):
            raise failed from None
        tolerance = 1e-6 * self._absolute_sum  # summed in another order, values may cancel
        if (
            written is None
            or not _closed(self._partial)
            or written.covered_bases != self._covered_bp
            or not abs(written.total - self._sum) <= tolerance
        ):
            raise failed
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())
        self._partial.replace(self._path)


def _closed(path: Path) -> bool:
    """Whether a bigWig ends as one that was written to its end does: with its magic number."""
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-4, os.SEEK_END)
        return file.read(4) == first
