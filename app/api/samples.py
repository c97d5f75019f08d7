"""Samples: create, list, inspect, delete."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.access import Owner, Stored
from app.api.catalogue import CurrentSettings
from app.api.errors import problem_responses
from app.api.links import CurrentLinks
from app.api.routes import Route
from app.api.schemas import NewSample, SampleAnswer, SamplePage
from app.core.assemblies import get_assembly

router = APIRouter(prefix="/v1/samples", tags=["samples"], route_class=Route)


@router.post("", summary="Create a sample", status_code=201, responses=problem_responses(401, 413, 422))
def create(
    new: NewSample, owner: Owner, stored: Stored, settings: CurrentSettings, links: CurrentLinks, response: Response
) -> SampleAnswer:
    """Create a sample to hang tracks on. Without an assembly, the first track decides."""
    assembly = get_assembly(new.assembly).name if new.assembly else None
    sample = stored.create(owner, new.name, assembly, settings.max_samples_per_owner, new.temporary)
    response.headers["Location"] = links.sample(sample)["self"]
    return SampleAnswer.of(sample, [], stored.expires(sample, []), links)


@router.get("", summary="List your samples", responses=problem_responses(401, 422))
def page(
    owner: Owner,
    stored: Stored,
    links: CurrentLinks,
    limit: Annotated[int, Query(ge=1, le=500, description="Most samples in one answer")] = 50,
    after: Annotated[str, Query(pattern="^[0-9a-f]{0,32}$", description="`next` of the answer before")] = "",
) -> SamplePage:
    """List samples, some at a time."""
    samples = stored.page(owner, limit + 1, after)
    shown = [SampleAnswer.of(found, own, stored.expires(found, own), links) for found, own in samples[:limit]]
    return SamplePage(samples=shown, next=shown[-1].id if len(samples) > limit else None)


@router.get("/{sample}", summary="Show a sample", responses=problem_responses(401, 404))
def show(sample: str, owner: Owner, stored: Stored, links: CurrentLinks) -> SampleAnswer:
    """Show a sample and its tracks with their quality."""
    found, tracks = stored.get(owner, sample)
    return SampleAnswer.of(found, tracks, stored.expires(found, tracks), links)


@router.delete("/{sample}", summary="Delete a sample", status_code=204, responses=problem_responses(401, 404))
def delete(sample: str, owner: Owner, stored: Stored) -> None:
    """Delete a sample, its tracks and their files."""
    stored.delete(owner, sample)
