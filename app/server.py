"""uvicorn with an end to its patience: by itself it waits forever for a request's headers. It tells when it stops."""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_SIGNATURE = re.compile(r"(signature=)[^&\s]+")
_AT_ONCE = struct.pack("ii", 1, 0)


class Server(uvicorn.Server):
    """Tells that it was asked to stop, before it waits for the answers that are under way."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._leave = leave

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._leave()
        super().handle_exit(sig, frame)


class WithoutSignatures(logging.Filter):
    """Keeps from the access log what would open a result to whoever reads it: the signatures of signed links."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change an entry."""
        if isinstance(record.args, tuple):
            record.args = tuple(_SIGNATURE.sub(r"\1...", a) if isinstance(a, str) else a for a in record.args)
        return True


def patient_protocol(stall_seconds: float) -> type[H11Protocol]:
    """A protocol class that ends a connection whose next request has not come in time, up to its body.

    So it does with a client that does not take what it is answered.
    """

    class PatientProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:
                self._stop()
            elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
                self._wait()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stop()
            self._wait()

        def resume_writing(self) -> None:
            self._stop()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._timer = self.loop.call_later(stall_seconds, self._give_up)

        def _stop(self) -> None:
            if self._timer:
                self._timer.cancel()
            self._timer = None

        def _give_up(self) -> None:
            # close() would wait for a client that does not read, and the kernel would keep what it has not taken.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()

    return PatientProtocol
