"""The project's own form of a track: bins in pieces, only those that have a value; read by position at once.

A folder holds `pieces.npy`, float32 (pieces, PIECE_BINS), -log10 p-value with NaN = not covered, `index.npy`, int32
(all pieces of the assembly), the row of each piece in `pieces.npy` or -1 where nothing is covered, and `form.json`,
with the track's quantile function, its coverage and what is odd about it: those of the whole track, though the pieces
may be only those around a region. What is worked out from a track later, and costs time, is kept there too.
"""

import errno
import json
import os
import secrets
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import Assembly, get_assembly
from app.core.errors import AssemblyMismatch
from app.core.quality import Verdict
from app.core.quantiles import Distribution, look_through
from app.core.regions import PIECE_BINS, Region, join_pieces
from app.core.signal import Signal, runs

_PIECES, _INDEX, _FORM = "pieces.npy", "index.npy", "form.json"

NOTHING_ODD = Verdict()


def piece_starts(assembly: Assembly, bin_size_bp: int) -> dict[str, int]:
    """Number of each chromosome's first piece, in the assembly's order; under the key '' the number of pieces."""
    starts, total = {}, 0
    for chrom, length in assembly.chromosomes.items():
        starts[chrom] = total
        total += -(-length // (PIECE_BINS * bin_size_bp))
    return {**starts, "": total}


def write_binned(
    folder: Path,
    assembly: Assembly,
    bin_size_bp: int,
    distribution: Distribution,
    chunks: Iterable[tuple[Region, NDArray[np.float32]]],
    verdict: Verdict = NOTHING_ODD,
) -> None:
    """Write a track; memory does not grow with it.

    Parameters
    ----------
    folder
        A folder that exists; form.json is written last.
    distribution
        Of the whole track.
    chunks
        Regions that start on a border of pieces, in genome order, and their bins, float32 (bins,), NaN = not covered.
        What no region holds is not covered.
    verdict
        What is odd about the track.
    """
    starts = piece_starts(assembly, bin_size_bp)
    index = np.full(starts[""], -1, dtype=np.int32)
    rows = 0
    with (folder / _PIECES).open("wb") as file:
        for region, values in chunks:
            padded = np.full(-(-len(values) // PIECE_BINS) * PIECE_BINS, np.nan, dtype=np.float32)
            padded[: len(values)] = values
            pieces = padded.reshape(-1, PIECE_BINS)
            there = np.flatnonzero(~np.isnan(pieces).all(axis=1))
            file.write(pieces[there].data)  # unlike `tofile`, it says why it failed
            first = starts[region.chrom] + region.start // (PIECE_BINS * bin_size_bp)
            index[first + there] = rows + np.arange(len(there))
            rows += len(there)
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / _INDEX, index)
    form = {
        "assembly": assembly.name,
        "bin_size_bp": bin_size_bp,
        "pieces": rows,
        "quantiles": distribution.quantiles.tolist(),
        "covered_fraction": distribution.covered_fraction,
        "warnings": verdict.warnings,
        "unusable": verdict.unusable,
    }
    (folder / _FORM).write_text(json.dumps(form))


class BinnedTracks:
    """Binned tracks of one sample. Safe for several threads.

    Parameters
    ----------
    folders
        Where `write_binned` wrote each mark's track.

    Raises
    ------
    AssemblyMismatch
        The tracks are in different assemblies.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._tracks = {mark: _Binned(folder) for mark, folder in folders.items()}
        forms = {(track.assembly.name, track.bin_size_bp) for track in self._tracks.values()}
        if len(forms) != 1:
            names = " and ".join(sorted(name for name, _ in forms))
            raise AssemblyMismatch(f"The tracks are in different assemblies ({names}); give tracks of one.")
        ((name, self.bin_size_bp),) = forms
        self.assembly = get_assembly(name)

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks that have a track."""
        return tuple(self._tracks)

    def read(self, region: Region) -> Signal:
        """The tracks over a region that starts on a bin border; NaN where a track does not cover a bin."""
        rows = np.stack([track.read(region) for track in self._tracks.values()])
        return Signal(rows, self.marks, region, self.bin_size_bp)

    def read_row(self, mark: str, region: Region) -> NDArray[np.float32]:
        """One track over a region that starts on a bin border, float32 (bins,); NaN where it does not cover a bin."""
        return self._tracks[mark].read(region)

    def distribution(self, mark: str) -> Distribution:
        """How the values of a whole track are distributed."""
        return self._tracks[mark].distribution

    def verdict(self, mark: str) -> Verdict:
        """What was found odd about a track when it was taken in."""
        return self._tracks[mark].verdict

    def unusable(self) -> dict[str, str]:
        """Why a track tells a model nothing, in one sentence, by mark; only those of which that is so."""
        verdicts = {mark: track.verdict for mark, track in self._tracks.items()}
        return {mark: verdict.unusable for mark, verdict in verdicts.items() if verdict.unusable}

    def kept(self, mark: str, name: str, work_out: Callable[[], Any]) -> Any:
        """What was worked out from a track before, or is now: anything that JSON can hold.

        Parameters
        ----------
        name
            A file's name without suffix; it stands for everything that decides the outcome but the track itself.
        """
        return self._tracks[mark].kept(name, work_out)

    def covers(self, region: Region) -> bool:
        """Whether some track has a value in a region."""
        return any(track.covers(region) for track in self._tracks.values())

    def select(self, marks: Collection[str]) -> "BinnedTracks":
        """Some of the tracks."""
        return BinnedTracks({mark: track.folder for mark, track in self._tracks.items() if mark in marks})

    def covered_regions(self, most_bp: int) -> Iterator[Region]:
        """Where some track may have a value, in genome order, in regions of at most `most_bp` (or one piece)."""
        piece_bp = PIECE_BINS * self.bin_size_bp
        there = np.any([track.there for track in self._tracks.values()], axis=0)
        starts = piece_starts(self.assembly, self.bin_size_bp)
        pieces = (
            piece
            for chrom, length in self.assembly.chromosomes.items()
            for number, piece in enumerate(Region(chrom, 0, length).pieces(piece_bp), starts[chrom])
            if there[number]
        )
        yield from join_pieces(pieces, most_bp)

    def covered_spans(self) -> dict[str, Region]:
        """Per chromosome that has values, the stretch from the first covered bin to the last of any track."""
        spans: dict[str, Region] = {}
        for track in self._tracks.values():
            for chrom, region in track.spans().items():
                other = spans.get(chrom, region)
                spans[chrom] = Region(chrom, min(region.start, other.start), max(region.end, other.end))
        return spans


class _Binned:
    """One track."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        form = json.loads((folder / _FORM).read_text())
        self._form = form
        # Epifill 0.1 stored tracks without a verdict.
        self.verdict = Verdict(tuple(form.get("warnings", ())), form.get("unusable"))
        self.assembly = get_assembly(form["assembly"])
        self.bin_size_bp: int = form["bin_size_bp"]
        self._index: NDArray[np.int32] = np.load(folder / _INDEX, mmap_mode="r")
        self._starts = piece_starts(self.assembly, self.bin_size_bp)
        self._file = os.open(folder / _PIECES, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def _rows(self, first: int, count: int) -> NDArray[np.float32]:
        """Pieces as they lie in the file. Read, not mapped: mapped pages would count as memory until all are."""
        values = np.empty((count, PIECE_BINS), np.float32)
        if os.preadv(self._file, [values.data], first * PIECE_BINS * values.itemsize) != values.nbytes:
            raise OSError(errno.EIO, "A stored track is shorter than its index says", _PIECES)
        return values

    @cached_property
    def distribution(self) -> Distribution:
        if "quantiles" in self._form:
            return Distribution(np.array(self._form["quantiles"], np.float32), self._form["covered_fraction"])
        # Epifill 0.1 stored whole tracks without it.
        rows = range(self._form["pieces"])
        return look_through(rows, lambda row: self._rows(row, 1)[0], self.assembly.n_bins(self.bin_size_bp))

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which pieces of the assembly have a value."""
        return self._index >= 0

    def read(self, region: Region) -> NDArray[np.float32]:
        first = region.start // self.bin_size_bp
        last = first + region.n_bins(self.bin_size_bp)
        numbers = np.arange(first // PIECE_BINS, -(-last // PIECE_BINS))
        rows = self._index[self._starts[region.chrom] + numbers]
        values = np.full((len(numbers), PIECE_BINS), np.nan, dtype=np.float32)
        there = rows >= 0
        for left, right in runs(there):  # what lies side by side on the genome lies so in the file
            values[left:right] = self._rows(int(rows[left]), right - left)
        left = first - int(numbers[0]) * PIECE_BINS
        return values.ravel()[left : left + last - first]

    def covers(self, region: Region) -> bool:
        piece_bp = PIECE_BINS * self.bin_size_bp
        first, last = region.start // piece_bp, -(-region.end // piece_bp)
        start = self._starts[region.chrom]
        there = first + np.flatnonzero(self._index[start + first : start + last] >= 0)
        # A piece that is there has a value, so only those at the borders must be looked at.
        inside = there[(there * piece_bp >= region.start) & ((there + 1) * piece_bp <= region.end)]
        if len(inside):
            return True
        edges = [
            Region(region.chrom, max(region.start, n * piece_bp), min(region.end, (n + 1) * piece_bp))
            for n in there.tolist()
        ]
        return any(not np.isnan(self.read(edge)).all() for edge in edges)

    def kept(self, name: str, work_out: Callable[[], Any]) -> Any:
        path = self.folder / f"{name}.json"
        with suppress(OSError, ValueError):
            return json.loads(path.read_text())
        found = work_out()
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        try:
            partial.write_text(json.dumps(found))
            partial.replace(path)
        except OSError:  # no room, or not ours: worked out anew the next time
            partial.unlink(missing_ok=True)
        return found

    def spans(self) -> dict[str, Region]:
        found = {}
        for chrom, length in self.assembly.chromosomes.items():
            count = -(-length // (PIECE_BINS * self.bin_size_bp))
            begin = self._starts[chrom]
            there = np.flatnonzero(self._index[begin : begin + count] >= 0)
            if len(there):
                ends = []
                for number in (there[0], there[-1]):
                    bins = np.flatnonzero(~np.isnan(self._rows(int(self._index[begin + number]), 1)[0]))
                    ends.append(number * PIECE_BINS + bins)
                start = int(ends[0][0]) * self.bin_size_bp
                found[chrom] = Region(chrom, start, min((int(ends[1][-1]) + 1) * self.bin_size_bp, length))
        return found
