"""Limits on what a request may bring, and how slowly.

FastAPI's own body limit answers in plain text, not with a problem.
"""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import body_compressed, body_too_large, too_large_detail


class BodyLimit:
    """Refuse a body that is compressed, or has more than `max_bytes`: by its Content-Length, else while it is read.

    Only uploads may be that large; other bodies are held in memory whole and stay below SMALL.
    """

    SMALL = 65_536

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":  # a bigWig is compressed already, and what unpacks to far more could not be refused
            await body_compressed(encoding)(scope, receive, send)
            return
        upload = scope["method"] == "PUT" or headers.get("content-type", "").startswith("multipart/form-data")
        most = self._max_bytes if upload else self.SMALL
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            await body_too_large(most)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, too_large_detail(most))
            return message

        await self._app(scope, counted, send)


class Patience:
    """Cut off a client that stalls: that sends under SLOWEST bytes, or takes nothing, within `stall_seconds`."""

    SLOWEST = 10_000

    def __init__(self, app: ASGIApp, stall_seconds: float) -> None:
        self._app = app
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with clocks on both its ways."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        patience, seen, complete = self._stall_seconds, 0, False

        async def patient_receive() -> Message:
            nonlocal patience, seen, complete
            if complete:  # what comes now is only the news that the client has gone
                return await receive()
            began = time.monotonic()
            try:
                async with asyncio.timeout(patience):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The request came too slowly; send it again over a faster line.") from None
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            patience = max(0.0, patience - (time.monotonic() - began))
            if seen >= self.SLOWEST:
                patience, seen = self._stall_seconds, 0
            return message

        async def patient_send(message: Message) -> None:
            async with asyncio.timeout(self._stall_seconds):
                await send(message)

        await self._app(scope, patient_receive, patient_send)
