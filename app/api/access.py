"""Who calls: the owner that an API key stands for."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.core.errors import KeyRefused
from app.store.keys import Keys
from app.store.samples import Samples
from app.store.tables import LOCAL

_bearer = HTTPBearer(auto_error=False, description="An API key, epf_..., where the service asks for one")


async def _owner(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The owner whose key was sent; everybody is the same owner while keys are off."""
    if not request.app.state.settings.api_keys_required:
        return LOCAL
    if credentials is None:
        raise KeyRefused("This service needs an API key; send one as 'Authorization: Bearer epf_...'.")
    keys: Keys = request.app.state.keys
    return await run_in_threadpool(keys.owner_of, credentials.credentials)


async def _samples(request: Request) -> Samples:
    samples: Samples = request.app.state.samples
    return samples


Owner = Annotated[str, Depends(_owner)]
Stored = Annotated[Samples, Depends(_samples)]
