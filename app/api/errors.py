"""Core errors as RFC 9457 problem documents: the one table, and the handlers that use it."""

import errno
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api.invalid import sentence
from app.core import errors
from app.store.files import DISK_FULL

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

MEDIA_TYPE = "application/problem+json"

_FRAMEWORKS_WORDS = "There was an error parsing the body"

PROBLEMS: dict[type[errors.EpifillError], tuple[int, str, str]] = {
    errors.BadRegion: (422, "bad-region", "The region cannot be used"),
    errors.RegionTooShort: (422, "region-too-short", "The chromosome is too short for the model"),
    errors.RegionTooLarge: (413, "region-too-large", "The region is too large for one answer"),
    errors.UnknownAssembly: (422, "unknown-assembly", "The assembly is not known"),
    errors.AssemblyMismatch: (422, "assembly-mismatch", "The track is in another assembly"),
    errors.NotABigWig: (422, "not-a-bigwig", "The file is not a readable bigWig"),
    errors.EmptyTrack: (422, "empty-track", "The track is empty"),
    errors.BadTrackValues: (422, "bad-track-values", "The track has values that cannot be used"),
    errors.UnknownMark: (422, "unknown-mark", "The model does not have this mark"),
    errors.DuplicateMark: (422, "duplicate-mark", "A mark was given twice"),
    errors.AmbiguousMark: (422, "ambiguous-mark", "The mark of a file is not known"),
    errors.NothingObserved: (422, "nothing-observed", "There is nothing to impute from"),
    errors.NothingToImpute: (422, "nothing-to-impute", "There is nothing to impute"),
    errors.NoInterval: (422, "no-interval", "The model gives no interval"),
    errors.NoOverlap: (422, "no-overlap", "The tracks do not cover the region"),
    errors.UnknownModel: (404, "unknown-model", "The model is not installed"),
    errors.BadName: (422, "bad-name", "The name cannot be used"),
    errors.BadPage: (422, "bad-page", "There is no such page of the list"),
    errors.UnknownSample: (404, "unknown-sample", "There is no such sample"),
    errors.UnknownTrack: (404, "unknown-track", "There is no such track"),
    errors.UnknownImputation: (404, "unknown-imputation", "There is no such imputation"),
    errors.NotFinished: (409, "not-finished", "The imputation has no result"),
    errors.ModelReplaced: (409, "model-replaced", "The model was replaced"),
    errors.HasEnded: (409, "has-ended", "The imputation has ended"),
    errors.EngineLost: (503, "engine-lost", "Long imputations cannot be worked on now"),
    errors.KeyReused: (409, "key-reused", "The Idempotency-Key was used before"),
    errors.TrackNotReady: (409, "track-not-ready", "The track is not ready"),
    errors.ChecksumMismatch: (422, "checksum-mismatch", "The bytes are not those that were sent"),
    errors.LimitReached: (413, "limit-reached", "A limit is reached"),
    errors.Busy: (429, "busy", "The service is busy"),
    errors.LinkRefused: (403, "link-refused", "The link does not open anything"),
    errors.KeyRefused: (401, "key-refused", "A valid API key is needed"),
    errors.DiskFull: (507, "disk-full", "The disk is full"),
    errors.WriteFailed: (507, "write-failed", "The result could not be written"),
}


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["urn:epifill:problem:unknown-mark"], description="Stable name of the kind of problem")
    title: str = Field(examples=["The model does not have this mark"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["'H3K27ax' is not a mark of paper-core5, which has H3K4me1, H3K4me3."])
    subject: str | None = Field(default=None, description="The file, mark, region or field that it is about")


class ProblemResponse(Response):
    """A problem document."""

    media_type = MEDIA_TYPE


def problem_of(error: errors.EpifillError) -> Problem:
    """The problem document of a core error."""
    status, kind, title = PROBLEMS[type(error)]
    return Problem(
        type=f"urn:epifill:problem:{kind}", title=title, status=status, detail=str(error), subject=error.subject
    )


def answer_to(error: errors.EpifillError) -> Response:
    """The answer to a core error."""
    headers = {429: {"Retry-After": "10"}, 401: {"WWW-Authenticate": "Bearer"}}
    document = problem_of(error)
    return _document(document, headers.get(document.status, {}))


def _document(problem: Problem, headers: Mapping[str, str]) -> Response:
    return ProblemResponse(orjson.dumps(problem.model_dump(exclude_none=True)), problem.status, headers)


def _answer(status: int, kind: str, title: str, detail: str, subject: str | None = None, **headers: str) -> Response:
    problem = Problem(type=f"urn:epifill:problem:{kind}", title=title, status=status, detail=detail, subject=subject)
    return _document(problem, headers)


def too_large_detail(max_bytes: int) -> str:
    """The sentence for a body over the limit."""
    return f"The request is larger than {max_bytes:,} bytes, the most that this service takes; send fewer files."


def body_too_large(max_bytes: int) -> Response:
    """The problem of a body over the limit."""
    return _answer(413, "content-too-large", "Content Too Large", too_large_detail(max_bytes))


def body_compressed(encoding: str) -> Response:
    """The problem of a body that was compressed on its way."""
    detail = f"The body is compressed (Content-Encoding: {encoding[:40]}), which is not taken; send it as it is."
    return _answer(415, "compressed-body", "The body is compressed", detail, encoding[:40])


def install_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""

    @app.exception_handler(errors.EpifillError)
    def known(_: Request, error: errors.EpifillError) -> Response:
        return answer_to(error)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        detail, field = sentence(error.errors()[0])
        return _answer(422, "invalid-request", "The request is not valid", detail, field)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_ROOM:
            return answer_to(errors.DiskFull(DISK_FULL))  # a form could not be spooled
        if error.status_code == 413:
            return _answer(413, "content-too-large", "Content Too Large", str(error.detail))
        if error.status_code == 408:
            return _answer(408, "too-slow", "The request came too slowly", str(error.detail), Connection="close")
        if error.detail == _FRAMEWORKS_WORDS:  # a body that even its parser gives up on, such as JSON nested too deeply
            error.detail = "The body cannot be read; send what /docs shows, text as UTF-8."
        phrase = HTTPStatus(error.status_code).phrase
        prefix = request.scope.get("app_root_path", request.scope.get("root_path", ""))
        path, headers = get_route_path({**request.scope, "root_path": prefix}), dict(error.headers or {})
        method = request.scope.get("asked_method", request.method)
        details = {
            404: f"There is nothing at {path}; see {prefix}/docs for what there is.",
            405: f"{path} does not answer {method}; see {prefix}/docs for what it does.",
        }
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request, prefix))
        detail = details.get(error.status_code, str(error.detail))
        kind = phrase.lower().replace(" ", "-")
        return _answer(error.status_code, kind, phrase, detail, **headers)

    @app.exception_handler(OperationalError)
    def database(request: Request, error: OperationalError) -> Response:
        if "disk is full" in str(error.orig) or "disk I/O error" in str(error.orig):
            return known(request, errors.DiskFull(DISK_FULL))
        raise error

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> Response:
        if error.errno in _NO_ROOM:
            return known(request, errors.DiskFull(DISK_FULL))
        raise error


def _allowed(request: Request, prefix: str) -> list[str]:
    """The methods that a path answers."""
    if request.scope["root_path"] != prefix:  # below a folder of files
        return ["GET", "HEAD"]
    routes = request.app.router.routes
    found = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ["GET", "HEAD", *found[1:]] if found[:1] == ["GET"] else found


def server_failed() -> Response:
    """The problem of a fault of the service itself."""
    detail = "The server failed; this is not your fault, and its log has the details."
    return _answer(500, "internal-error", "The server failed", detail)
