"""Liveness and readiness; on the event loop itself, so that they answer while imputations run."""

from fastapi import APIRouter

from app.api.catalogue import Models
from app.api.schemas import Health, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def alive() -> Health:
    """Tell that the process answers."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it impute?")
async def ready(models: Models) -> Readiness:
    """Tell that models are loaded, and which."""
    return Readiness(status="ready", models=list(models.models))
