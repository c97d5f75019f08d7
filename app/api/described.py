"""What openapi.json says of the calls beside their fields: problems with an example each, headers, files."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from app.api.errors import MEDIA_TYPE, PROBLEMS, Problem
from app.api.formats import RESULT_HEADER
from app.core import errors

Kind = type[errors.EpifillError] | str
"""A core error, or the name of a kind of problem that HTTP itself has."""

_OWN: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "Bad Request"),
    "too-slow": (408, "The request came too slowly"),
    "content-too-large": (413, "Content Too Large"),
    "compressed-body": (415, "The body is compressed"),
    "invalid-request": (422, "The request is not valid"),
}

_EXAMPLES: Mapping[Kind, tuple[str, str | None]] = {
    "bad-request": ("The form cannot be read: missing boundary; send it as a browser or `curl -F` does.", None),
    "too-slow": ("The request came too slowly; send it again over a faster line.", None),
    "content-too-large": ("The request is larger than 4,294,967,296 bytes, the most that this service takes.", None),
    "compressed-body": ("The body is compressed (Content-Encoding: gzip), which is not taken.", "gzip"),
    "invalid-request": ("'target' is not known here; did you mean 'targets'?", "target"),
    errors.KeyRefused: ("This service needs an API key; send one as 'Authorization: Bearer epf_...'.", None),
    errors.LinkRefused: ("This link has expired; take a new one from the imputation's answer.", None),
    errors.UnknownModel: ("Model 'core7' is not installed; the installed one is epifill-core5.", "core7"),
    errors.UnknownSample: ("There is no such sample; GET /v1/samples lists yours.", None),
    errors.UnknownTrack: ("The sample has no such track; GET /v1/samples/{sample} lists those that it has.", None),
    errors.UnknownImputation: ("There is no such imputation; GET /v1/imputations lists yours.", None),
    errors.TrackNotReady: ("The track H3K4me3 is not ready: it is checking.", "H3K4me3"),
    errors.NotFinished: ("The imputation is running; it has a result when it is finished.", None),
    errors.HasEnded: ("The imputation has ended already; its result was kept.", None),
    errors.KeyReused: ("This Idempotency-Key came before with another request; send a new key with it.", None),
    errors.LimitReached: ("You have 1000 samples, the most that this service keeps; delete one first.", None),
    errors.RegionTooLarge: (
        "chr1 has 9,970,025 bins of 25 bp, but one answer holds at most 2,000,000; ask for it in parts.", "chr1"
    ),
    errors.BadRegion: ("'chr21:33750000' is not a region; write chr21:33,750,000-33,800,000.", "chr21:33750000"),
    errors.RegionTooShort: ("chrM has 663 bins, but the model needs 1,000; choose another chromosome.", "chrM"),
    errors.NoOverlap: ("The tracks cover no bin of chr2; choose a region that they cover.", "chr2"),
    errors.NoInterval: ("paper-core5 gives no interval; leave out `interval`, or choose another model.", "paper-core5"),
    errors.UnknownMark: ("'H3K27ax' is not a mark of paper-core5, which has H3K4me1, H3K4me3.", "H3K27ax"),
    errors.DuplicateMark: ("The mark H3K4me3 was given twice; give one file for each mark.", "H3K4me3"),
    errors.AmbiguousMark: ("'track1.bigWig' does not name its mark; give `marks`, one per file.", "track1.bigWig"),
    errors.NothingObserved: ("Every track is masked; leave one that the model may see.", None),
    errors.NothingToImpute: ("Every mark of the model has a track; mask one, or name it in `targets`.", None),
    errors.NotABigWig: ("'notes.txt' is not a bigWig file; convert it with bedGraphToBigWig.", "notes.txt"),
    errors.EmptyTrack: ("'a.bigWig' holds no value on a chromosome of hg19; give a track with data.", "a.bigWig"),
    errors.BadTrackValues: ("'a.bigWig' has values that no -log10 p-value can have.", "a.bigWig"),
    errors.AssemblyMismatch: ("'a.bigWig' is in assembly hg38, but the model works in hg19.", "a.bigWig"),
    errors.UnknownAssembly: ("Assembly 'mm10' is not known; the known ones are hg19, hg38.", "mm10"),
    errors.BadName: ("The file's name has control characters; give it a plain name.", None),
    errors.BadPage: (
        "The value of after names no place in this list; give what the answer before says as its next.",
        "after",
    ),
    errors.ChecksumMismatch: ("The bytes that arrived have the SHA-256 9f86..., not the stated '2c26...'.", "2c26..."),
    errors.Busy: ("The service imputes as much at once as it can; try again in some seconds.", None),
    errors.DiskFull: ("The service's disk is full, so nothing can be stored now; try again later.", None),
}  # fmt: skip

BODY: tuple[Kind, ...] = ("bad-request", "too-slow", "content-too-large", "compressed-body")
FILE: tuple[Kind, ...] = (
    errors.NotABigWig, errors.EmptyTrack, errors.BadTrackValues, errors.AssemblyMismatch, errors.UnknownAssembly,
    errors.UnknownMark, errors.AmbiguousMark, errors.BadName,
)  # fmt: skip
PLAN: tuple[Kind, ...] = (
    errors.UnknownModel, errors.UnknownMark, errors.DuplicateMark, errors.NothingObserved, errors.NothingToImpute,
    errors.AssemblyMismatch, errors.BadRegion, errors.RegionTooShort, errors.NoOverlap,
)  # fmt: skip
"""What may be wrong with any body, with a file, and with what is to be imputed from what."""

_HEADERS: Mapping[str, str] = {
    "Location": "Where it is to be had",
    "Content-Disposition": "The file's name (RFC 6266), and whether a browser shows or stores it",
    "ETag": "Changes with the content; give it as If-None-Match",
    "Last-Modified": "When it was uploaded",
    "Accept-Ranges": "bytes: parts of it can be asked for by Range",
    "Content-Range": "Which bytes these are, and of how many",
    RESULT_HEADER: "What was imputed from what, with scores and warnings: RegionAnswer without values, as JSON",
    "Retry-After": "Seconds to wait",
    "WWW-Authenticate": "Bearer",
}
_OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",)}

_ASKED: Mapping[str, tuple[str, str]] = {
    "Prefer": ("`respond-async`: answer 202 before the file is checked (RFC 7240)", "respond-async"),
    "Content-Digest": (
        "`sha-256=:BASE64:` of the body, or of a form's file; it is checked (RFC 9530)",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    ),
    "X-Checksum-SHA256": ("The same in hex", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    "Content-Disposition": ("The file's name (RFC 6266)", 'attachment; filename="E003-H3K4me3.bigWig"'),
    "Range": ("Which bytes (RFC 9110)", "bytes=0-1023"),
    "If-None-Match": ("An ETag: answer 304 where nothing has changed", '"9f86"'),
}

_TEXT = {"type": "string"}
BINARY: Mapping[str, str] = {"type": "string", "format": "binary"}


def problem_responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a call for problems that it may have, beside those of every call."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in (errors.KeyRefused, "invalid-request", *kinds):
        problem = example(kind)
        schema = {"$ref": "#/components/schemas/Problem"}
        content = {MEDIA_TYPE: {"schema": schema, "examples": {}}}
        described = {"description": HTTPStatus(problem.status).phrase, "content": content}
        if headers := _OF_STATUS.get(problem.status):
            described |= gives(*headers)
        own = found.setdefault(problem.status, described)["content"][MEDIA_TYPE]["examples"]
        own[problem.type.rpartition(":")[2]] = {
            "summary": problem.title,
            "value": problem.model_dump(exclude_none=True),
        }
    return found


def example(kind: Kind) -> Problem:
    """A problem document of that kind."""
    if isinstance(kind, str):
        (status, title), name = _OWN[kind], kind
    else:
        status, name, title = PROBLEMS[kind]
    detail, subject = _EXAMPLES[kind]
    return Problem(type=f"urn:epifill:problem:{name}", title=title, status=status, detail=detail, subject=subject)


def gives(*headers: str) -> dict[str, Any]:
    """The part of a response that describes its headers."""
    return {"headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in headers}}


def asks(*headers: str) -> dict[str, Any]:
    """The part of a call that describes request headers that are read by hand."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": _ASKED[name][0],
                "schema": {"type": "string", "examples": [_ASKED[name][1]]},
            }
            for name in headers
        ]
    }


