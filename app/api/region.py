"""GET /v1/samples/{sample}/region: impute a region of a stored sample now."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from app.api.access import Owner, Stored
from app.api.answers import answer, asked_region, check_interval, several, turn
from app.api.catalogue import CurrentSettings, Models
from app.api.described import ANSWER, PLAN, problem_responses
from app.api.formats import Format
from app.api.routes import Route
from app.api.schemas import RegionAnswer
from app.api.tracks import BIN_SIZE_BP
from app.core.errors import (
    AssemblyMismatch,
    Busy,
    NoInterval,
    NothingObserved,
    RegionTooLarge,
    TrackNotReady,
    UnknownModel,
    UnknownSample,
)
from app.core.marks import plan
from app.core.model import Model

router = APIRouter(prefix="/v1/samples/{sample}", tags=["samples"], route_class=Route)

_NONE: list[str] = []


@router.get(
    "/region",
    operation_id="get_region",
    summary="Impute a region of a sample",
    response_model=RegionAnswer,
    response_class=Response,
    responses={
        200: ANSWER,
        **problem_responses(UnknownSample, *PLAN, NoInterval, TrackNotReady, RegionTooLarge, Busy),
    },
)
async def impute_region(
    sample: str,
    request: Request,
    owner: Owner,
    stored: Stored,
    models: Models,
    settings: CurrentSettings,
    region: Annotated[
        str, Query(description="chr21:33,750,000-33,800,000 (0-based, half-open). Default: all that the tracks cover")
    ] = "",
    mask: Annotated[list[str], Query(description="Marks to hide; they are imputed and scored")] = _NONE,
    targets: Annotated[list[str], Query(description="Marks to impute. Default: those missing or masked")] = _NONE,
    model: Annotated[str, Query(description="Name of a model. Default: the service's default model")] = "",
    format: Annotated[Format, Query(description="How the answer is written")] = Format.json,
    interval: Annotated[
        bool, Query(description="Write lower and upper bounds, too, if the model gives them; JSON has them always")
    ] = False,
) -> Response:
    """Impute missing or masked marks from the sample's tracks that are ready."""
    chosen = models.get(model)
    check_interval(interval, chosen)
    found, tracks = await run_in_threadpool(stored.get, owner, sample)
    ready = {track.mark: track for track in tracks if track.status == "ready"}
    if not ready:
        raise NothingObserved("The sample has no track that is ready; upload one first.")
    hidden, asked = several(mask), several(targets)
    known = plan(chosen, list(ready), hidden, asked).tracks
    check_fit(chosen, found.assembly)
    wanted = asked_region(region, chosen, settings.max_region_bins) if region else None
    async with turn(request):
        opened = await run_in_threadpool(stored.open, [ready[mark] for mark in known])
        settled = plan(chosen, list(ready), hidden, asked, opened.unusable())
        return await run_in_threadpool(
            answer, opened, chosen, settled, wanted, settings.max_region_bins, format, interval, found.name
        )


def check_fit(model: Model, assembly: str | None) -> None:
    """Raise UnknownModel or AssemblyMismatch if a model cannot work on a stored sample."""
    if model.manifest.bin_size_bp != BIN_SIZE_BP:
        raise UnknownModel(
            f"{model.name} works on {model.manifest.bin_size_bp}-bp bins, but stored samples have {BIN_SIZE_BP}-bp"
            " bins; impute its tracks without storing them.",
            model.name,
        )
    if assembly != model.assembly.name:
        raise AssemblyMismatch(
            f"The sample is in assembly {assembly}, but {model.name} works in {model.assembly.name};"
            " choose another model.",
            model.name,
        )
