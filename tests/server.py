"""The real service in a process of its own, for tests of sockets, disks and memory."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2


@dataclass
class Server:
    """A running service: its process, port, address and log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def resident_bytes(self) -> int:
        """Memory that the process holds now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def interruptible() -> None:
    """In a child, before it starts: take Ctrl-C, though a shell that runs the tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve(
    folder: Path,
    temporary: Path | None = None,
    within: Sequence[str] = (),
    python: Sequence[str] = (),
    host: str = "127.0.0.1",
    **settings: object,
) -> Iterator[Server]:
    """`epifill serve` with its data in `folder`, its temporary files in `temporary`; settings as EPIFILL_ variables.

    `within` is a command that the server's is given to, such as env or sh, and `python` the interpreter's options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".log")
    variables = {"EPIFILL_DATA": folder, **{f"EPIFILL_{name.upper()}": value for name, value in settings.items()}}
    if temporary:
        variables["TMPDIR"] = temporary
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    port = free_port()
    with log.open("wb") as file:
        command = [*within, sys.executable, *python, "-m", "app", "serve", "--host", host, "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    server = Server(process, port, log, host)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx2.get(f"{server.url}/readyz", trust_env=False).raise_for_status()
                break
            except httpx2.HTTPError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def until(condition, seconds: float = 20) -> bool:
    """Wait until something is true; False if it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
