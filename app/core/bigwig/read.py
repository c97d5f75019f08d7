"""Read bigWig tracks into bins."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from app.core.assemblies import Assembly, Fit, match_chromosomes
from app.core.bigwig.structure import Structure, check_structure
from app.core.errors import BadTrackValues, NotABigWig
from app.core.quantiles import Distribution, look_through
from app.core.regions import PIECE_BINS, Region, join_pieces
from app.core.signal import Signal

LARGEST = 1_000_000
"""Largest value that is taken for a -log10 p-value; real ones stay below some thousands."""

_PIECE_BP = 2_500_000  # bases per read: 10 MB, and pyBigWig holds the interpreter's lock no longer than that


@dataclass(frozen=True)
class TrackFile:
    """A bigWig file on disk and what the user calls it."""

    path: Path
    name: str


class Tracks:
    """The bigWig tracks of one sample, open for reading. A context manager; for one thread at a time.

    A file's structure is checked from end to end before pyBigWig opens it, as a damaged one would crash the process.

    Parameters
    ----------
    files
        One file per mark.
    assembly
        The assembly that every track must be in.
    bin_size_bp
        Width of the bins that `read` gives.

    Raises
    ------
    NotABigWig, EmptyTrack, BadTrackValues, AssemblyMismatch
        Of the first file that is wrong.
    """

    def __init__(self, files: Mapping[str, TrackFile], assembly: Assembly, bin_size_bp: int) -> None:
        self.assembly = assembly
        self.bin_size_bp = bin_size_bp
        self._tracks: dict[str, _Track] = {}
        self._distributions: dict[str, Distribution] = {}
        try:
            for mark, file in files.items():
                self._tracks[mark] = _Track(file, assembly)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Tracks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for track in self._tracks.values():
            track.close()

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks that have a track."""
        return tuple(self._tracks)

    def structure(self, mark: str) -> Structure:
        """What a track's file was found to hold."""
        return self._tracks[mark].structure

    def fit(self, mark: str) -> Fit:
        """How the chromosomes of a track's file are those of the assembly."""
        return self._tracks[mark].fit

    def read(self, region: Region) -> Signal:
        """The tracks over a region that starts on a bin border.

        A bin's value is the mean of its covered bases; NaN where no base is covered.

        Raises
        ------
        NotABigWig
            A part of a file cannot be read.
        """
        values = np.empty((len(self._tracks), region.n_bins(self.bin_size_bp)), dtype=np.float32)
        for row, track in zip(values, self._tracks.values(), strict=True):
            row[:] = track.read(region, self.bin_size_bp)
        return Signal(values, self.marks, region, self.bin_size_bp)

    def distribution(self, mark: str) -> Distribution:
        """How the values of a whole track are distributed; looked up once.

        Raises
        ------
        NotABigWig
            A part of the file cannot be read.
        """
        if mark not in self._distributions:
            track, size = self._tracks[mark], self.bin_size_bp
            pieces = list(self._covered_pieces(PIECE_BINS * size, [track]))
            found = look_through(pieces, lambda piece: track.read(piece, size), self.assembly.n_bins(size))
            self._distributions[mark] = found
        return self._distributions[mark]

    def covered_regions(self, piece_bp: int, most_bp: int | None = None) -> Iterator[Region]:
        """Where some track may have a value: neighbouring pieces of a grid of `piece_bp`, in genome order.

        Pieces that touch come as one region of at most `most_bp` (default: each piece alone).
        """
        yield from join_pieces(self._covered_pieces(piece_bp, self._tracks.values()), most_bp or 0)

    def _covered_pieces(self, piece_bp: int, tracks: Collection["_Track"]) -> Iterator[Region]:
        def may_cover(region: Region) -> bool:
            return any(track.may_cover(region) for track in tracks)

        for chrom, length in self.assembly.chromosomes.items():
            for stretch in Region(chrom, 0, length).pieces(32 * piece_bp):  # far fewer questions where all is empty
                if may_cover(stretch):
                    yield from filter(may_cover, stretch.pieces(piece_bp))


