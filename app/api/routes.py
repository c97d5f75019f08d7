"""The routes of the API: a request brings what its call knows, and nothing else.

A misspelt field that is ignored is a wrong answer without a word, as when `target=` leaves every mark imputed.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, get_origin

from fastapi import HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body, Form
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.api.forms import FormRequest
from app.api.invalid import nearest, repeated, unknown
from app.api.links import EXPIRES, SIGNATURE

SIGNED = frozenset({EXPIRES, SIGNATURE})
"""Query parameters of a signed link; any GET may be one."""

_UNREADABLE = "The body cannot be read; send what /docs shows, text as UTF-8."

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_Fields = dict[str, bool]
"""By a field's name, whether it may come more than once."""


class Route(APIRoute):
    """A route that refuses unknown query parameters and form fields, and those that come twice but have one value."""

    def get_route_handler(self) -> _Handler:
        """The handler, with its checks before it."""
        handle = super().get_route_handler()
        query = _fields(self.dependant, "query_params")
        body = _fields(self.dependant, "body_params")
        may_be_signed = "GET" in (self.methods or ())
        in_form = self.body_field is not None and isinstance(self.body_field.field_info, Form)
        members = _members(self)

        async def checked(request: Request) -> Response:
            request = FormRequest(request.scope, request.receive, request._send)
            sent = request.query_params.multi_items()
            _check("query", [item for item in sent if not (may_be_signed and item[0] in SIGNED)], query)
            if in_form:
                form = await request.form()
                try:
                    _check("body", form.multi_items(), body)
                except RequestValidationError:
                    await form.close()
                    raise
            try:
                return await handle(request)
            except HTTPException as error:
                if error.status_code == 400 and error.__cause__ is not None:
                    raise HTTPException(400, _UNREADABLE) from error.__cause__
                raise
            except RequestValidationError as error:
                raise _with_nearest(error, members) from None

        return checked


def _fields(dependant: Dependant, kind: str) -> _Fields:
    """The query parameters or form fields of a call and of what it depends on."""
    fields = {
        field.alias: get_origin(field.field_info.annotation) in (list, set, tuple) for field in getattr(dependant, kind)
    }
    for inner in dependant.dependencies:
        fields |= _fields(inner, kind)
    return fields


def _check(part: str, sent: Iterable[tuple[str, object]], known: _Fields) -> None:
    """Raise RequestValidationError for a field that is unknown, or came twice."""
    seen = set()
    for name, _ in sent:
        if name not in known:
            raise unknown(part, name, known)
        if name in seen and not known[name]:
            raise repeated(part, name)
        seen.add(name)


def _members(route: APIRoute) -> list[str]:
    """The fields of a JSON body."""
    info = route.body_field.field_info if route.body_field is not None else None
    kind = info.annotation if isinstance(info, Body) else None
    return sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _with_nearest(error: RequestValidationError, known: list[str]) -> RequestValidationError:
    """The same error; an unknown field of a JSON body gets the known one that is nearest."""
    found = [
        {**one, "ctx": {"nearest": nearest(str(one["loc"][-1]), known)}} if one["type"] == "extra_forbidden" else one
        for one in error.errors()
    ]
    return RequestValidationError(found, body=error.body)
