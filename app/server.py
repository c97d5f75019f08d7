"""uvicorn's HTTP protocol, with an end to its patience: by itself it waits forever for a request's headers."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_protocol(stall_seconds: float) -> type[H11Protocol]:
    """A protocol class that closes a connection whose next request has not come whole, up to its body, in time."""

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
            if not self.transport.is_closing():
                self.transport.close()

    return PatientProtocol
