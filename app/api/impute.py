"""POST /v1/impute: bigWig tracks in, imputed tracks out, in one request."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import Response
from pydantic import WithJsonSchema

from app.api.catalogue import CurrentSettings, Models
from app.api.errors import problem_responses
from app.api.formats import Format, respond
from app.api.schemas import RegionAnswer
from app.core.bigwig.read import TrackFile, Tracks
from app.core.errors import AmbiguousMark, BadRegion, RegionTooLarge, WriteFailed
from app.core.impute import impute
from app.core.marks import mark_of_file, plan
from app.core.model import Model
from app.core.regions import Region, parse_region

router = APIRouter(prefix="/v1", tags=["impute"])

_PIECE_BINS = 4096
"""Grid on which the ends of what the tracks cover are looked for."""

_NONE: list[str] = []

_ANSWERS: dict[str, Any] = {
    "application/json": {},
    "text/plain": {"schema": {"type": "string"}, "example": "chr21\t33750000\t33750025\t0.31\n"},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "application/zip": {"schema": {"type": "string", "format": "binary"}},
}


@router.post(
    "/impute",
    summary="Impute the missing marks of a sample",
    response_model=RegionAnswer,
    response_class=Response,
    responses={
        200: {"description": "The imputed tracks", "content": _ANSWERS},
        **problem_responses(404, 413, 422, 507),
    },
)
def impute_tracks(
    models: Models,
    settings: CurrentSettings,
    tracks: Annotated[
        list[UploadFile],
        File(description="bigWig files of one sample, -log10 p-value, one per mark"),
        WithJsonSchema({"type": "array", "items": {"type": "string", "format": "binary"}}),  # a file chooser in /docs
    ],
    marks: Annotated[
        list[str],
        Form(description="The files' marks, in their order. Default: read from names like E003-H3K4me3.bigWig"),
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
) -> Response:
    """Impute the missing marks of a sample over a region.

    Several targets as bigWig come as a zip. Masked marks come back with scores against their files: in the JSON, and
    for every format in the header `Epifill-Result`.
    """
    chosen = models.get(model)
    names = _marks(tracks, _several(marks), chosen)
    settled = plan(chosen, names, _several(mask), _several(targets))
    with (
        _on_disk(tracks, names) as files,
        Tracks(files, chosen.assembly, chosen.manifest.bin_size_bp) as opened,
    ):
        wanted = _region(region, opened, chosen, settings.max_region_bins)
        imputation = impute(opened.read, chosen, settled, wanted)
        covered = imputation.trim()
        return respond(chosen, settled, imputation if region else covered, format)


def _several(values: Sequence[str]) -> list[str]:
    """A list field of a form; a browser may send `a,b` for two values, and an empty string for none."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _marks(tracks: Sequence[UploadFile], marks: Sequence[str], model: Model) -> list[str]:
    """The mark of every file: as given, or else from the files' names."""
    if not marks:
        return [mark_of_file(track.filename or "the file", model) for track in tracks]
    if len(marks) != len(tracks):
        raise AmbiguousMark(
            f"There are {len(tracks)} files but {len(marks)} marks; give one mark per file, in their order, or none."
        )
    return list(marks)


@contextmanager
def _on_disk(tracks: Sequence[UploadFile], marks: Sequence[str]) -> Iterator[dict[str, TrackFile]]:
    """The uploaded files in a temporary folder, under names of our own, by mark."""
    with tempfile.TemporaryDirectory(prefix="epifill-") as folder:
        files = {}
        for number, (track, mark) in enumerate(zip(tracks, marks, strict=True)):
            path = Path(folder, f"{number}.bigWig")
            try:
                with path.open("wb") as file:
                    shutil.copyfileobj(track.file, file, 1 << 20)
            except OSError as error:
                raise WriteFailed(f"The upload could not be stored ({error.strerror}); try again later.") from None
            files[mark] = TrackFile(path, track.filename or mark)
        yield files


def _region(text: str, tracks: Tracks, model: Model, max_bins: int) -> Region:
    """The region that was asked for, in whole bins, or else all that the tracks cover."""
    size, assembly = model.manifest.bin_size_bp, model.assembly
    region = parse_region(text, assembly) if text else _covered_region(tracks, size)
    region = region.snap(size, assembly.length(region.chrom))
    if region.n_bins(size) > max_bins:
        raise RegionTooLarge(
            f"{region} has {region.n_bins(size):,} bins of {size} bp, but one answer holds at most {max_bins:,};"
            " ask for it in parts, or use `epifill impute` on the command line, which has no limit.",
            str(region),
        )
    return region


def _covered_region(tracks: Tracks, bin_size_bp: int) -> Region:
    """From the first covered bin to the last; raises BadRegion if they lie on several chromosomes."""
    pieces = list(tracks.covered_regions(_PIECE_BINS * bin_size_bp))
    chromosomes = list(dict.fromkeys(piece.chrom for piece in pieces))
    if len(chromosomes) != 1:
        raise BadRegion(
            f"The tracks cover {len(chromosomes)} chromosomes; name one region, such as {chromosomes[0]},"
            " or use `epifill impute` on the command line, which takes them all."
        )
    first, last = (np.flatnonzero(tracks.read(piece).covered()) for piece in (pieces[0], pieces[-1]))
    start = pieces[0].start + int(first[0]) * bin_size_bp if len(first) else pieces[0].start
    end = pieces[-1].start + (int(last[-1]) + 1) * bin_size_bp if len(last) else pieces[-1].end
    return Region(chromosomes[0], start, min(end, pieces[-1].end))
