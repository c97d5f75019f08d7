"""Who calls: the owner that an API key stands for."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette._utils import get_route_path
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import answer_to
from app.api.links import SIGNATURE, Signer, is_signed
from app.core.errors import KeyRefused, LinkRefused
from app.store.keys import Keys
from app.store.samples import Samples
from app.store.tables import LOCAL

SIGNED = ""
"""Owner of nothing: a request that a signed link let in may read that imputation's result alone."""

NO_KEY = "This service needs an API key; send one as 'Authorization: Bearer epf_...'."

_bearer = HTTPBearer(auto_error=False, description="An API key, epf_..., where the service asks for one")


async def _owner(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The owner whose key was sent; everybody is the same owner while keys are off."""
    if not request.app.state.settings.api_keys_required:
        return LOCAL
    if is_signed(request.scope):
        return SIGNED
    if credentials is None:
        raise KeyRefused(NO_KEY)
    keys: Keys = request.app.state.keys
    return await run_in_threadpool(keys.owner_of, credentials.credentials)


class Gate:
    """Ask for a key, or a signed link, before anything of a request's body is read."""

    def __init__(self, app: ASGIApp, keys: Keys, signer: Signer) -> None:
        self._app = app
        self._keys, self._signer = keys, signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with a good key; answer 401 to another."""
        if scope["type"] == "http" and get_route_path(scope).startswith("/v1/"):
            try:
                scope = {**scope, "signed": await self._let_in(scope)}
            except (KeyRefused, LinkRefused) as error:
                await answer_to(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope) -> bool:
        """Whether it was a signed link that opened, and not a key; raises KeyRefused or LinkRefused."""
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        query = QueryParams(scope["query_string"])
        if not kind and SIGNATURE in query and scope["method"] == "GET":
            self._signer.check(get_route_path(scope), query)
            return True
        if kind.lower() != "bearer":
            raise KeyRefused(NO_KEY)
        await run_in_threadpool(self._keys.owner_of, key.strip())
        return False


async def _samples(request: Request) -> Samples:
    samples: Samples = request.app.state.samples
    return samples


Owner = Annotated[str, Depends(_owner)]
Stored = Annotated[Samples, Depends(_samples)]
