"""Long imputations: start, watch, cancel, fetch the result."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.access import Owner, Stored
from app.api.catalogue import CurrentSettings, Models
from app.api.described import BINARY, BODY, PLAN, Kind, asks, file_responses, gives, problem_responses
from app.api.links import CurrentLinks, is_signed, signature_of, signed_hub
from app.api.lists import PLAIN, After, ImputationPage, ImputationRow, Limit, Name, Status, page_of
from app.api.names import content_disposition, result_name
from app.api.region import check_fit
from app.api.routes import Route
from app.api.schemas import ImputationAnswer, NewImputation
from app.core.assays import canonical
from app.core.errors import (
    BadPage,
    DiskFull,
    HasEnded,
    KeyReused,
    LimitReached,
    LinkRefused,
    NotFinished,
    NothingObserved,
    TrackNotReady,
    UnknownImputation,
    UnknownSample,
    UnknownTrack,
)
from app.core.marks import plan
from app.jobs.publish import HUB, MANIFEST, PICTURE
from app.jobs.runner import Runner
from app.jobs.work import INPUTS, RESULT, Folder, Input, make_work
from app.store.imputations import OPEN, Imputations
from app.store.samples import Samples
from app.store.tables import ImputationJob

router = APIRouter(prefix="/v1", tags=["imputations"], route_class=Route)

_LOOK_SECONDS = 0.5


async def _imputations(request: Request) -> Imputations:
    imputations: Imputations = request.app.state.jobs
    return imputations


Jobs = Annotated[Imputations, Depends(_imputations)]


def _existing(imputation: str, request: Request, owner: Owner, jobs: Jobs) -> ImputationJob:
    return jobs.find(imputation) if is_signed(request.scope) else jobs.get(owner, imputation)


Existing = Annotated[ImputationJob, Depends(_existing)]


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


_NO_FILE: tuple[Kind, ...] = (UnknownImputation, UnknownTrack, NotFinished, LinkRefused)


@router.get(
    "/imputations/{imputation}/tracks/{track}.bigWig",
    operation_id="download_result",
    summary="Get an imputed track",
    response_class=FileResponse,
    responses=file_responses("application/octet-stream", BINARY, *_NO_FILE),
    openapi_extra=asks("Range", "If-None-Match"),
)
def result_track(track: str, row: Existing, request: Request, jobs: Jobs) -> Response:
    """Answer an imputed track, `H3K4me3.bigWig`, or its bounds, `H3K4me3.lower.bigWig` and `H3K4me3.upper.bigWig`."""
    targets = row.request["targets"]
    bounds = [part for part in row.request["parts"] if part != "imputed"]
    part = next((part for part in bounds if track.lower().endswith(f".{part}")), "")
    mark = canonical(track[: -len(part) - 1] if part else track, targets)
    if mark not in targets:
        names = ", ".join(targets)
        raise UnknownTrack(f"The imputation has no track '{track[:80]}'; its targets are {names}.", track[:80])
    name = f"{mark}.{part or 'imputed'}.bigWig"
    shown = content_disposition(result_name(row.sample_name, name), "attachment")
    return _file(row, jobs, request, name, "application/octet-stream", shown)


def _serve(name: str, operation_id: str, kind: str, schema: dict[str, Any], summary: str, description: str) -> None:
    """Add the route of a file that stands beside the tracks."""

    def answer(row: Existing, request: Request, jobs: Jobs) -> Response:
        shown = content_disposition(result_name(row.sample_name, name), "inline")
        return _file(row, jobs, request, name, kind, shown)

    path = f"/imputations/{{imputation}}/{name}"
    router.get(
        path,
        operation_id=operation_id,
        summary=summary,
        description=description,
        response_class=FileResponse,
        responses=file_responses(kind, schema, *_NO_FILE),
        openapi_extra=asks("Range", "If-None-Match"),
    )(answer)


_serve(
    MANIFEST,
    "get_manifest",
    "application/json",
    {"type": "object", "additionalProperties": True},
    "Where the result comes from",
    "Answer the manifest: every input's, model's and output's hash, parameters and versions.",
)
_serve(
    HUB,
    "get_hub",
    "text/plain",
    {"type": "string"},
    "A UCSC track hub of the result",
    "Answer a single-file track hub: give this address to the UCSC Genome Browser.",
)
_serve(
    PICTURE,
    "get_scores_picture",
    "image/png",
    dict(BINARY),
    "How well each observed mark was imputed, as a picture",
    "Answer a picture of the accuracy on the sample's own marks, hidden in turn.",
)


def _file(row: ImputationJob, jobs: Imputations, request: Request, name: str, kind: str, shown: str) -> Response:
    """A file of the result, with ranges and an ETag; raises NotFinished or UnknownTrack."""
    if row.status != "finished":
        raise NotFinished(f"The imputation is {row.status}; it has a result when it is finished.")
    path = jobs.folder(row) / RESULT / name
    signed = signature_of(request.query_params) if is_signed(request.scope) and name == HUB else ""
    # A result never changes, so its row and name say as much as a hash; and how it was signed, where a hub repeats it.
    state = hashlib.sha256(signed.encode()).hexdigest()[:8] if signed else row.id
    headers = {"ETag": f'"{state}-{name}"', "Cache-Control": "private, no-cache", "Content-Disposition": shown}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise UnknownTrack(f"The result has no {name}.", name) from None
    if signed:
        return Response(signed_hub(path.read_text(), signed), media_type=kind, headers=headers)
    return FileResponse(path, media_type=kind, headers=headers, stat_result=stat)
