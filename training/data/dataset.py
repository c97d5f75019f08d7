"""Binned tracks of many samples on disk: one memory-mapped array per sample."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.assemblies import get_assembly
from app.core.regions import Region
from training.common.errors import BadData
from training.data.index import INDEX_FILE, Index, read_index


@dataclass(frozen=True)
class Dataset:
    """Tracks of several samples over the same regions.

    `SAMPLE.npy` holds float32 (marks, bins), -log10 p-value, the regions one after the other;
    NaN = not assayed or not covered.
    """

    folder: Path
    index: Index

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the arrays' rows."""
        return tuple(self.index.marks)

    @property
    def samples(self) -> tuple[str, ...]:
        """Names of the samples."""
        return tuple(self.index.samples)

    @property
    def bin_size_bp(self) -> int:
        """Width of a bin in bp."""
        return self.index.bin_size_bp

    @property
    def fingerprint(self) -> str:
        """Hash of assembly, bins, marks, samples and regions: with a seed, it decides the training windows."""
        return hashlib.sha256(self.index.model_dump_json(exclude={"source"}).encode()).hexdigest()

    def check_fingerprint(self, trained_on: str) -> None:
        """Raise BadData unless this is the data set, by its fingerprint, of a training."""
        if self.fingerprint != trained_on:
            raise BadData(
                "The checkpoint was not made with this data set (other regions, bins or marks); name its own."
            )

    @property
    def extent(self) -> str:
        """How much of the genome it holds, in words."""
        return f"{len(self.regions)} regions, {self.n_bins:,} bins of {self.bin_size_bp} bp"

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The regions, on bin borders, in the order of the arrays."""
        return tuple(Region(*region) for region in self.index.regions)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First column of every region, and the total number of columns; int64 (regions + 1,)."""
        widths = [region.n_bins(self.bin_size_bp) for region in self.regions]
        return np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)

    @property
    def n_bins(self) -> int:
        """Bins per sample and mark."""
        return int(self.offsets[-1])

    def region_of(self, first: int, last: int) -> Region:
        """Where columns `first` up to `last`, all of one region, lie on the genome."""
        i = int(np.searchsorted(self.offsets, first, side="right")) - 1
        region, size = self.regions[i], self.bin_size_bp
        start = region.start + (first - int(self.offsets[i])) * size
        return Region(region.chrom, start, min(start + (last - first) * size, region.end))

    def values(self, sample: str) -> NDArray[np.float32]:
        """All of a sample, float32 (marks, bins), memory-mapped read-only; raises BadData."""
        if sample not in self.samples:
            raise BadData(f"Sample '{sample}' is not in the data set, which has {', '.join(self.samples)}.")
        array: NDArray[np.float32] = np.load(self.folder / f"{sample}.npy", mmap_mode="r")
        if array.shape != (len(self.marks), self.n_bins) or array.dtype != np.float32:
            raise BadData(f"'{sample}.npy' does not fit {INDEX_FILE}; prepare the data set again.")
        return array


def open_dataset(folder: Path) -> Dataset:
    """Open a folder that `prepare` made; raises BadData."""
    return Dataset(folder, read_index(folder))


def create_dataset(folder: Path, index: Index) -> dict[str, NDArray[np.float32]]:
    """Make the arrays of a new data set, all NaN, writable, one per sample; `finish` publishes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    get_assembly(index.assembly)
    dataset = Dataset(folder, index)
    arrays: dict[str, NDArray[np.float32]] = {}
    for sample in index.samples:
        array = np.lib.format.open_memmap(
            folder / f"{sample}.npy", mode="w+", dtype=np.float32, shape=(len(index.marks), dataset.n_bins)
        )
        array[:] = np.nan
        arrays[sample] = array
    return arrays


def finish(folder: Path, index: Index, arrays: dict[str, NDArray[np.float32]]) -> Dataset:
    """Flush the arrays and write dataset.json last, so that an incomplete data set never opens."""
    for array in arrays.values():
        if isinstance(array, np.memmap):
            array.flush()
    (folder / INDEX_FILE).write_text(index.model_dump_json(indent=2) + "\n")
    return open_dataset(folder)


def check_samples(dataset: Dataset, samples: Sequence[str]) -> tuple[str, ...]:
    """The named samples, or all where none is named; raises BadData for one that is not there."""
    for sample in samples:
        if sample not in dataset.samples:
            raise BadData(f"Sample '{sample}' is not in the data set, which has {', '.join(dataset.samples)}.")
    return tuple(dict.fromkeys(samples)) or dataset.samples
