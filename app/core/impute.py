"""Imputation: which marks, from which, and the whole way from a signal to the imputed one."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.core.errors import (
    DuplicateMark,
    NothingObserved,
    NothingToImpute,
    RegionTooShort,
    UnknownMark,
)
from app.core.model import Model
from app.core.regions import Region
from app.core.scores import Score, score
from app.core.signal import Signal
from app.core.tiles import cut, run_tiles

TILE_BINS = 4096
"""Bins per tile: the paper's network then keeps 33 MB of hidden units, which stay near the caches."""


@dataclass(frozen=True)
class Plan:
    """Which marks are looked at, hidden and imputed.

    Attributes
    ----------
    observed
        Marks with a track that the model sees.
    masked
        Marks with a track that is hidden from the model; their imputation can be scored.
    targets
        Marks to impute.
    """

    observed: tuple[str, ...]
    masked: tuple[str, ...]
    targets: tuple[str, ...]


def plan(model: Model, tracks: Sequence[str], mask: Sequence[str] = (), targets: Sequence[str] = ()) -> Plan:
    """Settle which marks are imputed from which.

    Parameters
    ----------
    tracks
        Marks that have a track.
    mask
        Marks to treat as missing though a track may be there.
    targets
        Marks to impute; default: every mark of the model that has no track or is masked.

    Raises
    ------
    UnknownMark, DuplicateMark, NothingObserved, NothingToImpute
    """
    for mark in (*tracks, *mask, *targets):
        check_mark(mark, model)
    for mark in tracks:
        if tracks.count(mark) > 1:
            raise DuplicateMark(f"{mark} has two tracks; give one track per mark.")
    observed = tuple(m for m in model.marks if m in tracks and m not in mask)
    if not observed:
        if tracks:
            raise NothingObserved("Every track is masked; leave at least one mark unmasked to impute from.")
        raise NothingObserved("There is no track; give at least one to impute from.")
    wanted = tuple(m for m in model.marks if m in targets) or tuple(m for m in model.marks if m not in observed)
    measured = [m for m in wanted if m in observed]
    if measured:
        raise NothingToImpute(
            f"{measured[0]} is measured, so there is nothing to impute; mask it to impute it from the other marks."
        )
    if not wanted:
        raise NothingToImpute(
            f"All {len(model.marks)} marks of {model.name} are measured, so there is nothing to impute;"
            " mask one to impute it from the others."
        )
    return Plan(observed, tuple(m for m in model.marks if m in tracks and m in mask), wanted)


def check_mark(mark: str, model: Model) -> None:
    """Raise UnknownMark for a mark that the model does not have, with the nearest that it has."""
    if mark not in model.marks:
        upper = {m.upper(): m for m in model.marks}
        near = difflib.get_close_matches(mark.upper(), list(upper), n=1, cutoff=0.8)
        hint = f" Did you mean {upper[near[0]]}?" if near else ""
        raise UnknownMark(f"'{mark[:40]}' is not a mark of {model.name}, which has {', '.join(model.marks)}.{hint}")


@dataclass(frozen=True)
class Imputation:
    """The imputed targets over a region, and what was measured there of the masked marks."""

    imputed: Signal
    truth: Signal

    def scores(self) -> dict[str, Score]:
        """Agreement with the truth of every imputed mark that was masked."""
        both = [mark for mark in self.imputed.marks if mark in self.truth.marks]
        return {mark: score(self.truth.row(mark), self.imputed.row(mark)) for mark in both}


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
    observed = signal.select(plan.observed)
    first = (region.start - signal.region.start) // size
    tiles = cut(
        first,
        first + region.n_bins(size),
        signal.n_bins,
        tile_bins,
        model.manifest.halo_bins,
        model.manifest.min_bins,
    )
    values = run_tiles(model.run, observed.select(model.marks).values, tiles, batch, advance)
    everything = Signal(values, model.marks, region, size)
    targets = everything.select(plan.targets)
    covered = observed.crop(region).covered()
    imputed = Signal(np.where(covered, targets.values, np.float32(np.nan)), plan.targets, region, size)
    return Imputation(imputed, signal.select(plan.masked).crop(region))
