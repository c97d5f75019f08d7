"""GET /v1/models: what can be imputed, from what, how well."""

from fastapi import APIRouter

from app.api.access import Owner
from app.api.catalogue import Models
from app.api.described import problem_responses
from app.api.routes import Route
from app.api.schemas import ModelDetail, ModelSummary
from app.core.errors import UnknownModel

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=Route)


@router.get("", operation_id="list_models", summary="List the models", responses=problem_responses())
def list_models(_: Owner, models: Models) -> list[ModelSummary]:
    """List the installed models."""
    return [ModelSummary.of(model, models.default) for model in models.models.values()]


@router.get("/{model}", operation_id="get_model", summary="Show one model", responses=problem_responses(UnknownModel))
def show_model(model: str, _: Owner, models: Models) -> ModelDetail:
    """Show one model: its marks, what it was trained on, and its measured accuracy."""
    return ModelDetail.of(models.get(model), models.default)
