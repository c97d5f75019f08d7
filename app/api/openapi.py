"""openapi.json: what FastAPI tells of the routes, made whole for people and for generated clients."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.errors import Problem
from app.settings import Settings

_TAGS = {
    "impute": "One request: bigWig tracks in, the missing marks of a region out. The first thing to try.",
    "samples": "Samples that last: upload their tracks once, look at their quality, and ask for regions many times.",
    "imputations": "Long imputations, a whole genome if need be: they run in the background, survive crashes, and give"
    " bigWigs, a track hub, and scores on your own marks.",
    "models": "What can be imputed, from what, and how well.",
    "health": "For whoever runs the service.",
}
_LICENCE = {"name": "MIT", "identifier": "MIT"}


def describe(app: FastAPI, settings: Settings) -> None:
    """Have an app describe itself."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    # Below a prefix that a proxy tells, FastAPI adds the address with it; another one would be wrong there.
    servers = [] if settings.trust_forwarded_prefix else [{"url": settings.root_path or "/"}]
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="Fills in the missing marks of an epigenome",
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        servers=servers,
        license_info=_LICENCE,
    )
    parts = document["components"]
    parts["schemas"]["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):  # what FastAPI would answer
        parts["schemas"].pop(unused, None)
    needed: list[dict[str, list[str]]] = [{"HTTPBearer": []}]
    for operations in document["paths"].values():
        for operation in operations.values():
            if "security" in operation:
                operation["security"] = needed if settings.api_keys_required else [{}, *needed]
    return document
