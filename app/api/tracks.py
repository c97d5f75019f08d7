"""Tracks of a sample: upload, inspect, read back, delete."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from email.utils import format_datetime
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import WithJsonSchema

from app.api.access import Owner, Stored
from app.api.catalogue import Catalogue, CurrentSettings, Models
from app.api.described import BINARY, BODY, FILE, asks, file_responses, gives, problem_responses
from app.api.errors import problem_of
from app.api.links import CurrentLinks, Links
from app.api.lists import TrackRow
from app.api.names import content_disposition, file_name_of, printable
from app.api.routes import Route
from app.api.schemas import TrackAnswer
from app.api.uploads import Received, check_digest, pieces_of, receive
from app.core.assays import canonical, mark_of_file
from app.core.errors import (
    Busy,
    ChecksumMismatch,
    DiskFull,
    EpifillError,
    LimitReached,
    TrackNotReady,
    UnknownSample,
    UnknownTrack,
)
from app.core.marks import check_mark
from app.settings import Settings
from app.store.files import ORIGINAL, DataFolder
from app.store.ingest import Limits, take_in
from app.store.samples import Samples
from app.store.tables import Track

router = APIRouter(prefix="/v1/samples/{sample}/tracks", tags=["samples"], route_class=Route)

BIN_SIZE_BP = 25
"""Bins of the stored form."""


def _spelled(mark: str, models: Models) -> str:
    return canonical(mark, models.marks) or mark


Mark = Annotated[str, Depends(_spelled)]
"""A mark in a path, in its standard spelling."""

_UPLOAD = {
    200: {"description": "Replaced the track that was there", "model": TrackAnswer, **gives("Location")},
    201: {"description": "The new track", **gives("Location")},
    202: {
        "description": "With `Prefer: respond-async`: poll the track until it is ready",
        "model": TrackAnswer,
        **gives("Location"),
    },
    **problem_responses(*BODY, *FILE, UnknownSample, TrackNotReady, LimitReached, ChecksumMismatch, Busy, DiskFull),
}
_MISSING = problem_responses(UnknownSample, UnknownTrack)
_CHECKED = ("Prefer", "Content-Digest", "X-Checksum-SHA256")


@router.put(
    "/{mark}",
    operation_id="upload_track",
    summary="Upload a track as the raw body",
    status_code=201,
    responses=_UPLOAD,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": BINARY}}},
        **asks(*_CHECKED, "Content-Disposition"),
    },
)
async def put(
    sample: str, mark: Mark, request: Request, response: Response, owner: Owner, stored: Stored, models: Models,
    settings: CurrentSettings, links: CurrentLinks,
    filename: Annotated[str, Query(max_length=1000, description="Its name; default: as Content-Disposition says")] = "",
) -> TrackAnswer:  # fmt: skip
    """Upload a bigWig of -log10 p-values, streamed; the answer has its quality and warnings.

    `Content-Digest` or `X-Checksum-SHA256` is checked where it is sent. A track of any common assay is kept; `warnings`
    says which models do not know it.
    """
    check_assay(mark, models)
    given = filename or file_name_of(request.headers.get("content-disposition", ""))
    name = printable(given or f"{mark}.bigWig")
    announced = int(request.headers.get("content-length") or 0)
    await run_in_threadpool(_check_room, stored, owner, sample, mark, announced, settings)
    upload = _Upload(request, stored, owner, sample, mark, name, settings)
    return _shown(await upload.take(request.stream(), response, links), links, models)


@router.post(
    "",
    operation_id="upload_track_form",
    summary="Upload a track from a form",
    status_code=201,
    responses=_UPLOAD,
    openapi_extra=asks(*_CHECKED),
)
async def post(
    sample: str, request: Request, response: Response, owner: Owner, stored: Stored, models: Models,
    settings: CurrentSettings, links: CurrentLinks,
    track: Annotated[
        UploadFile, File(description="A bigWig file of -log10 p-values"), WithJsonSchema(BINARY)
    ],
    mark: Annotated[str, Form(description="Its mark. Default: read from a name like E003-H3K4me3.bigWig")] = "",
) -> TrackAnswer:  # fmt: skip
    """Upload a bigWig from a browser or Swagger UI."""
    name = printable(track.filename or "the file")
    ask = "give it in the field 'mark'"
    mark = _spelled(mark.strip(), models) or mark_of_file(name, models.marks, ask)
    check_assay(mark, models)
    await run_in_threadpool(_check_room, stored, owner, sample, mark, track.size or 0, settings)
    upload = _Upload(request, stored, owner, sample, mark, name, settings)
    return _shown(await upload.take(pieces_of(track), response, links), links, models)


@router.get(
    "", operation_id="list_tracks", summary="List a sample's tracks", responses=problem_responses(UnknownSample)
)
def tracks(sample: str, owner: Owner, stored: Stored, links: CurrentLinks) -> list[TrackRow]:
    """List the tracks of a sample; each one's own address has its quality."""
    _, found = stored.get(owner, sample)
    return [TrackRow.of(track, links) for track in found]