class _Track:
    """One open bigWig, read by the assembly's chromosome names."""

    def __init__(self, file: TrackFile, assembly: Assembly) -> None:
        self._name = file.name
        self.structure = check_structure(file.path, file.name)
        if max(-self.structure.minimum, self.structure.maximum) > LARGEST:
            raise BadTrackValues(
                f"'{self._name}' holds values beyond {LARGEST:,}; replace them by a -log10 p-value.", self._name
            )
        lengths = self.structure.chromosomes
        self.fit = match_chromosomes(lengths, assembly, file.name, self.structure.ends)
        ids = {chrom: number for number, chrom in enumerate(lengths)}
        self._parts = {
            chrom: [_Part(name, ids[name], lengths[name]) for name in names] for chrom, names in self.fit.names.items()
        }
        try:
            self._bigwig = pyBigWig.open(str(file.path.absolute()))
        except RuntimeError:
            raise self._damaged() from None
        try:
            self._check_apart(assembly)
        except BaseException:
            self.close()
            raise

    def _damaged(self) -> NotABigWig:
        return NotABigWig(f"'{self._name}' is damaged and cannot be read; make or transfer it again.", self._name)

    def close(self) -> None:
        self._bigwig.close()

    def may_cover(self, region: Region) -> bool:
        """False only if the track has nothing in the region."""
        return any(self._part_may_cover(part, region) for part in self._parts.get(region.chrom, ()))

    def _part_may_cover(self, part: "_Part", region: Region) -> bool:
        return self.structure.coverage.may_cover(part.number, region.start, region.end)

    def _check_apart(self, assembly: Assembly) -> None:
        """A chromosome that stands under several names is one if no base has a value under two of them."""
        for chrom, parts in self._parts.items():
            pieces = Region(chrom, 0, assembly.length(chrom)).pieces(_PIECE_BP) if len(parts) > 1 else ()
            for piece in pieces:
                here = [part for part in parts if self._part_may_cover(part, piece)]
                if len(here) < 2:
                    continue
                values = np.array([self._bases(part, piece) for part in here])
                if ((~np.isnan(values)).sum(axis=0) > 1).any():
                    names = " and ".join(part.name for part in here)
                    raise BadTrackValues(
                        f"'{self._name}' holds {chrom} under several names, {names}, with values of each for the same"
                        f" bases within {piece}; keep one of them.",
                        self._name,
                    )

    def read(self, region: Region, bin_size_bp: int) -> NDArray[np.float32]:
        """Mean of the covered bases of each bin, float32 (bins,); NaN where none is covered."""
        bins = np.full(region.n_bins(bin_size_bp), np.nan, dtype=np.float32)
        parts = self._parts.get(region.chrom)
        if not parts:
            return bins
        first = 0
        for piece in region.pieces(max(1, _PIECE_BP // bin_size_bp) * bin_size_bp):
            bases = self._bases(parts[0], piece)
            for part in parts[1:]:
                others = self._bases(part, piece)
                np.copyto(bases, others, where=~np.isnan(others))
            means = _bin_means(bases, bin_size_bp)
            bins[first : first + len(means)] = means
            first += len(means)
        return bins

    def _bases(self, part: "_Part", region: Region) -> NDArray[np.float32]:
        """Value of every base, float32 (bases,); NaN where it has none, as behind the end that the file gives."""
        end = min(region.end, part.length)
        if end <= region.start:
            return np.full(region.end - region.start, np.nan, dtype=np.float32)
        try:
            bases: NDArray[np.float32] = self._bigwig.values(part.name, region.start, end, numpy=True)
        except RuntimeError:
            raise self._damaged() from None
        if end < region.end:
            bases = np.append(bases, np.full(region.end - end, np.nan, dtype=np.float32))
        return bases


@dataclass(frozen=True)
class _Part:
    """A chromosome as the file has it: its name, its id there, and its length in bp."""

    name: str
    number: int
    length: int


def _bin_means(bases: NDArray[np.float32], bin_size_bp: int) -> NDArray[np.float32]:
    """Mean over the values that are not NaN of every `bin_size_bp` bases, summed in float64.

    25 equal float32 values give back exactly that value.
    """
    missing_bp = -len(bases) % bin_size_bp
    if missing_bp:
        bases = np.append(bases, np.full(missing_bp, np.nan, dtype=np.float32))
    by_bin = bases.reshape(-1, bin_size_bp)
    sums = by_bin.sum(axis=1, dtype=np.float64)
    if np.isnan(sums).any():
        covered = ~np.isnan(by_bin)
        counts = covered.sum(axis=1)
        sums = np.where(covered, by_bin, 0).sum(axis=1, dtype=np.float64)
        means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    else:
        means = sums / bin_size_bp
    return means.astype(np.float32)
