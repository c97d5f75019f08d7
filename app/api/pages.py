"""The page and Swagger UI, from the service's own files: no request leaves the machine."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

WEB = Path(__file__).parents[1] / "web"

_ASK_AGAIN, _KEEP = "no-cache", "public, max-age=604800"
"""For files that change with the service: a browser asks each time whether they have; third-party ones it keeps."""

router = APIRouter(include_in_schema=False)


class OwnFiles(StaticFiles):
    """Static files, with a word on how long a browser may keep them."""

    def file_response(self, full_path: Any, *args: Any, **options: Any) -> Response:
        """Answer a file."""
        response = super().file_response(full_path, *args, **options)
        vendor = Path(full_path).is_relative_to(WEB / "vendor")
        response.headers["Cache-Control"] = _KEEP if vendor else _ASK_AGAIN
        return response


@router.get("/")
def page() -> FileResponse:
    """The page on which a sample's files can be chosen and imputed."""
    return FileResponse(WEB / "index.html", headers={"Cache-Control": _ASK_AGAIN})


@router.get("/docs")
def docs() -> FileResponse:
    """Swagger UI."""
    return FileResponse(WEB / "docs.html", headers={"Cache-Control": _ASK_AGAIN})
