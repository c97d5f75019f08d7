"""Slow, rude and vanishing clients, a full disk, large uploads: against the real server."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.regions import Region
from tests.server import Server, serve, until

STALL_SECONDS = 1.5


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "data"
    with serve(folder, models=models, default_model="toy", stall_seconds=STALL_SECONDS) as running:
        yield running


def new_sample(server: Server) -> str:
    return str(httpx2.post(f"{server.url}/v1/samples", json={"name": "a"}).json()["id"])


def uploads_under_way(server: Server) -> list[Path]:
    data = server.log.with_suffix("")
    return [path for path in data.glob("incoming/*/*") if path.name != "lock"]


def closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection; what it says until then is read."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_stalled_clients_are_cut_off_while_others_are_served(server: Server) -> None:
    sample = new_sample(server)
    head = f"PUT /v1/samples/{sample}/tracks/H3K4me1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b"
    form = f"POST /v1/impute HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 9999\r\n\r\n--b"
    openings = ["", "GET / HT", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", head, head + "x" * 9000, form]
    connections = []
    for opening in openings * 4:
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(opening.encode())
        connections.append(connection)
    waits = []
    for _ in range(30):
        began = time.monotonic()
        assert httpx2.get(f"{server.url}/healthz").status_code == 200
        waits.append(time.monotonic() - began)
    assert max(waits) < STALL_SECONDS, "others wait for the stalled ones"
    for connection in connections:
        assert closed_within(connection, 20)
        connection.close()
    assert until(lambda: not uploads_under_way(server))


def test_a_client_that_drips_is_cut_off(server: Server) -> None:
    """A byte now and then does not keep a connection."""
    sample = new_sample(server)
    head = f"PUT /v1/samples/{sample}/tracks/H3K4me1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    for opening in (head, "GET /healthz HTTP/1.1\r\nX: "):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(opening.encode())
            began = time.monotonic()
            try:
                while time.monotonic() - began < 20:
                    connection.sendall(b"x")
                    connection.settimeout(0.1)
                    try:
                        if not connection.recv(65_536):
                            break
                    except TimeoutError:
                        continue
            except ConnectionError:
                pass
            assert time.monotonic() - began < 10
    assert until(lambda: not uploads_under_way(server))


def test_a_client_that_goes_away_leaves_no_file(server: Server) -> None:
    sample = new_sample(server)
    head = f"PUT /v1/samples/{sample}/tracks/H3K4me1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + bytes(3_000_000))
        assert until(lambda: bool(uploads_under_way(server)))
    assert until(lambda: not uploads_under_way(server))
    assert httpx2.get(f"{server.url}/v1/samples/{sample}").json()["tracks"] == []


def test_a_client_that_does_not_read_is_cut_off(server: Server, tracks: dict[str, Path], tmp_path: Path) -> None:
    sample = new_sample(server)
    path = tmp_path / "big.bw"
    with BigWigWriter(path, HG19, 25) as writer:
        values = np.random.default_rng(0).random(2_000_000).astype(np.float32)
        writer.add(Region("chr1", 0, 50_000_000), values)
    url = f"/v1/samples/{sample}/tracks/H3K4me1"
    httpx2.put(server.url + url, content=path.read_bytes(), timeout=60).raise_for_status()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"GET {url}.bigWig HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        here = connection.getsockname()[1]
        assert until(lambda: not established(server.port, here), 20)


def established(port: int, client: int) -> bool:
    """Whether the server still holds its side of a connection."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(f":{port:04X}" in line.split()[1] and f":{client:04X}" in line.split()[2] for line in lines)


def test_a_large_body_that_is_no_upload_is_refused(server: Server) -> None:
    response = httpx2.post(f"{server.url}/v1/samples", content=b'{"name": "' + b"a" * 1_000_000 + b'"}')
    assert response.status_code == 413
    assert response.json()["type"] == "urn:epifill:problem:content-too-large"


