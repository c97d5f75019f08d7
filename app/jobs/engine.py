"""Where pieces of work are done: Dask behind one small interface."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import dask.config
from distributed import Client, Future
from distributed.scheduler import KilledWorker

from app.core.errors import EngineLost
from app.jobs import QUIET

_ANSWER_SECONDS = 5

Task = Future[None]
"""A piece of work that was given to the engine."""


class State(Enum):
    """What became of a piece of work."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of work, and its error if it failed."""

    state: State
    error: BaseException | None = None


class Engine:
    """Does pieces of work on a cluster that exists, or on one of this machine that is started at first need.

    Parameters
    ----------
    address
        Of a Dask scheduler, such as tcp://scheduler:8786; empty: start a scheduler and workers here.
    workers
        How many to start here; 0 = one per core.
    resources
        What a worker must have, such as {"GPU": 1}.
    wait_seconds
        How long to wait at most for an engine that does not answer.
    """

    def __init__(
        self, address: str = "", workers: int = 0, resources: dict[str, float] | None = None, wait_seconds: float = 60
    ) -> None:
        self._wait_seconds = wait_seconds
        self._address = address
        self._workers = workers or len(os.sched_getaffinity(0))
        self._resources = resources or {}
        self._needs = tuple(self._resources.items())
        self._client: Client | None = None
        self._processes: list[subprocess.Popen[str]] = []

        if not address:
            # Of the server's process, too: it connects to the engine that it starts, as that is.
            dask.config.refresh(paths=[], env={})

    def width(self) -> int:
        """How many pieces can be done at once."""
        if not self._address:
            return self._workers
        client = self._connected()
        try:
            scheduler: Any = client.scheduler
            found = client.sync(scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
        except Exception as error:
            self.close()
            raise EngineLost(self._trouble()) from error
        fit = (w for w in found["workers"].values() if all(w["resources"].get(r, 0) >= n for r, n in self._needs))
        return max(1, sum(int(worker["nthreads"]) for worker in fit))

    def submit(self, piece: Callable[..., None], *given: Any) -> Task:
        """Have a piece of work done; raises EngineLost."""
        client = self._connected()
        try:
            return client.submit(piece, *given, pure=False, resources=self._resources or None)
        except Exception as error:
            self.close()
            raise EngineLost("The engine was lost; long imputations go on when it is back.") from error

    def when_done(self, task: Task, tell: Callable[[], None]) -> None:
        """Have a word when a piece of work has ended, however."""
        task.add_done_callback(lambda _: tell())

    def outcome(self, task: Task) -> Outcome:
        """What has become of a piece of work."""
        if self._client is None or not self.alive():
            return Outcome(State.LOST)
        if task.status == "pending":
            return Outcome(State.WAITING)
        if task.status == "finished":
            return Outcome(State.DONE)
        if task.status in ("cancelled", "lost"):
            return Outcome(State.LOST)
        error = task.exception(timeout=self._wait_seconds)
        return Outcome(State.KILLED if isinstance(error, KilledWorker) else State.FAILED, error)

    def drop(self, task: Task) -> None:
        """Forget a piece of work; one that is under way sees by itself that it is not wanted any more."""
        with suppress(Exception):  # the engine is gone, and the piece with it
            task.cancel(force=True)

    def end(self, tasks: Sequence[Task]) -> None:
        """End the workers that are at some pieces of work and would not stop by themselves; others take their place."""
        client, keys = self._client, {task.key for task in tasks}
        if client is None or not keys:
            return
        with suppress(Exception):  # the engine is gone, and the pieces with it
            scheduler: Any = client.scheduler
            at_work = client.sync(scheduler.processing, workers=None, callback_timeout=_ANSWER_SECONDS)
            busy = [worker for worker, held in at_work.items() if keys & set(held)]
            client.restart_workers(busy, timeout=_ANSWER_SECONDS, raise_for_error=False)

    def alive(self) -> bool:
        """Whether the engine is there and answers."""
        running = all(process.poll() is None for process in self._processes)
        return self._client is not None and running and self._client.status in ("running", "connecting")

    def close(self) -> None:
        """Let go of the cluster; end the one that was started here."""
        client, self._client = self._client, None
        if client:
            with suppress(Exception):  # it may be gone
                client.close(timeout=2)
        for process in reversed(self._processes):  # workers first
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        self._processes = []

    def _trouble(self) -> str:
        if self._address:
            return "The scheduler that long imputations are sent to does not answer; they wait until it does."
        return "The processes that do long imputations do not start on the server's machine; they are tried again."

    def _connected(self) -> Client:
        if self._client is not None and self.alive():
            return self._client
        self.close()
        try:
            address = self._address or self._start()
            wait = _ANSWER_SECONDS if self._address else self._wait_seconds  # it is asked again at the next turn
            self._client = Client(address, timeout=min(wait, self._wait_seconds), set_as_default=False)
        except (OSError, TimeoutError) as error:
            self.close()
            raise EngineLost(self._trouble()) from error
        return self._client

    def _start(self) -> str:
        """Start a scheduler and workers on this machine."""
        told = self._spawn("scheduler", subprocess.PIPE).stdout
        ready = told and select.select([told], [], [], self._wait_seconds)[0]
        address = told.readline().strip() if told and ready else ""
        if not address:
            raise OSError("the scheduler did not start")
        resources = (f"{name}={amount}" for name, amount in self._needs)
        self._spawn("workers", subprocess.DEVNULL, address, str(self._workers), *resources)
        return address

    def _spawn(self, kind: str, stdout: int, *given: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "app.jobs.process", kind, str(os.getpid()), *given]
        own = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
        environment = {**own, "PYTHONPATH": os.pathsep.join(sys.path), **QUIET}
        process = subprocess.Popen(command, stdout=stdout, text=True, env=environment)  # noqa: S603
        self._processes.append(process)
        return process