@router.get(
    "/{mark}.bigWig",
    operation_id="download_track",
    summary="Read a track back as it was uploaded",
    response_class=FileResponse,
    responses=file_responses("application/octet-stream", BINARY, UnknownSample, UnknownTrack, TrackNotReady),
    openapi_extra=asks("Range", "If-None-Match"),
)
def download(sample: str, mark: Mark, request: Request, owner: Owner, stored: Stored) -> Response:
    """Answer the file's bytes; ranges are honoured, and the ETag is its SHA-256."""
    track = stored.track(owner, sample, mark)
    # The file itself may be older, if somebody else has stored the same bytes before.
    modified = format_datetime(track.created, usegmt=True)
    headers = {"ETag": f'"{track.sha256}"', "Cache-Control": "private, no-cache", "Last-Modified": modified}
    headers["Content-Disposition"] = content_disposition(track.file_name, "attachment")
    path = stored.original(track)
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise TrackNotReady(f"The track {mark} has just been replaced; ask again.", mark) from None
    kind = "application/octet-stream"
    return FileResponse(path, media_type=kind, headers=headers, stat_result=stat)


@router.get("/{mark}", operation_id="get_track", summary="Show a track", responses=_MISSING)
def show(sample: str, mark: Mark, owner: Owner, stored: Stored, links: CurrentLinks, models: Models) -> TrackAnswer:
    """Show a track's status, quality and warnings."""
    return _shown(stored.track(owner, sample, mark), links, models)


@router.delete("/{mark}", operation_id="delete_track", summary="Delete a track", status_code=204, responses=_MISSING)
def delete(sample: str, mark: Mark, owner: Owner, stored: Stored) -> None:
    """Delete a track and its file."""
    stored.delete_track(owner, sample, mark)


class _Upload:
    """One upload on its way from the request to a track."""

    def __init__(
        self, request: Request, stored: Samples, owner: str, sample: str, mark: str, name: str, settings: Settings
    ) -> None:
        self._request, self._stored, self._settings = request, stored, settings
        self._owner, self._sample, self._mark, self._name = owner, sample, mark, name
        self._data: DataFolder = request.app.state.data

    async def take(self, chunks: AsyncIterator[bytes], response: Response, links: Links) -> Track:
        """Receive, check and publish; answer at once where the caller prefers to poll."""
        later = "respond-async" in self._request.headers.get("prefer", "").lower()
        gate: asyncio.Semaphore = self._request.app.state.uploads
        if gate.locked():
            raise Busy("The service takes in as many uploads at once as it can; try again in some seconds.")
        folder = self._data.new_incoming()  # before the place is taken: on a full disk this fails
        await gate.acquire()
        try:
            received = await receive(chunks, folder)
            check_digest(self._request, received)
            sample = await run_in_threadpool(
                _check_room, self._stored, self._owner, self._sample, self._mark, received.bytes, self._settings
            )
            track_id, new = await run_in_threadpool(
                self._stored.begin, self._owner, self._sample, self._mark, self._name, received.sha256, received.bytes
            )
            work = self._check(track_id, received, sample.assembly, later)
        except BaseException:
            gate.release()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if later:
            tasks: set[asyncio.Task[None]] = self._request.app.state.tasks
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            response.status_code = 202
        else:
            await work
            response.status_code = 201 if new else 200
        track = await run_in_threadpool(self._stored.track, self._owner, self._sample, self._mark)
        response.headers["Location"] = links.track(track)["self"]
        return track

    async def _check(self, track_id: str, received: Received, assembly: str | None, later: bool) -> None:
        """Ingest, then publish or refuse."""
        limits = Limits(memory_bytes=self._settings.ingest_memory_bytes)
        try:
            gate: asyncio.Semaphore = self._request.app.state.ingests
            async with gate:
                taken = await take_in(
                    received.folder / ORIGINAL, received.folder, self._name, assembly, BIN_SIZE_BP, limits
                )
            await run_in_threadpool(
                self._stored.finish,
                track_id,
                received.folder,
                self._name,
                received.sha256,
                received.bytes,
                taken,
                self._settings.max_bytes_per_owner,
            )
        except EpifillError as error:
            problem = problem_of(error).model_dump(exclude_none=True)
            await run_in_threadpool(self._stored.refuse, track_id, problem, not later)
            if not later:
                raise
        except BaseException:
            problem = {"detail": "The service failed while it checked this file; upload it again."}
            await run_in_threadpool(self._stored.refuse, track_id, problem, not later)
            if not later:
                raise
        finally:
            self._request.app.state.uploads.release()
            shutil.rmtree(received.folder, ignore_errors=True)


def check_assay(mark: str, models: Catalogue) -> None:
    """Raise UnknownMark for what is neither a mark of an installed model nor another assay."""
    if mark not in models.marks and canonical(mark) is None:
        check_mark(mark, models.get(""))


def _shown(track: Track, links: Links, models: Catalogue) -> TrackAnswer:
    """A track's answer; its warnings name the models that do not know the mark."""
    answer = TrackAnswer.of(track, links)
    without = [name for name, model in models.models.items() if track.mark not in model.marks]
    if not without:
        return answer
    knows = "does not know" if len(without) == 1 else "do not know"
    says = f"{' and '.join(without)} {knows} {track.mark}; the track is kept, but set aside there."
    return answer.model_copy(update={"warnings": [*answer.warnings, says]})


def _check_room(stored: Samples, owner: str, sample: str, mark: str, more: int, settings: Settings):  # type: ignore[no-untyped-def]
    return stored.check_room(owner, sample, mark, more, settings.max_tracks_per_sample, settings.max_bytes_per_owner)
