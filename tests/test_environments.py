"""Machines, shells and clients as others have them: the service works, or says in a sentence why not."""

import gzip
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx2
import numpy as np
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, update

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.regions import Region
from app.settings import Settings
from app.store.database import open_database
from app.store.files import DataFolder
from app.store.imputations import Imputations
from app.store.tables import ImputationJob, now
from tests.conftest import CHR21, MARKS
from tests.server import Server, serve, until
from tests.test_api import problem
from tests.test_cli import refused, run
from tests.test_imputations import start, upload, watch

ODD = " %20 % # ? : ü ' \" \n \\ ;&"
"""What a folder's name may hold."""

PROXIES = [f"{name}=http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY")]
DASK = [
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True",
    "DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME=tls",
    "DASK_DISTRIBUTED__WORKER__PRELOAD=['/no/such.py']",
    "DASK_DISTRIBUTED__SCHEDULER__PRELOAD=['/no/such.py']",
]
DASK_FILE = """distributed:
  comm: {require-encryption: true, default-scheme: tls}
  scheduler: {preload: [/no/such.py]}
"""


def shell(script: str) -> list[str]:
    return ["sh", "-c", f'{script}; exec "$@"', "sh"]


def without_shared_memory() -> list[str]:
    if os.geteuid():
        pytest.skip("a mount name space needs root")
    return ["unshare", "-m", *shell("umount -l /dev/shm")]


def works(server: Server, tracks: dict[str, Path]) -> None:
    """Uploads, a region, and a long imputation."""
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        sample = upload(client, tracks, MARKS[:3])
        region = {"region": "chr21:33,750,000-33,751,000"}
        assert client.get(f"/v1/samples/{sample}/region", params=region).status_code == 200
        job = start(client, sample, regions=["chr21:33,750,000-33,760,000"], score=False).raise_for_status().json()
        ended = watch(client, job)[-1]
        assert ended["status"] == "finished", ended["reason"]
        assert client.get("/readyz").json()["engine"] == {"status": "ready", "reason": None}
    assert "Traceback" not in server.log.read_text()


def test_everything_odd_at_once(models: Path, tracks: dict[str, Path], tmp_path: Path) -> None:
    """Names, umask, locale, proxies, limits, one CPU, optimised bytecode, and settings for another Dask cluster."""
    own_models, data = tmp_path / f"models{ODD}", tmp_path / f"data{ODD}"
    shutil.copytree(models, own_models)
    (tmp_path / "home/.config/dask").mkdir(parents=True)
    (tmp_path / "home/.config/dask/theirs.yaml").write_text(DASK_FILE)
    surroundings = [f"HOME={tmp_path / 'home'}", "LC_ALL=C", "TZ=Pacific/Kiritimati", *PROXIES, *DASK]
    within = [*shell("umask 077; ulimit -n 128"), "taskset", "-c", "0", "env", "-u", "LANG", *surroundings]
    with serve(data, within=within, python=("-OO",), models=own_models, default_model="toy") as server:
        works(server, tracks)
    assert (data / "epifill.db").exists()
    assert {path.name for path in tmp_path.iterdir()} == {own_models.name, data.name, f"{data.name}.log", "home"}
    stored = next((data / "tracks").rglob("pieces.npy"))
    assert stored.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "within",
    [
        ["env", "-u", "HOME"],
        ["env", "-u", "LANG", "LC_ALL=C"],
        ["env", *PROXIES],
        ["env", *DASK],
        ["env", "TZ=Pacific/Kiritimati"],
        ["taskset", "-c", "0"],
        shell("umask 077"),
        shell("ulimit -n 64"),
        shell("ulimit -f 20000"),
        None,
    ],
    ids=str,
)
def test_each_surrounding_by_itself(
    models: Path, tracks: dict[str, Path], tmp_path: Path, within: Sequence[str] | None
) -> None:
    given = without_shared_memory() if within is None else within
    with serve(tmp_path / "data", within=given, models=models, default_model="toy", engine_workers=1) as server:
        works(server, tracks)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [" ", "%20", "%", "#", "?", ":", "ü", "'", '"', "\n", "\\"])
def test_each_odd_sign_by_itself(models: Path, tracks: dict[str, Path], tmp_path: Path, sign: str) -> None:
    own = tmp_path / f"m{sign}n"
    shutil.copytree(models, own)
    with serve(tmp_path / f"a{sign}b", models=own, default_model="toy", engine_workers=1) as server:
        works(server, tracks)


