"""Liveness and readiness; on the event loop itself, so that they answer while imputations run."""

from fastapi import APIRouter, Request

from app.api.catalogue import Models
from app.api.schemas import EngineState, Health, Readiness
from app.jobs.runner import Runner

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="get_health", summary="Is the process alive?")
async def alive() -> Health:
    """Tell that the process answers."""
    return Health(status="ok")


@router.get("/readyz", operation_id="get_readiness", summary="Can it impute?")
async def ready(models: Models, request: Request) -> Readiness:
    """Tell that models are loaded, and which; and whether long imputations can be worked on."""
    runner: Runner = request.app.state.runner
    engine = EngineState(status="unavailable" if runner.trouble else "ready", reason=runner.trouble)
    return Readiness(status="ready", models=list(models.models), engine=engine)