def file_responses(
    media_type: str, schema: Mapping[str, Any] | type[BaseModel], *kinds: Kind
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a call that answers a file, whole or in part."""
    whole = {"content": {media_type: {"schema": dict(schema)}}} if isinstance(schema, Mapping) else {"model": schema}
    names = ("ETag", "Accept-Ranges", "Content-Disposition", "Last-Modified")
    return {
        200: {"description": "The file", **whole, **gives(*names)},
        206: {
            "description": "The asked range of bytes; for several ranges, as multipart/byteranges",
            "content": {media_type: {"schema": dict(BINARY)}, "multipart/byteranges": {"schema": dict(BINARY)}},
            **gives(*names, "Content-Range"),
        },
        304: {"description": "The file has not changed since the ETag in If-None-Match", **gives("ETag")},
        400: {"description": "The Range header cannot be read", "content": {"text/plain": {"schema": _TEXT}}},
        416: {
            "description": "The file has none of the asked bytes",
            "content": {"text/plain": {"schema": _TEXT}},
            **gives("Content-Range"),
        },
        **problem_responses(*kinds),
    }


ANSWER: dict[str, Any] = {
    "description": "The imputed tracks, in the `format` that was asked for",
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/RegionAnswer"}},
        "text/plain": {"schema": _TEXT, "example": "chr21\t33750000\t33750025\t0.31\n"},
        "application/octet-stream": {"schema": dict(BINARY)},
        "application/zip": {"schema": dict(BINARY)},
    },
    **gives(RESULT_HEADER, "Content-Disposition"),
}
"""Of the calls that impute a region."""
