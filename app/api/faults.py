"""Faults of the service itself: told without secrets, paths or tracebacks, in answers and in the log."""

import logging
import traceback
from pathlib import Path

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import server_failed

log = logging.getLogger("epifill")

_PACKAGES = Path(__file__).parents[2]


class Faults:
    """The last to see an error: logs its kind and where it arose, and answers with a problem.

    The error's message is left out of the log, as it may hold what a client sent or where files lie.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            log.info("a client went away")
        except TimeoutError:
            log.info("a client took nothing for too long")
        except Exception as error:
            log.error("unexpected %s at %s", type(error).__name__, _where(error))
            if scope["type"] == "http" and not started:
                await server_failed()(scope, receive, send)


def _where(error: BaseException) -> str:
    """The places in our own code that an error came through, innermost last, as module:line."""
    places = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(_PACKAGES / "app"):
            places.append(f"{'.'.join(path.relative_to(_PACKAGES).with_suffix('').parts)}:{frame.lineno}")
    return " > ".join(places) or "a library"
