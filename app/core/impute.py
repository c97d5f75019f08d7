"""The whole way from measured tracks to imputed ones, over one region."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.core.errors import NoOverlap, RegionTooShort
from app.core.marks import Plan
from app.core.model import Model
from app.core.regions import Region
from app.core.scores import Score, score
from app.core.signal import Signal
from app.core.tiles import cut, run_tiles

TILE_BINS = 4096
"""Bins per tile: the paper's network then keeps 33 MB of hidden units, which stay near the caches."""


@dataclass(frozen=True)
class Imputation:
    """The imputed targets over a region, and what was measured there of the masked marks."""

    imputed: Signal
    truth: Signal

    def scores(self) -> dict[str, Score]:
        """Agreement with the truth of every imputed mark that was masked."""
        both = [mark for mark in self.imputed.marks if mark in self.truth.marks]
        return {mark: score(self.truth.row(mark), self.imputed.row(mark)) for mark in both}

    def trim(self) -> "Imputation":
        """Without the uncovered bins at either end; raises NoOverlap if that leaves nothing."""
        covered = np.flatnonzero(self.imputed.covered())
        if not len(covered):
            raise NoOverlap(f"No observed track has a value in {self.imputed.region}; choose a region that they cover.")
        whole, size = self.imputed.region, self.imputed.bin_size_bp
        start = whole.start + int(covered[0]) * size
        region = Region(whole.chrom, start, min(whole.start + (int(covered[-1]) + 1) * size, whole.end))
        return Imputation(self.imputed.crop(region), self.truth.crop(region))


def impute(
    read: Callable[[Region], Signal],
    model: Model,
    plan: Plan,
    region: Region,
    *,
    tile_bins: int = TILE_BINS,
    batch: int = 1,
    advance: Callable[[int], None] = lambda bins: None,
) -> Imputation:
    """Impute the targets over one region, which must fit in memory.

    Parameters
    ----------
    read
        Gives the sample's tracks over a region that starts on a bin border.
    plan
        What is imputed from what.
    region
        On bin borders; its result is the same whatever tiles it is cut into.
    advance
        Told the number of bins after every piece of work.

    Returns
    -------
    Imputation
        NaN where no observed track covers the bin.

    Raises
    ------
    RegionTooShort
        The chromosome itself has fewer bins than the model's window. (A short region is no problem: the model
        looks beyond its borders.)
    """
    size = model.manifest.bin_size_bp
    length = model.assembly.length(region.chrom)
    reach = max(model.manifest.halo_bins, model.manifest.min_bins)
    signal = read(region.extend(reach * size, length))
    if signal.n_bins < model.manifest.min_bins:
        raise RegionTooShort(
            f"{region.chrom} has only {signal.n_bins} bins of {size} bp, fewer than the"
            f" {model.manifest.min_bins} that {model.name} needs."
        )
    first = (region.start - signal.region.start) // size
    last = first + region.n_bins(size)
    tiles = cut(first, last, signal.n_bins, tile_bins, model.manifest.halo_bins, model.manifest.min_bins)
    seen = signal.select(plan.observed).select(model.marks)
    values = run_tiles(model.run, seen.values, tiles, batch, advance)
    everything = Signal(values, model.marks, region, size)
    return Imputation(everything.select(plan.targets), signal.select(plan.masked).crop(region))
