"""Long imputations: start, watch, cancel, fetch the result."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.access import Owner, Stored
from app.api.catalogue import CurrentSettings, Models
from app.api.described import BODY, PLAN, gives, problem_responses
from app.api.links import CurrentLinks
from app.api.lists import PLAIN, After, ImputationPage, ImputationRow, Limit, Name, Status, page_of
from app.api.region import check_fit
from app.api.results import Existing, Jobs
from app.api.routes import Route
from app.api.schemas import ImputationAnswer, NewImputation
from app.core.errors import (
    BadPage,
    DiskFull,
    HasEnded,
    KeyReused,
    LimitReached,
    NothingObserved,
    TrackNotReady,
    UnknownImputation,
    UnknownSample,
)
from app.core.marks import plan
from app.jobs.runner import Runner
from app.jobs.work import INPUTS, Folder, Input, make_work
from app.store.imputations import OPEN
from app.store.samples import Samples
from app.store.tables import ImputationJob

router = APIRouter(prefix="/v1", tags=["imputations"], route_class=Route)

_LOOK_SECONDS = 0.5


@router.post(
    "/samples/{sample}/imputations",
    operation_id="start_imputation",
    summary="Start to impute a sample, the whole genome if need be",
    status_code=202,
    responses={
        202: gives("Location"),
        **problem_responses(*BODY, UnknownSample, *PLAN, TrackNotReady, KeyReused, LimitReached, DiskFull),
    },
)
def start(
    sample: str,
    new: NewImputation,
    request: Request,
    response: Response,
    owner: Owner,
    stored: Stored,
    jobs: Jobs,
    models: Models,
    settings: CurrentSettings,
    links: CurrentLinks,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="The same key and request again give the same imputation"),
    ] = None,
) -> ImputationAnswer:
    """Start an imputation in the background. Without `regions`, everything that the tracks cover is imputed."""
    asked = {"sample": sample, **new.model_dump()}
    sha256 = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if known := jobs.by_key(owner, idempotency_key, sha256):  # whatever became of the sample since
        response.headers["Location"] = links.imputation(known)["self"]
        return ImputationAnswer.of(known, links)
    model = models.get(new.model or "")
    found, tracks = stored.get(owner, sample)
    ready = {track.mark: track for track in tracks if track.status == "ready"}
    if not ready:
        raise NothingObserved("The sample has no track that is ready; upload one first.")
    used = [ready[mark] for mark in plan(model, list(ready), new.mask, new.targets).tracks]
    check_fit(model, found.assembly)
    settled = plan(model, list(ready), new.mask, new.targets, stored.open(used).unusable())
    row = ImputationJob(
        id="",
        owner=owner,
        sample_id=found.id,
        sample_name=found.name,
        idempotency_key=idempotency_key,
        request_sha256=sha256,
        request={
            "model": {"name": model.name, "version": model.manifest.version},
            "observed": settled.observed,
            "masked": settled.masked,
            "targets": settled.targets,
            "regions": new.regions,
            "parts": model.manifest.outputs,
        },
        bins_total=0,
    )

    def fill(folder: Path) -> None:
        inputs = _link_inputs(stored, used, folder)
        work = make_work(
            found.name,
            model,
            settings.models,
            inputs,
            settled,
            new.regions,
            new.score,
            settings.chunk_bins,
            contact=settings.contact_email,
        )
        row.bins_total = work.bins(model.manifest.bin_size_bp)
        Folder(folder).create(work)

    row, _ = jobs.create(row, fill, settings.max_jobs_per_owner)
    runner: Runner = request.app.state.runner
    runner.wake()
    response.headers["Location"] = links.imputation(row)["self"]
    return ImputationAnswer.of(row, links)


def _link_inputs(stored: Samples, tracks, folder: Path) -> dict[str, Input]:  # type: ignore[no-untyped-def]
    """Keep the tracks' binned forms for the imputation, whatever becomes of the sample."""
    inputs = {}
    for track in tracks:
        place = folder / INPUTS / track.mark
        stored.link(track, place)
        inputs[track.mark] = Input(path=str(place), file=track.file_name, sha256=track.sha256)
    return inputs


