"""The processes of an engine: `python -m app.jobs.process scheduler`, or `workers ADDRESS COUNT [RESOURCE=AMOUNT ...]`.

Started by a server, they end when it ends, however it ends.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping

import dask
from distributed import Nanny, Scheduler

_PR_SET_PDEATHSIG = 1

dask.config.set(
    {
        # A piece whose worker dies comes back at once, and whoever asked for it counts the tries; with one piece per
        # worker, it was that piece that the worker died of.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.comm.timeouts.connect": "10s",
        "distributed.logging": {"distributed": "error"},
    }
)


async def scheduler() -> None:
    """Run a scheduler on a free local port and print its address."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as running:
        print(running.address, flush=True)
        await running.finished()


async def workers(address: str, count: int, resources: Mapping[str, float]) -> None:
    """Run workers of one thread each, each started anew when it dies, until the scheduler ends."""
    nannies = [
        Nanny(address, nthreads=1, memory_limit=0, resources=dict(resources), dashboard=False, death_timeout=30)
        for _ in range(count)
    ]
    await asyncio.gather(*nannies)
    try:
        await asyncio.gather(*(nanny.finished() for nanny in nannies))
    finally:
        await asyncio.gather(*(nanny.close() for nanny in nannies), return_exceptions=True)


def read_resources(texts: Iterable[str]) -> dict[str, float]:
    """Read GPU=1 and the like; raises ValueError."""
    return {name: float(amount) for name, _, amount in (text.partition("=") for text in texts)}


def die_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


if __name__ == "__main__":
    die_with_parent()
    kind, *given = sys.argv[1:]
    if kind == "scheduler":
        asyncio.run(scheduler())
    else:
        address, count, *resources = given
        asyncio.run(workers(address, int(count), read_resources(resources)))
