"""From tracks and a region to an answer: what both ways of asking share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import Request, Response

from app.api.formats import Format, respond
from app.core.binned import BinnedTracks
from app.core.errors import BadRegion, Busy, NoInterval, NoOverlap, RegionTooLarge
from app.core.impute import impute
from app.core.marks import Plan
from app.core.model import Model
from app.core.regions import Region, parse_region
from app.core.strength import judge
from app.core.trust import trust
from app.core.warnings import Outcome, warnings_of


def several(values: Sequence[str]) -> list[str]:
    """A list field; a browser may send `a,b` for two values, and an empty string for none."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


@asynccontextmanager
async def turn(request: Request) -> AsyncIterator[None]:
    """One of the imputations that may run at once; raises Busy where none is free."""
    gate = request.app.state.imputations
    if gate.locked():
        raise Busy("The service imputes as much at once as it can; try again in some seconds.")
    async with gate:
        yield


def asked_region(text: str, model: Model, max_bins: int) -> Region:
    """Read a region, in whole bins; raises BadRegion or RegionTooLarge."""
    region = parse_region(text, model.assembly)
    return check_size(region.snap(model.manifest.bin_size_bp, model.assembly.length(region.chrom)), model, max_bins)


def check_size(region: Region, model: Model, max_bins: int) -> Region:
    """The region itself; raises RegionTooLarge."""
    size = model.manifest.bin_size_bp
    if region.n_bins(size) > max_bins:
        raise RegionTooLarge(
            f"{region} has {region.n_bins(size):,} bins of {size} bp, but one answer holds at most {max_bins:,};"
            " ask for it in parts, or upload the tracks to a sample and start POST /v1/samples/{sample}/imputations,"
            " which has no limit.",
            str(region),
        )
    return region


def check_interval(interval: bool, model: Model) -> None:
    """Raise NoInterval if an interval is asked of a model that gives none."""
    if interval and model.manifest.interval_coverage is None:
        raise NoInterval(f"{model.name} gives no interval; leave out `interval`, or choose another model.", model.name)


def answer(
    tracks: BinnedTracks,
    model: Model,
    plan: Plan,
    region: Region | None,
    max_bins: int,
    format: Format,
    interval: bool,
    sample: str,
) -> Response:
    """Impute over a region, or over all that the tracks cover, and write the answer, with the `interval` if asked.

    Raises
    ------
    BadRegion
        No region was asked for, and the tracks cover several chromosomes.
    NoOverlap, RegionTooLarge, RegionTooShort
    """
    observed = tracks.select(plan.observed)
    wanted = region or check_size(_covered_region(observed), model, max_bins)
    strength = judge(tracks, model, plan.observed)
    whole = impute(tracks, model, plan, wanted, strength=strength)
    trimmed = whole.trim()
    imputation = whole if region else trimmed
    covered = int(imputation.imputed.covered().sum())
    outcome = Outcome(
        strength=strength,
        gaps=imputation.gaps,
        trust=trust(model.manifest, dict.fromkeys(plan.targets, covered), imputation.gaps),
        scores=imputation.scores(),
    )
    warnings = warnings_of(tracks, model, plan, outcome)
    return respond(model, plan, imputation, outcome, warnings, format, interval, sample)


def _covered_region(tracks: BinnedTracks) -> Region:
    """From the first covered bin to the last."""
    spans = list(tracks.covered_spans().values())
    if not spans:
        raise NoOverlap("The tracks have no value on any chromosome of the model's assembly.")
    if len(spans) > 1:
        raise BadRegion(
            f"The tracks cover {len(spans)} chromosomes; name one region, such as {spans[0].chrom},"
            " or upload the tracks to a sample and start POST /v1/samples/{sample}/imputations, which takes them all."
        )
    return spans[0]
