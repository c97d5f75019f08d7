"""What is done to every request and answer, whatever route it goes to: HEAD, a path prefix, compression, headers."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")

_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"

_COMPRESSED = ("application/json", "application/problem+json", "text/plain", "text/html")


class HeadAsGet:
    """Answer HEAD wherever GET is answered: the same head, and no body is sent nor made."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = False

        async def head_alone(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                await send(message)
                return
            if answered:
                raise ClientDisconnect  # ends a long body: nobody is there to take it
            answered = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def gone_once_answered() -> Message:
            return {"type": "http.disconnect"} if answered else await receive()

        await self._app({**scope, "method": "GET", "asked_method": "HEAD"}, gone_once_answered, head_alone)


class Prefix:
    """Show the service below a path, whether a proxy takes that off before it passes a request on, or not.

    Parameters
    ----------
    prefix
        The path; empty for none.
    trust_header
        Believe a proxy's `X-Forwarded-Prefix` instead, where there is one.
    """

    def __init__(self, app: ASGIApp, prefix: str, trust_header: bool) -> None:
        self._app = app
        self._prefix, self._trust_header = prefix, trust_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        prefix = self._prefix
        if scope["type"] == "http" and self._trust_header:
            told = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
            prefix = told if _PREFIX.fullmatch(told) else prefix
        if not prefix or scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def on_this_host(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if message["status"] in (307, 308):  # the proxy's host and scheme are not known here
                    headers["Location"] = urlsplit(headers["location"])._replace(scheme="", netloc="").geturl()
            await send(message)

        path = scope["path"]
        below = path if path == prefix or path.startswith(f"{prefix}/") else prefix + path
        await self._app({**scope, "root_path": prefix, "path": below}, receive, on_this_host)


class Compression:
    """gzip for JSON, text and the API's description; never for tracks, nor where byte ranges are answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(self._plain_where_needed, minimum_size=1000, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self._compressing(scope, receive, send)

    async def _plain_where_needed(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                kind = headers.get("content-type", "").partition(";")[0]
                # The ETag of a file is that of its bytes, and so are its ranges.
                if kind not in _COMPRESSED or "accept-ranges" in headers or "etag" in headers:
                    headers["Content-Encoding"] = "identity"
            await send(message)

        await self._app(scope, receive, marked)


class SecurityHeaders:
    """Tell browsers to run nothing but the service's own scripts, and to tell nobody where a link was followed from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                page = headers.get("content-type", "").startswith("text/html")
                headers.setdefault("Content-Security-Policy", _PAGE_POLICY if page else _DATA_POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "no-referrer")
                if headers.get("content-encoding") == "identity":  # said for `Compression` alone
                    del headers["content-encoding"]
            await send(message)

        await self._app(scope, receive, guarded)
