"""Commands against a server: a run of one, and a scripted service, whose connections break at a given point."""

import fcntl
import hashlib
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.cli import main
from app.client import connection
from tests.server import interruptible

KEY = "epf_0123456789_secret"
BYTES = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BYTES).hexdigest()

DRAWN = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
"""For a process that draws its bars as it goes, as on a terminal."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`epifill ...` in this process: its exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("EPIFILL_SERVER", raising=False)
    monkeypatch.delenv("EPIFILL_API_KEY", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["epifill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def refused(result: tuple[int, str, str]) -> str:
    """One line on standard error, exit status 2."""
    status, _, errors = result
    assert status == 2, result
    assert len(errors.strip().splitlines()) == 1, errors
    return errors.strip()


def last_line(result: tuple[int, str, str]) -> str:
    """What is said after the progress bar; exit status 2."""
    assert result[0] == 2, result
    return result[2].strip().splitlines()[-1]


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python module that runs until the block ends."""
    command = [sys.executable, "-m", *arguments]
    pipe, own = subprocess.PIPE, {**os.environ, **environment}
    with subprocess.Popen(command, env=own, stdout=pipe, stderr=pipe, text=True, preexec_fn=interruptible) as running:
        try:
            yield running
        finally:
            running.kill()


def on_terminal(*arguments: str, columns: int = 80) -> str:
    """What `epifill ...` writes on a terminal of so many columns, without colours; exit status 0."""
    inner, outer = pty.openpty()
    fcntl.ioctl(outer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "app", *arguments]
    with subprocess.Popen(command, env=environment, stdin=outer, stdout=outer, stderr=subprocess.PIPE) as running:
        os.close(outer)
        written = b""
        with suppress(OSError):  # the end of the other side
            while piece := os.read(inner, 65_536):
                written += piece
        os.close(inner)
        assert running.wait() == 0, running.stderr and running.stderr.read()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode()).replace("\r\n", "\n")


def read_until(text: str, running: subprocess.Popen[str]) -> str:
    """What a process has said on standard error when it has said the text."""
    assert running.stderr
    seen = ""
    while text not in seen:
        piece = running.stderr.read(1)
        assert piece, seen
        seen += piece
    return seen


def job(status: str, **changes: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    own = "/v1/imputations/j1"
    links: dict[str, Any] = {"self": own, "events": f"{own}/events"}
    if status == "finished":
        tracks = {"imputed": f"{own}/tracks/H3K4me3.bigWig", "lower": None}
        links |= {"manifest": f"{own}/manifest.json", "hub": f"{own}/hub.txt", "tracks": {"H3K4me3": tracks}}
    total = {"queued": 0, "running": 1000, "finished": 1000}.get(status, 500)
    figures = {"pearson": 0.5, "pearson_arcsinh": 0.61, "spearman": None, "mse_arcsinh": 0.25, "bins": 1200}
    mean = figures | {"pearson": 0.4}
    return {
        "id": "j1", "sample": "s1", "sample_name": "a liver", "status": status, "reason": None,
        "model": {"name": "toy", "version": "1.0.0"},
        "observed": ["H3K4me1"], "masked": [], "targets": ["H3K4me3"], "regions": None,
        "progress": {"bins_done": total // 2, "bins_total": total, "bins_per_second": 1234.5, "seconds_left": 3725.2},
        "scores": {"H3K4me1": {"model": figures, "panel_mean": mean}} if status == "finished" else None,
        "warnings": ["H3K4me1 looks like [bold]fold changes."] if status == "finished" else [],
        "created": "2026-01-02T03:04:05Z", "started": None, "ended": None, "expires": None,
        "links": links, **changes,
    }  # fmt: skip


def sample(*tracks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A sample as the API shows it."""
    return {
        "id": "s1", "name": "a liver", "assembly": "hg19", "temporary": False,
        "created": "2026-01-02T03:04:05Z", "expires": "2026-02-01T03:04:05Z",
        "tracks": list(tracks), "links": {"self": "/v1/samples/s1"}, **changes,
    }  # fmt: skip


@dataclass
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler"], None]


@dataclass
class Scripted:
    """A service that answers each path with the next of its answers, and with the last one from then on."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, call: str, *answers: Answer) -> None:
        self.answers[call] = list(answers)

    def requests(self, call: str) -> list[Asked]:
        return [request for request in self.asked if f"{request.method} {request.path}" == call]


class Handler(BaseHTTPRequestHandler):
    """One connection to the scripted service."""

    protocol_version = "HTTP/1.1"
    scripted: Scripted

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        path = self.path.partition("?")[0]
        self.scripted.asked.append(Asked(self.command, path, dict(self.headers), self.rfile.read(length)))
        answers = self.scripted.answers.get(f"{self.command} {path}", [gives({"detail": f"No {path}."}, 404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


def gives(content: Any, status: int = 200) -> Answer:
    """A whole answer: bytes, or something as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drops(handler: Handler) -> None:
    """No answer: the connection ends once the request has been read."""
    handler.close_connection = True


def streams(*states: dict[str, Any], wait: threading.Event | None = None) -> Answer:
    """Events, and then the end of the connection, at once or when the test says so."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for state in states:
            handler.wfile.write(f": still here\n\nid: 1\ndata: {json.dumps(state)}\n\n".encode())
        handler.wfile.flush()
        if wait:
            wait.wait(30)

    return answer


def breaks_after(count: int, content: bytes = BYTES, wait: threading.Event | None = None) -> Answer:
    """A file that promises all its bytes and breaks off, or stalls at first; a range of it comes whole."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range", "")
        first = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        if first >= len(content):
            gives({"detail": "Past the end."}, 416)(handler)
            return
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(content) - first))
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(content[first:] if first else content[:count])
        handler.wfile.flush()
        if wait:
            wait.wait(30)
        handler.close_connection = True

    return answer


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    handler = type("OwnHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.scripted = Scripted(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        handler.scripted.on("GET /v1/samples/s1", gives(sample()))
        handler.scripted.on("POST /v1/samples/s1/imputations", gives(job("queued"), 202))
        yield handler.scripted
        server.shutdown()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE_S", 0.2)


START = "POST /v1/samples/s1/imputations"