def test_the_log_has_no_traceback_and_no_machine_path(server: Server) -> None:
    """After all of the above."""
    log = server.log.read_text()
    assert "Traceback" not in log
    assert str(server.log.parent) not in log


def fill(server: Server, sample: str, content: bytes) -> httpx2.Response:
    return httpx2.put(f"{server.url}/v1/samples/{sample}/tracks/H3K4me1", content=content, timeout=60)


def test_a_file_size_limit_is_a_full_disk_and_the_service_goes_on(
    models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    with serve(tmp_path / "data", models=models, default_model="toy") as server:
        sample = new_sample(server)
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1_000_000, hard))
        response = fill(server, sample, bytes(3_000_000))
        assert response.status_code == 507
        assert response.json()["type"] == "urn:epifill:problem:disk-full"
        assert "disk is full" in response.json()["detail"]
        assert until(lambda: not uploads_under_way(server))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert fill(server, sample, tracks["H3K4me1"].read_bytes()).status_code == 201


def test_a_full_disk_is_said_and_survived(models: Path, tracks: dict[str, Path], small_disk: Path) -> None:
    with serve(small_disk / "data", models=models, default_model="toy") as server:
        sample = new_sample(server)
        assert fill(server, sample, bytes(4_000_000)).status_code == 507
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(bytes(4_000_000))
        for _ in range(3):  # the database has no room either
            assert httpx2.post(f"{server.url}/v1/samples", json={"name": "b"}).status_code in (201, 507)
        assert fill(server, sample, tracks["H3K4me1"].read_bytes()).status_code == 507
        assert httpx2.get(f"{server.url}/healthz").status_code == 200
        ballast.unlink()
        assert fill(server, sample, tracks["H3K4me1"].read_bytes()).status_code == 201


def test_a_form_that_finds_no_room_is_not_the_clients_fault(
    models: Path, tracks: dict[str, Path], small_disk: Path, tmp_path: Path
) -> None:
    """Forms are spooled to the folder of temporary files before they are looked at."""
    with serve(tmp_path / "data", small_disk, models=models, default_model="toy") as server:
        for content, status in ((bytes(8_000_000), 507), (tracks["H3K4me1"].read_bytes(), 200)):
            files, form = {"tracks": ("H3K4me1.bw", content)}, {"region": "chr21:33,750,000-33,751,000"}
            response = httpx2.post(f"{server.url}/v1/impute", files=files, data=form, timeout=60)
            assert response.status_code == status, response.text


def upload_and_watch(server: Server, megabytes: int) -> tuple[int, float]:
    """Upload that much; memory that the server took for it, and the longest wait of /healthz meanwhile."""
    sample = new_sample(server)
    before = server.resident_bytes()
    peak, longest, done = before, 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak, longest
        with httpx2.Client() as client:
            while not done.is_set():
                began = time.monotonic()
                client.get(f"{server.url}/healthz")
                longest = max(longest, time.monotonic() - began)
                peak = max(peak, server.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    block = bytes(1 << 20)
    response = httpx2.put(
        f"{server.url}/v1/samples/{sample}/tracks/H3K4me1", content=(block for _ in range(megabytes)), timeout=600
    )
    done.set()
    watcher.join()
    assert response.status_code == 422  # zeros are no bigWig
    return peak - before, longest


def test_a_large_upload_takes_little_memory(server: Server) -> None:
    memory, _ = upload_and_watch(server, 200)
    assert memory < 64 * 2**20


@pytest.mark.slow
def test_an_upload_of_a_gigabyte_takes_little_memory_and_stops_nobody(server: Server) -> None:
    memory, longest = upload_and_watch(server, 1024)
    print(f"1 GB: {memory / 2**20:.0f} MB of memory, /healthz within {longest * 1000:.0f} ms")
    assert memory < 64 * 2**20
    assert longest < 0.1
