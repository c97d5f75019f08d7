"""Read gzipped fixedStep wig files, such as ChromImpute's converted 25-bp tracks."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly
from app.core.regions import Region
from app.core.signal import Signal
from training.common.errors import BadData


class WigTrack:
    """One wig.gz file, binned in memory; has the same `read` and `covered_regions` as bigWig `Tracks`.

    Parameters
    ----------
    path
        A file of `fixedStep` sections (https://genome.ucsc.edu/goldenPath/help/wiggle.html; starts count from 1).
    mark
        Name of its mark.
    bin_size_bp
        Bins to give; a multiple of the file's step. A bin's value is the mean of its steps.

    Raises
    ------
    BadData
        It is no gzip file, no fixedStep wig, does not fit the bins, or passes a chromosome's end.
    """

    def __init__(self, path: Path, mark: str, assembly: Assembly, bin_size_bp: int) -> None:
        self._mark = mark
        self._assembly = assembly
        self._bin_size_bp = bin_size_bp
        self._chromosomes: dict[str, NDArray[np.float32]] = {}
        sums: dict[str, NDArray[np.float64]] = {}
        counts: dict[str, NDArray[np.int64]] = {}
        for chrom, start, step, values in _sections(path):
            name = assembly.find(chrom)
            if name is None:
                continue
            if step < 1 or start < 0 or not np.isfinite(values).all():
                raise BadData(f"'{path.name}' has a section with a bad start, step or value; fetch it again.")
            if bin_size_bp % step or start % step:
                raise BadData(
                    f"'{path.name}' has steps of {step} bp from {start + 1}, which do not fill"
                    f" {bin_size_bp}-bp bins evenly."
                )
            length = assembly.length(name)
            n_bins = -(-length // bin_size_bp)
            bins = (start + step * np.arange(len(values))) // bin_size_bp
            if len(bins) and bins[-1] >= n_bins:
                raise BadData(f"'{path.name}' passes the end of {name} ({length:,} bp in {assembly.name}).")
            sums.setdefault(name, np.zeros(n_bins))
            counts.setdefault(name, np.zeros(n_bins, dtype=np.int64))
            sums[name] += np.bincount(bins, weights=values, minlength=n_bins)
            counts[name] += np.bincount(bins, minlength=n_bins)
        if not sums:
            raise BadData(f"'{path.name}' has no value on a chromosome of {assembly.name}.")
        for name, total in sums.items():
            mean = np.divide(total, counts[name], out=np.full(len(total), np.nan), where=counts[name] > 0)
            self._chromosomes[name] = mean.astype(np.float32)

    def __enter__(self) -> "WigTrack":
        return self

    def __exit__(self, *error: object) -> None:
        self._chromosomes.clear()

    def read(self, region: Region) -> Signal:
        """The track over a region on bin borders; NaN where the file has no value."""
        n_bins = region.n_bins(self._bin_size_bp)
        values = np.full((1, n_bins), np.nan, dtype=np.float32)
        if region.chrom in self._chromosomes:
            first = region.start // self._bin_size_bp
            values[0] = self._chromosomes[region.chrom][first : first + n_bins]
        return Signal(values, (self._mark,), region, self._bin_size_bp)

    def covered_regions(self, piece_bp: int) -> Iterator[Region]:
        """Pieces of the file's chromosomes, in the assembly's order."""
        for chrom in self._assembly.chromosomes:
            if chrom in self._chromosomes:
                yield from Region(chrom, 0, self._assembly.length(chrom)).pieces(piece_bp)


def _sections(path: Path) -> Iterator[tuple[str, int, int, NDArray[np.float64]]]:
    """Chromosome, 0-based start, step and values of every fixedStep section."""
    head: tuple[str, int, int] | None = None
    values: list[str] = []
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            for line in file:
                if line[:1].isdigit() or line[:1] in "-.":
                    values.append(line)
                elif line.startswith("fixedStep"):
                    if head:
                        yield (*head, np.array(values, dtype=np.float64))
                    fields = dict(field.split("=", 1) for field in line.split()[1:])
                    head, values = (fields["chrom"], int(fields["start"]) - 1, int(fields.get("step", 1))), []
                elif not line.startswith(("track", "#", "browser")) and line.strip():
                    raise BadData(f"'{path.name}' has the line '{line.strip()[:40]}'; only fixedStep wig is read.")
        if head:
            yield (*head, np.array(values, dtype=np.float64))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise BadData(f"'{path.name}' is not a whole gzip file of text; fetch it again.") from None
    except (KeyError, ValueError):
        raise BadData(f"'{path.name}' has a malformed section or value; fetch it again.") from None
