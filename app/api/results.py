"""The files of an imputation's result."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from app.api.access import Owner
from app.api.described import BINARY, Kind, asks, file_responses
from app.api.links import is_signed, signature_of, signed_hub
from app.api.manifests import ResultManifest
from app.api.names import content_disposition, result_name
from app.api.routes import Route
from app.core.assays import canonical
from app.core.errors import LinkRefused, NotFinished, UnknownImputation, UnknownTrack
from app.jobs.publish import HUB, MANIFEST, PICTURE
from app.jobs.work import RESULT
from app.store.imputations import Imputations
from app.store.tables import ImputationJob

router = APIRouter(prefix="/v1", tags=["imputations"], route_class=Route)


async def _imputations(request: Request) -> Imputations:
    imputations: Imputations = request.app.state.jobs
    return imputations


Jobs = Annotated[Imputations, Depends(_imputations)]


def _existing(imputation: str, request: Request, owner: Owner, jobs: Jobs) -> ImputationJob:
    return jobs.find(imputation) if is_signed(request.scope) else jobs.get(owner, imputation)


Existing = Annotated[ImputationJob, Depends(_existing)]


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


def _serve(
    name: str, operation_id: str, kind: str, schema: dict[str, Any] | type[BaseModel], summary: str, description: str
) -> None:
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
    ResultManifest,
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
