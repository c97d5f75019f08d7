"""Read bigWig tracks into bins."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from app.core.assemblies import Assembly, match_chromosomes
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
        self._their_name = match_chromosomes(self.structure.chromosomes, assembly, file.name)
        self._ids = {chrom: number for number, chrom in enumerate(self.structure.chromosomes)}
        try:
            self._bigwig = pyBigWig.open(str(file.path.absolute()))
        except RuntimeError:
            raise self._damaged() from None

    def _damaged(self) -> NotABigWig:
        return NotABigWig(f"'{self._name}' is damaged and cannot be read; make or transfer it again.", self._name)

    def close(self) -> None:
        self._bigwig.close()

    def may_cover(self, region: Region) -> bool:
        """False only if the track has nothing in the region."""
        theirs = self._their_name.get(region.chrom)
        if theirs is None:
            return False
        return self.structure.coverage.may_cover(self._ids[theirs], region.start, region.end)

    def read(self, region: Region, bin_size_bp: int) -> NDArray[np.float32]:
        """Mean of the covered bases of each bin, float32 (bins,); NaN where none is covered."""
        bins = np.full(region.n_bins(bin_size_bp), np.nan, dtype=np.float32)
        theirs = self._their_name.get(region.chrom)
        if theirs is None:
            return bins
        first = 0
        for piece in region.pieces(max(1, _PIECE_BP // bin_size_bp) * bin_size_bp):
            try:
                bases = self._bigwig.values(theirs, piece.start, piece.end, numpy=True)
            except RuntimeError:
                raise self._damaged() from None
            means = _bin_means(bases, bin_size_bp)
            bins[first : first + len(means)] = means
            first += len(means)
        return bins


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