@router.get(
    "/imputations", operation_id="list_imputations", summary="List imputations", responses=problem_responses(BadPage)
)
def page(
    owner: Owner,
    jobs: Jobs,
    links: CurrentLinks,
    after: After,
    limit: Limit = 50,
    status: Status = None,
    sample: Annotated[str, Query(max_length=100, pattern=PLAIN, description="Only of the sample with this id")] = "",
    name: Name = "",
) -> ImputationPage:
    """List imputations, the newest first, some at a time."""
    rows, following = page_of(jobs.page(owner, limit + 1, after, status, sample or None, name), limit)
    return ImputationPage(imputations=[ImputationRow.of(row, links) for row in rows], next=following)


@router.get(
    "/samples/{sample}/imputations",
    operation_id="list_imputations_of_sample",
    summary="List a sample's imputations",
    responses=problem_responses(UnknownSample, BadPage),
)
def page_of_sample(
    sample: str,
    owner: Owner,
    stored: Stored,
    jobs: Jobs,
    links: CurrentLinks,
    after: After,
    limit: Limit = 50,
    status: Status = None,
) -> ImputationPage:
    """List the imputations of one sample, the newest first, some at a time."""
    found, _ = stored.get(owner, sample)
    rows, following = page_of(jobs.page(owner, limit + 1, after, status, found.id), limit)
    return ImputationPage(imputations=[ImputationRow.of(row, links) for row in rows], next=following)


@router.get(
    "/imputations/{imputation}",
    operation_id="get_imputation",
    summary="Show an imputation",
    responses=problem_responses(UnknownImputation),
)
def show(row: Existing, links: CurrentLinks) -> ImputationAnswer:
    """Show how far an imputation is, and where its result is."""
    return ImputationAnswer.of(row, links)


@router.get(
    "/imputations/{imputation}/events",
    operation_id="watch_imputation",
    summary="Watch an imputation",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Events called `state`; the data of each is the imputation as `get_imputation` answers it",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problem_responses(UnknownImputation),
    },
)
async def events(
    row: Existing, request: Request, owner: Owner, jobs: Jobs, links: CurrentLinks
) -> AsyncIterator[ServerSentEvent]:
    """Send the imputation's state as a server-sent event whenever it changes, until it has ended."""
    before = None
    while True:
        now = ImputationAnswer.of(row, links)
        if now != before:
            yield ServerSentEvent(data=now, event="state")
        before = now
        if now.status not in OPEN or request.app.state.leaving.is_set():
            return
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            row = await run_in_threadpool(jobs.get, owner, row.id)
        except UnknownImputation:  # deleted meanwhile
            return


@router.delete(
    "/imputations/{imputation}",
    operation_id="cancel_imputation",
    summary="Cancel an imputation, or delete one that has ended",
    status_code=202,
    response_model=ImputationAnswer,
    responses={204: {"description": "It had ended, and is deleted"}, **problem_responses(UnknownImputation, HasEnded)},
)
def cancel(
    row: Existing,
    request: Request,
    owner: Owner,
    stored: Stored,
    jobs: Jobs,
    links: CurrentLinks,
    only_cancel: Annotated[bool, Query(description="Answer 409 rather than delete one that has ended")] = False,
) -> Response:
    """Cancel an imputation that waits or runs (202); delete one that has ended, with its result (204).

    A sample that is `temporary` goes with the last of its imputations.
    """
    cancelled = jobs.cancel_or_delete(owner, row.id, only_cancel)
    runner: Runner = request.app.state.runner
    runner.wake()
    if cancelled is None:
        stored.leave(owner, row.sample_id)
        return Response(status_code=204)
    body = ImputationAnswer.of(cancelled, links).model_dump_json()
    return Response(body, status_code=202, media_type="application/json")
