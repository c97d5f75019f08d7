"""A connection to an Epifill server that may break off: requests, answers, and how long to go on trying."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from app.client.problems import Problem, sentence
from app.core.errors import EpifillError

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)

PATIENCE_S = 60.0
"""How long a connection may stay broken."""

_PAUSE_S = 0.5
_TIMEOUT = httpx2.Timeout(30, connect=10)
_RETRIED_STATUSES = {502, 503, 504}


class Unreachable(EpifillError):
    """No answer from the server, or one that stands for a server that is away."""


class Refused(EpifillError):
    """An answer that says no; `status` is its HTTP status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class BadServer(EpifillError):
    """An address or a key that no server can have."""


class Patience:
    """Waits between tries, and gives up when the connection has been broken for PATIENCE_S."""

    def __init__(self) -> None:
        self._broken: float | None = None

    def mended(self) -> None:
        """Note that something came through."""
        self._broken = None

    def broken(self, error: Unreachable) -> None:
        """Pause, or raise the error."""
        now = time.monotonic()
        self._broken = now if self._broken is None else self._broken
        if now - self._broken >= PATIENCE_S:
            raise error
        time.sleep(_PAUSE_S)


def persist(attempt: Callable[[], _T]) -> _T:
    """The result of `attempt`, called again while the server is away."""
    patience = Patience()
    while True:
        try:
            return attempt()
        except Unreachable as error:
            patience.broken(error)


class Connection:
    """To an Epifill server.

    Parameters
    ----------
    url
        Such as http://127.0.0.1:8000; a path in it goes before every call's.
    key
        API key; it goes into the requests' header and nowhere else.

    Raises
    ------
    BadServer
        The address or the key cannot be right. Every call raises Unreachable or Refused.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        key = (key or "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise BadServer("The API key has characters that no key has; it looks like epf_....")
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL:
            address = httpx2.URL()
        if address.scheme not in ("http", "https") or not address.host:
            raise BadServer(f"'{url}' is not the address of a server; write it like http://127.0.0.1:8000.")
        self.url = str(address.copy_with(userinfo=b"")).rstrip("/")
        self._path = address.path.rstrip("/")
        # A transfer encoding would make lengths and ranges those of other bytes than the file's.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._client = httpx2.Client(base_url=address, headers=headers, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, method: str, url: str, **options: Any) -> httpx2.Response:
        """A whole answer."""
        with self.stream(method, url, **options) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, method: str, url: str, **options: Any) -> Iterator[httpx2.Response]:
        """An answer whose body has yet to be read; raises Refused, and Unreachable while it is read, too."""
        try:
            with self._client.stream(method, url, **options) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                yield response
        except httpx2.RequestError:  # its text may hold what was sent
            raise self.unreachable() from None

    def unreachable(self) -> Unreachable:
        """The error of a server that is away."""
        return Unreachable(
            f"The server at {self.url} cannot be reached; check that it runs and that --server is right."
        )

    def _refusal(self, response: httpx2.Response) -> EpifillError:
        status = response.status_code
        try:
            said = sentence(Problem.model_validate_json(response.content))
        except ValidationError:
            said = f"The server at {self.url} answered {status} {response.reason_phrase}".rstrip() + "."
        return Unreachable(said) if status in _RETRIED_STATUSES else Refused(said, status)

    def read(self, kind: type[_Model], text: str | bytes) -> _Model:
        """What an answer says; raises Refused if it is no answer of this version."""
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            raise Refused(f"What answers at {self.url} is not this version of Epifill; check --server.") from None

    def own(self, link: str) -> str:
        """A link as this client's calls are written: without the path of the server's address.

        Raises
        ------
        Refused
            It leads to another server, which the key must not go to.
        """
        if not link.startswith("/") or link.startswith("//"):
            raise Refused(f"The server gave the link '{link}', which leads elsewhere; it is not followed.")
        return link.removeprefix(self._path) if link.startswith(f"{self._path}/") else link


def part(text: str) -> str:
    """One part of a path, whatever the user wrote; raises Refused for what no part can be."""
    if not text.strip("."):
        raise Refused(f"There is nothing called '{text}'; give an id that the server gave.")
    return quote(text, safe="")
