"""The processes of an engine of this machine, listening to this machine alone.

`python -m app.jobs.process scheduler PARENT`, or `workers PARENT ADDRESS COUNT [RESOURCE=AMOUNT ...]`: started by a
server, whose process id is PARENT, they end when it ends, however it ends.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping

import dask.config

from app.jobs import QUIET

if __name__ == "__main__":  # a server's own engine takes nothing of the settings that its user has for other clusters
    dask.config.refresh(paths=[], env=QUIET)

from distributed import Nanny, Scheduler

from app.core.errors import EngineLost

_PR_SET_PDEATHSIG = 1

# A piece whose worker dies comes back at once, and whoever asked for it counts the tries; with one piece per worker, it
# was that piece that the worker died of.
dask.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.scheduler.worker-saturation": 1.0})


async def scheduler() -> None:
    """Run a scheduler on a free local port and print its address."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as running:
        print(running.address, flush=True)
        await running.finished()


async def workers(address: str, count: int, resources: Mapping[str, float], host: str | None = None) -> None:
    """Run workers of one thread each, each started anew when it dies, until the scheduler ends or a signal comes.

    Parameters
    ----------
    host
        Address that the workers listen at; Dask lets whoever reaches it run code. Default: all of this machine's.

    Raises
    ------
    EngineLost
        There is no scheduler at the address.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    nannies = [
        Nanny(
            address,
            nthreads=1,
            memory_limit=0,
            resources=dict(resources),
            host=host,
            dashboard=False,
            dashboard_address=f"{host or ''}:0",
            death_timeout=30,
        )
        for _ in range(count)
    ]
    try:
        await asyncio.gather(*nannies)
    except (OSError, TimeoutError):
        raise EngineLost(f"There is no scheduler at {address}; start one with `dask scheduler`.") from None
    ended = [asyncio.ensure_future(nanny.finished()) for nanny in nannies]
    await asyncio.wait([*ended, asyncio.ensure_future(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies), return_exceptions=True)


def read_resources(texts: Iterable[str]) -> dict[str, float]:
    """Read GPU=1 and the like; raises ValueError."""
    return {name: float(amount) for name, _, amount in (text.partition("=") for text in texts)}


def die_with_parent(parent: int) -> None:
    """Be killed when the process that started this one, `parent`, ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


if __name__ == "__main__":
    kind, parent, *given = sys.argv[1:]
    die_with_parent(int(parent))
    try:
        if kind == "scheduler":
            asyncio.run(scheduler())
        else:
            address, count, *resources = given
            asyncio.run(workers(address, int(count), read_resources(resources), "127.0.0.1"))
    except Exception as error:
        sys.exit(f"Epifill's {kind} did not start: {type(error).__name__}.")
