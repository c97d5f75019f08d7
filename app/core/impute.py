"""The whole way from measured tracks to imputed ones, over one region."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.core.errors import NoOverlap, RegionTooShort
from app.core.marks import Plan
from app.core.model import Model
from app.core.panel import Gaps
from app.core.regions import Region
from app.core.scores import Score, score, scored_every
from app.core.signal import Signal
from app.core.strength import Strength, TrackSource, judge
from app.core.tiles import cut, run_tiles

TILE_BINS = 4096
"""Bins per tile at least: the paper's network then keeps 33 MB of hidden units, which stay near the caches."""

_TILE_HALOS = 16
"""Halos per tile at least. A network with a halo of 1,004 bins took 5.0 µs per bin in tiles of 4,096 bins, 3.2 in tiles
of 16 halos, and 3.1 in tiles of 32."""


@dataclass(frozen=True)
class Imputation:
    """The imputed targets over a region.

    Attributes
    ----------
    imputed
        The targets.
    lower, upper
        Bounds of an interval around them; None if the model gives none.
    truth
        What was measured there of the masked marks.
    gaps
        Where the panel had nothing beside them; None if the model has no panel.
    """

    imputed: Signal
    truth: Signal
    lower: Signal | None
    upper: Signal | None
    gaps: Gaps | None

    def scores(self) -> dict[str, Score]:
        """Agreement with the truth of every imputed mark that was masked."""
        every = scored_every(self.imputed.n_bins)
        return {
            mark: score(self.truth.row(mark)[::every], self.imputed.row(mark)[::every], every)
            for mark in self.imputed.marks
            if mark in self.truth.marks
        }

    def parts(self) -> dict[str, Signal]:
        """The model's outputs by name: imputed and, if it gives them, lower and upper."""
        given = {"imputed": self.imputed, "lower": self.lower, "upper": self.upper}
        return {name: signal for name, signal in given.items() if signal}

    def trim(self) -> "Imputation":
        """Without the uncovered bins at either end; raises NoOverlap if that leaves nothing."""
        covered = np.flatnonzero(self.imputed.covered())
        if not len(covered):
            raise NoOverlap(f"No observed track has a value in {self.imputed.region}; choose a region that they cover.")
        whole, size = self.imputed.region, self.imputed.bin_size_bp
        start = whole.start + int(covered[0]) * size
        region = Region(whole.chrom, start, min(whole.start + (int(covered[-1]) + 1) * size, whole.end))
        return replace(
            self,
            imputed=self.imputed.crop(region),
            truth=self.truth.crop(region),
            lower=self.lower and self.lower.crop(region),
            upper=self.upper and self.upper.crop(region),
        )


def impute(
    source: TrackSource,
    model: Model,
    plan: Plan,
    region: Region,
    *,
    strength: Strength | None = None,
    tile_bins: int | None = None,
    batch: int = 1,
    advance: Callable[[int], None] = lambda bins: None,
) -> Imputation:
    """Impute the targets over one region, which must fit in memory.

    Parameters
    ----------
    source
        The sample's tracks.
    plan
        What is imputed from what.
    region
        On bin borders; its result is the same whatever tiles it is cut into.
    strength
        Of the observed tracks; default: judged anew.
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
    if not long_enough(region.chrom, model):
        raise RegionTooShort(too_short(region.chrom, model), region.chrom)
    signal = source.read(looked_at(region, model))
    first = (region.start - signal.region.start) // size
    last = first + region.n_bins(size)
    strength = strength or judge(source, model, plan.observed)
    panel = model.panel.read(signal.region) if model.panel else None
    results = run_model(
        model,
        signal.select(plan.observed).select(model.marks).values,
        strength.quantiles if strength else None,
        panel,
        first=first,
        last=last,
        tile_bins=tile_bins,
        batch=batch,
        advance=advance,
    )
    imputed, *bounds = [Signal(values, model.marks, region, size).select(plan.targets) for values in results]
    lower, upper = bounds or (None, None)
    gaps = None
    if panel is not None:
        missing = {mark: np.isnan(panel[model.panel_rows(mark), first:last]).all(axis=0) for mark in plan.targets}
        gaps = Gaps.of({mark: row & imputed.covered() for mark, row in missing.items()}, region, size)
    return Imputation(imputed, signal.select(plan.masked).crop(region), lower, upper, gaps)


def looked_at(region: Region, model: Model) -> Region:
    """What a region's result depends on: the region and what the model sees on either side."""
    reach = max(model.manifest.halo_bins, model.manifest.min_bins) * model.manifest.bin_size_bp
    return region.extend(reach, model.assembly.length(region.chrom))


def read_around(region: Region, model: Model) -> list[Region]:
    """All that imputing a region reads: what its result depends on, and where the model judges tracks."""
    return [looked_at(region, model), *(model.yardstick.regions if model.yardstick else ())]


def long_enough(chrom: str, model: Model) -> bool:
    """Whether a chromosome has as many bins as the model's window."""
    return -(-model.assembly.length(chrom) // model.manifest.bin_size_bp) >= model.manifest.min_bins


def too_short(chrom: str, model: Model) -> str:
    """The sentence on a chromosome with fewer bins than the model's window."""
    size = model.manifest.bin_size_bp
    bins = -(-model.assembly.length(chrom) // size)
    return (
        f"{chrom} has only {bins} bins of {size} bp, fewer than the {model.manifest.min_bins} that {model.name} needs."
    )


def run_model(
    model: Model,
    values: NDArray[np.float32],
    quantiles: NDArray[np.float32] | None = None,
    panel: NDArray[np.float32] | None = None,
    *,
    first: int = 0,
    last: int | None = None,
    tile_bins: int | None = None,
    batch: int = 1,
    advance: Callable[[int], None] = lambda bins: None,
) -> NDArray[np.float32]:
    """Run a model over a stretch of any length, tile by tile.

    Parameters
    ----------
    values
        float32 (marks, bins), -log10 p-value, NaN = not measured or masked; bins >= the model's `min_bins`.
    quantiles, panel
        float32 (marks, knots) and (channels, bins), as `Model.run` takes them.
    first, last
        Bins to impute (default: all); the others are only looked at.
    tile_bins
        Bins per tile; changes nothing but the speed.

    Returns
    -------
    float32 (outputs, marks, last - first), -log10 p-value; NaN where no mark was measured.
    """
    manifest, total = model.manifest, values.shape[1]
    width = tile_bins or max(TILE_BINS, _TILE_HALOS * manifest.halo_bins)
    tiles = cut(first, total if last is None else last, total, width, manifest.halo_bins, manifest.min_bins)

    def run(values: NDArray[np.float32], panel: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        return model.run(values, quantiles, panel)

    arrays = [values] if panel is None else [values, panel]
    return run_tiles(run, arrays, (len(manifest.outputs), len(model.marks)), tiles, batch, advance)
