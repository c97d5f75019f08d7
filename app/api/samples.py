"""Samples: create, list, inspect, delete."""

from fastapi import APIRouter, Response

from app.api.access import Owner, Stored
from app.api.catalogue import CurrentSettings
from app.api.described import BODY, gives, problem_responses
from app.api.links import CurrentLinks
from app.api.lists import After, Limit, Name, SamplePage, SampleRow, page_of
from app.api.routes import Route
from app.api.schemas import NewSample, SampleAnswer
from app.core.assemblies import get_assembly
from app.core.errors import BadPage, DiskFull, LimitReached, UnknownAssembly, UnknownSample

router = APIRouter(prefix="/v1/samples", tags=["samples"], route_class=Route)


@router.post(
    "",
    operation_id="create_sample",
    summary="Create a sample",
    status_code=201,
    responses={201: gives("Location"), **problem_responses(*BODY, LimitReached, UnknownAssembly, DiskFull)},
)
def create(
    new: NewSample, owner: Owner, stored: Stored, settings: CurrentSettings, links: CurrentLinks, response: Response
) -> SampleAnswer:
    """Create a sample to hang tracks on. Without an assembly, the first track decides."""
    assembly = get_assembly(new.assembly).name if new.assembly else None
    sample = stored.create(owner, new.name, assembly, settings.max_samples_per_owner, new.temporary)
    response.headers["Location"] = links.sample(sample)["self"]
    return SampleAnswer.of(sample, [], stored.expires(sample, []), links)


@router.get("", operation_id="list_samples", summary="List your samples", responses=problem_responses(BadPage))
def page(
    owner: Owner,
    stored: Stored,
    links: CurrentLinks,
    after: After,
    limit: Limit = 50,
    name: Name = "",
) -> SamplePage:
    """List samples, the newest first, some at a time."""
    found = stored.page(owner, limit + 1, after, name)
    tracks = {sample.id: own for sample, own in found}
    samples, following = page_of([sample for sample, _ in found], limit)
    rows = [SampleRow.of(one, tracks[one.id], stored.expires(one, tracks[one.id]), links) for one in samples]
    return SamplePage(samples=rows, next=following)


@router.get("/{sample}", operation_id="get_sample", summary="Show a sample", responses=problem_responses(UnknownSample))
def show(sample: str, owner: Owner, stored: Stored, links: CurrentLinks) -> SampleAnswer:
    """Show a sample and its tracks with their quality."""
    found, tracks = stored.get(owner, sample)
    return SampleAnswer.of(found, tracks, stored.expires(found, tracks), links)


@router.delete(
    "/{sample}",
    operation_id="delete_sample",
    summary="Delete a sample",
    status_code=204,
    responses=problem_responses(UnknownSample),
)
def delete(sample: str, owner: Owner, stored: Stored) -> None:
    """Delete a sample, its tracks and their files."""
    stored.delete(owner, sample)
