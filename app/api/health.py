"""Liveness and readiness."""

from fastapi import APIRouter

from app.api.catalogue import Models
from app.api.schemas import Health, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> Health:
    """Tell that the process answers."""
    return Health(status="ok")


@router.get("/readyz")
def ready(models: Models) -> Readiness:
    """Tell that models are loaded, and which."""
    return Readiness(status="ready", models=list(models.models))
