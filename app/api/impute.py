"""POST /v1/impute: bigWig tracks in, imputed tracks out, in one request."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BeforeValidator, WithJsonSchema

from app.api.access import Owner
from app.api.answers import answer, asked_region, check_interval, several, turn
from app.api.catalogue import CurrentSettings, Models
from app.api.described import ANSWER, BODY, FILE, PLAN, problem_responses
from app.api.formats import Format
from app.api.names import common_stem, printable
from app.api.routes import Route
from app.api.schemas import RegionAnswer
from app.api.uploads import incoming, pieces_of, receive, without_empty_slots
from app.core.assays import mark_of_file
from app.core.binned import BinnedTracks
from app.core.errors import AmbiguousMark, Busy, DiskFull, NoInterval, RegionTooLarge
from app.core.impute import read_around
from app.core.marks import plan, spell
from app.core.model import Model
from app.store.files import ORIGINAL
from app.store.ingest import Limits, take_in

router = APIRouter(prefix="/v1", tags=["impute"], route_class=Route)

_NONE: list[str] = []


@router.post(
    "/impute",
    operation_id="impute",
    summary="Impute the missing marks of a sample",
    response_model=RegionAnswer,
    response_class=Response,
    responses={
        200: ANSWER,
        **problem_responses(*BODY, *FILE, *PLAN, NoInterval, RegionTooLarge, Busy, DiskFull),
    },
)
async def impute_tracks(
    request: Request,
    _: Owner,
    models: Models,
    settings: CurrentSettings,
    tracks: Annotated[
        list[UploadFile],
        File(description="bigWig files of one sample, -log10 p-value, one per mark", min_length=1),
        BeforeValidator(without_empty_slots),
        WithJsonSchema({"type": "array", "items": {"type": "string", "format": "binary"}}),  # a file chooser in /docs
    ],
    marks: Annotated[
        list[str],
        Form(
            description="The files' marks, in their order. Default: read from names like E003-H3K4me3.bigWig."
            " A file of an assay that the model does not know is set aside, with a warning"
        ),
    ] = _NONE,
    mask: Annotated[
        list[str],
        Form(description="Marks to hide though a file is there: they are imputed from the others and scored"),
    ] = _NONE,
    targets: Annotated[
        list[str],
        Form(description="Marks to impute. Default: every mark of the model that has no file or is masked"),
    ] = _NONE,
    region: Annotated[
        str,
        Form(
            description="chr21 or chr21:33,750,000-33,800,000 (0-based, half-open). Default: all that the files cover",
            examples=["chr21:33,750,000-33,800,000"],
        ),
    ] = "",
    model: Annotated[
        str, Form(description="Name of a model. Default: the service's default model", examples=[""])
    ] = "",
    format: Annotated[Format, Form(description="How the answer is written")] = Format.json,
    interval: Annotated[
        bool, Form(description="Write lower and upper bounds, too, if the model gives them; JSON has them always")
    ] = False,
) -> Response:
    """Impute the missing marks of a sample over a region.

    Several tracks as bigWig come as a zip. Masked marks come back with scores against their files: in the JSON, and
    for every format in the header `Epifill-Result`.
    """
    chosen = models.get(model)
    files = [printable(track.filename or "the file") for track in tracks]
    names = _marks(files, several(marks), chosen)
    stem = common_stem(files, names)
    check_interval(interval, chosen)
    hidden, asked = several(mask), several(targets)
    known = plan(chosen, names, hidden, asked).tracks  # before anything is read
    wanted = asked_region(region, chosen, settings.max_region_bins) if region else None
    limits = Limits(memory_bytes=settings.ingest_memory_bytes)
    with ExitStack() as stack:
        folders = {}
        for track, file, mark in zip(tracks, files, names, strict=True):
            if mark not in known:
                continue
            folder = folders[mark] = stack.enter_context(incoming(request.app.state.data))
            await receive(pieces_of(track), folder)
            around = read_around(wanted, chosen) if wanted else []
            size = chosen.manifest.bin_size_bp
            async with request.app.state.ingests:
                await take_in(folder / ORIGINAL, folder, file, chosen.assembly.name, size, limits, around)
        async with turn(request):
            ingested = BinnedTracks(folders)
            settled = plan(chosen, names, hidden, asked, ingested.unusable())
            return await run_in_threadpool(
                answer, ingested, chosen, settled, wanted, settings.max_region_bins, format, interval, stem
            )


def _marks(files: Sequence[str], marks: Sequence[str], model: Model) -> list[str]:
    """The mark of every file: as given, or else from the files' names."""
    if not marks:
        ask = "give the marks of all files, in the order of the files, in the field 'marks'"
        return [mark_of_file(file, model.marks, ask) for file in files]
    if len(marks) != len(files):
        raise AmbiguousMark(
            f"There are {len(files)} files but {len(marks)} marks; give one per file, in their order, in the field"
            " 'marks', or none."
        )
    return [spell(mark, model) for mark in marks]