def test_an_ipv6_address(models: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", host="::1", models=models, default_model="toy") as server:
        assert f"page  http://[::1]:{server.port}/" in server.log.read_text()


def test_a_low_limit_on_file_sizes_is_not_the_files_fault(models: Path, tmp_path: Path) -> None:
    """512 kB hold the database and the file, and not its binned form."""
    path, region = tmp_path / "H3K4me1.bigWig", Region("chr21", 10_240_000, 15_360_000)
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(region, np.random.default_rng(0).integers(0, 3, region.n_bins(25)).astype(np.float32))
    with serve(tmp_path / "data", within=shell("ulimit -f 1000"), models=models, default_model="toy") as server:
        files = {"tracks": (path.name, path.read_bytes())}
        answer = httpx2.post(f"{server.url}/v1/impute", files=files, timeout=60)
    assert answer.status_code == 507, answer.text
    assert answer.json()["type"] == "urn:epifill:problem:disk-full"


def test_an_engine_that_cannot_be_had_is_told_and_tried_less_and_less(
    models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    with (
        serve(tmp_path / "data", models=models, default_model="toy", engine="tcp://127.0.0.1:9") as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        job = start(client, upload(client, tracks, MARKS[:2]), regions=["chrM"]).json()
        waits = "The scheduler that long imputations are sent to does not answer; they wait until it does."
        assert until(lambda: client.get(job["links"]["self"]).json()["reason"] == waits)
        state = client.get("/readyz")
        assert state.status_code == 200
        assert state.json()["engine"] == {"status": "unavailable", "reason": waits}
        assert until(lambda: server.log.read_text().count(waits) == 3)
        log = server.log.read_text()
        assert [f"Next try in {pause} s." in log for pause in (1, 2, 4, 8)] == [True, True, True, False]
        assert "Traceback" not in log
        assert client.delete(job["links"]["self"]).status_code == 202


def test_dask_settings_that_cannot_be_read_are_named(models: Path, tmp_path: Path) -> None:
    (tmp_path / ".config/dask").mkdir(parents=True)
    (tmp_path / ".config/dask/theirs.yaml").write_text("a: [b")
    said = refused(run("serve", EPIFILL_MODELS=str(models), HOME=str(tmp_path)))
    assert said.startswith("Dask's settings on this machine cannot be read")


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    said = refused(run("serve", EPIFILL_DATABASE_URL="postgresql://someone:secret@127.0.0.1:9/x"))
    assert said.startswith("The database at 127.0.0.1 cannot be opened; check that it runs")
    assert "secret" not in said


def test_two_servers_on_one_sqlite_are_one_too_many(models: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", models=models, default_model="toy"):
        second = run("serve", "--port", "0", EPIFILL_DATA=str(tmp_path / "data"), EPIFILL_MODELS=str(models),
                     EPIFILL_DEFAULT_MODEL="toy")  # fmt: skip
        assert "Another server is running on this data folder" in refused(second)
    with serve(tmp_path / "data", models=models, default_model="toy"):
        pass  # once the first is gone


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql://u:sec ret@h:port/x", "mysql://u:secret@host/x", "postgresql://u:secret@h:1:2/x"]
)
def test_a_database_url_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    said = refused(run("serve", EPIFILL_DATABASE_URL=url))
    assert said.startswith("EPIFILL_DATABASE_URL is not the address of a database; write it like postgresql://")
    assert "sec" not in said
    with pytest.raises(ValueError, match="not the address of a database") as caught:
        Settings(database_url=url)
    assert "sec" not in str(caught.value)


def test_database_urls_in_every_spelling(tmp_path: Path) -> None:
    for spelled in ("postgres", "postgresql", "postgresql+psycopg"):
        url = Settings(database_url=f"{spelled}://u:p%40ss@host/x").database
        assert (url.drivername, url.password) == ("postgresql+psycopg", "p@ss")
    assert Settings(data=tmp_path / "a?b%20c").database.database == str(tmp_path / "a?b%20c/epifill.db")


# What clients send.


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("s") / "data", models=models, default_model="toy", engine_workers=1) as running:
        yield running


@pytest.fixture
def sample(server: Server) -> str:
    made = httpx2.post(f"{server.url}/v1/samples", json={"name": "x"}).json()
    return f"/v1/samples/{made['id']}/tracks/H3K4me1"


def raw(server: Server, head: str, *parts: bytes) -> bytes:
    """The answer to a request as it is written here; the second and later parts are sent after a first answer."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as line:
        line.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        answer = b""
        for part in parts:
            answer += line.recv(4096) if "Expect:" in head else b""
            line.sendall(part)
        while more := line.recv(65536):
            answer += more
    return answer


def test_expect_chunks_and_the_oldest_http(server: Server, sample: str, tracks: dict[str, Path]) -> None:
    body = tracks["H3K4me1"].read_bytes()
    head = f"PUT {sample} HTTP/1.1\nHost: x\nConnection: close\n"
    answer = raw(server, f"{head}Content-Length: {len(body)}\nExpect: 100-continue\n", body)
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 201 " in answer
    chunks = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    assert raw(server, f"{head}Transfer-Encoding: chunked\n", chunks).startswith(b"HTTP/1.1 200 ")
    old = raw(server, f"PUT {sample} HTTP/1.0\nContent-Length: {len(body)}\n", body)
    assert old.partition(b"\r\n")[0].split()[1] == b"200"
    assert raw(server, "GET /v1/models HTTP/1.0\n").partition(b"\r\n")[0].split()[1] == b"200"


def test_a_compressed_body_is_refused_by_name(server: Server, sample: str, tracks: dict[str, Path]) -> None:
    body = gzip.compress(tracks["H3K4me1"].read_bytes())
    answer = httpx2.put(f"{server.url}{sample}", content=body, headers={"Content-Encoding": "gzip"})
    assert "compressed (Content-Encoding: gzip)" in problem(answer, 415, "compressed-body")


def test_suffix_and_several_ranges(server: Server, sample: str, tracks: dict[str, Path]) -> None:
    body = tracks["H3K4me1"].read_bytes()
    httpx2.put(f"{server.url}{sample}", content=body).raise_for_status()
    url = f"{server.url}{sample}.bigWig"
    last = httpx2.get(url, headers={"Range": "bytes=-500"})
    assert (last.status_code, last.content) == (206, body[-500:])
    both = httpx2.get(url, headers={"Range": "bytes=0-9,100-109"})
    assert both.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert body[:10] in both.content
    assert body[100:110] in both.content
    assert httpx2.get(url, headers={"Range": f"bytes={len(body)}-"}).status_code == 416


def test_a_track_that_is_deleted_or_replaced_does_not_touch_a_job(
    server: Server, tracks: dict[str, Path], tmp_path: Path
) -> None:
    """It goes on with what was there when it was asked for."""
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        results = []
        for change in (False, True):
            sample = upload(client, tracks, MARKS[:2])
            job = start(client, sample, targets=["H3K9me3"], score=False).raise_for_status().json()
            if change:
                client.delete(f"/v1/samples/{sample}/tracks/{MARKS[0]}").raise_for_status()
                other = tracks[MARKS[3]].read_bytes()
                client.put(f"/v1/samples/{sample}/tracks/{MARKS[1]}", content=other).raise_for_status()
            ended = watch(client, job)[-1]
            assert ended["status"] == "finished", ended["reason"]
            path = tmp_path / f"{change}.bigWig"
            path.write_bytes(client.get(ended["links"]["tracks"]["H3K9me3"]["imputed"]).content)
            with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as opened:
                results.append(opened.read(CHR21).values.tobytes())
        assert results[0] == results[1]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_takes_no_job_from_its_only_server(tmp_path: Path, hours: int) -> None:
    """Its lease may seem to have lapsed, or to last for hours; it keeps its jobs and goes on renewing."""
    engine: Engine = open_database(Settings(data=tmp_path).database)
    folder = DataFolder(tmp_path)
    jobs = Imputations(engine, folder, 1)
    new = ImputationJob(id="", owner="o", sample_id="s", sample_name="s", request_sha256="", request={}, bins_total=1)
    made, _ = jobs.create(new, lambda place: place.mkdir(parents=True), 9)
    assert [row.id for row in jobs.claim("me", 9)] == [made.id]
    with Session(engine) as session:  # as if the lease had been written before the jump
        jumped = now().timestamp() - 3600 * hours
        session.exec(update(ImputationJob).values(lease=now().fromtimestamp(jumped, now().tzinfo)))
        session.commit()
    assert jobs.claim("me", 9) == []
    assert [row.id for row in jobs.held("me")] == [made.id]
    jobs.renew("me")
    assert jobs.finish(made.id, "me", {"scores": None, "warnings": []})
    folder.close()
    engine.dispose()
