"""The engine of long imputations: workers that die, full disks, clusters that exist, several servers, expiry."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select, update

from app.core.errors import EngineLost
from app.jobs import runner as runner_module
from app.jobs.engine import Engine
from app.jobs.process import read_resources
from app.main import create_app
from app.settings import Settings
from app.store.database import open_database
from app.store.files import DataFolder
from app.store.imputations import Imputations
from app.store.samples import Samples
from app.store.tables import ImputationJob, Sample, now
from tests.conftest import MARKS, mount_small_disk
from tests.crashes import Service
from tests.poison import endless_assembly, poisoned_chunk
from tests.server import free_port
from tests.test_crashes import sample  # noqa: F401  (a fixture)
from tests.test_imputations import start, upload
from tests.test_postgres import postgres  # noqa: F401  (a fixture)


def ended(client: TestClient, job: str, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = client.get(f"/v1/imputations/{job}").json()
        if state["status"] not in ("queued", "running"):
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def test_a_chunk_that_kills_its_worker_fails_its_job_alone(
    panel_models: Path, tracks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "impute_chunk", poisoned_chunk)
    settings = Settings(
        models=panel_models, default_model="panelled", data=tmp_path / "data", engine_workers=2, chunk_bins=4096
    )
    with TestClient(create_app(settings)) as client:
        poison, fine = (upload(client, tracks, MARKS[:2], name) for name in ("poison", "fine"))
        bad, good = (start(client, one, score=False).json()["id"] for one in (poison, fine))
        state = ended(client, bad)
        assert state["status"] == "failed"
        assert state["reason"].startswith("Its worker died 3 times while imputing chr21:")
        assert ended(client, good)["status"] == "finished"
        assert not (tmp_path / "data/imputations" / bad).exists()
    assert (tmp_path / "data/deaths").read_text() == "xxx"


def test_a_piece_that_does_not_listen_is_cancelled_with_its_worker(
    panel_models: Path, tracks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "assemble", endless_assembly)
    settings = Settings(models=panel_models, default_model="panelled", data=tmp_path / "data", engine_workers=1)
    with TestClient(create_app(settings)) as client:
        poison, fine = (upload(client, tracks, MARKS[:2], name) for name in ("poison", "fine"))
        job = start(client, poison, score=False).json()["id"]
        stage = tmp_path / "data/imputations" / job / "chunks"
        deadline = time.monotonic() + 60
        while not (tmp_path / "data/assembling").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        family = psutil.Process().children(recursive=True)
        busy = [p for p in family if "spawn_main" in " ".join(p.cmdline())]
        assert busy
        assert client.delete(f"/v1/imputations/{job}").status_code == 202
        _, alive = psutil.wait_procs(busy, timeout=5)
        assert not alive
        assert not stage.exists()
        assert ended(client, start(client, fine, score=False).json()["id"])["status"] == "finished"


@pytest.fixture(params=[1_000_000, 3_500_000], ids=["chunks", "bigWig"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A disk of 24 MB, and how much of it shall be free: for some chunks; for all of them, but not for the result."""
    for place in mount_small_disk(tmp_path / "disk", 24):
        yield place, request.param


def test_a_full_disk_fails_the_job_that_meets_it_and_no_other(
    sample: dict[str, Path],  # noqa: F811
    room: tuple[Path, int],
) -> None:
    disk, free = room
    with ExitStack() as stack:
        service = Service(stack, disk / "data", chunk_bins=16_384, engine_workers=1)
        stored = service.upload(sample)
        ballast = disk / "ballast"
        now_free = os.statvfs(disk)
        ballast.write_bytes(bytes(now_free.f_bavail * now_free.f_frsize - free))
        state = service.ended(service.submit(stored, targets=["H3K4me3"], score=False))
        assert state["status"] == "failed"
        assert "disk is full" in state["reason"]
        assert list((disk / "data/imputations").iterdir()) == []
        ballast.unlink()
        assert service.ended(service.submit(stored, targets=["H3K4me3"], score=False))["status"] == "finished"


def test_workers_over_tcp_on_a_scheduler_that_exists(
    panel_models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    code = (
        "import asyncio, sys; from distributed import Scheduler\n"
        "async def run():\n"
        "    async with Scheduler(host='127.0.0.1', port=int(sys.argv[1].rsplit(':')[-1]), dashboard=False) as s:\n"
        "        await s.finished()\n"
        "asyncio.run(run())"
    )
    with ExitStack() as stack:
        commands = [[sys.executable, "-c", code, address]]
        worker = [sys.executable, "-m", "app", "worker", address, "--workers", "1", "--resource", "GPU=1"]
        processes = [subprocess.Popen(command) for command in [*commands, worker, worker]]
        for process in processes:
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        settings = Settings(
            models=panel_models,
            default_model="panelled",
            data=tmp_path / "data",
            engine=address,
            engine_resources="GPU=1",
            chunk_bins=4096,
        )
        with TestClient(create_app(settings)) as client:
            job = start(client, upload(client, tracks, MARKS[:3])).json()["id"]
            assert ended(client, job)["status"] == "finished"


def test_an_engine_of_this_machine_listens_to_no_other() -> None:
    engine = Engine(workers=1)
    try:
        engine.submit(print).result(timeout=60)
        own = [p for p in psutil.Process().children(recursive=True) if "app.jobs.process" in " ".join(p.cmdline())]
        family = {child for process in own for child in (process, *process.children(recursive=True))}
        heard = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert heard == {"127.0.0.1"}
    finally:
        engine.close()


def test_an_engine_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineLost, match="does not answer; they wait until it does"):
        Engine(f"tcp://127.0.0.1:{free_port()}", wait_seconds=1).submit(print)
    told = subprocess.run(
        [sys.executable, "-m", "app", "worker", "tcp://nowhere", "--resource", "GPU"], capture_output=True, text=True
    )
    assert (told.returncode, told.stderr) == (2, "'GPU' is no list of resources; write GPU=1.\n")
    assert read_resources(["GPU=1", "big=0.5"]) == {"GPU": 1.0, "big": 0.5}


def new_row(number: int) -> ImputationJob:
    return ImputationJob(
        id="", owner="o", sample_id="s", sample_name="s", request_sha256="x", request={}, bins_total=number
    )


def test_two_servers_on_one_database_share_the_work(
    postgres: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    url = postgres.replace("postgresql://", "postgresql+psycopg://")
    engines = [open_database(url) for _ in range(2)]
    folder = DataFolder(tmp_path / "data")
    stores = [Imputations(engine, folder, 30) for engine in engines]
    made = {stores[0].create(new_row(n), lambda folder: folder.mkdir(), 100)[0].id for n in range(40)}
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda i: (f"server {i % 2}", stores[i % 2].claim(f"server {i % 2}", 10)), range(8)))
    while rows := stores[0].claim("server 0", 10):  # those that several wanted at once
        claimed.append(("server 0", rows))
    ids = [row.id for _, rows in claimed for row in rows]
    assert len(ids) == len(set(ids))
    assert set(ids) == made
    first = ids[0]
    owner = next(server for server, rows in claimed if first in {row.id for row in rows})
    other = "server 1" if owner == "server 0" else "server 0"
    assert not stores[0].finish(first, other, {"scores": None, "warnings": []})
    with Session(engines[0]) as session:  # the owner has not been heard of for a while
        session.exec(update(ImputationJob).where(ImputationJob.id == first).values(lease=now() - timedelta(seconds=1)))
        session.commit()
    assert stores[0].claim(owner, 10) == []  # it has it, and only has to say so
    assert [row.id for row in stores[1].claim(other, 10)] == [first]
    assert not stores[0].finish(first, owner, {"scores": None, "warnings": []})
    stores[0].fail(first, owner, "no longer mine")
    assert (tmp_path / "data/imputations" / first).exists()
    assert stores[1].finish(first, other, {"scores": None, "warnings": []})
    assert not stores[1].finish(first, other, {"scores": None, "warnings": []})
    assert stores[0].cancel_or_delete("o", first) is None
    folder.close()
    for engine in engines:
        engine.dispose()


def test_two_services_on_one_postgres_finish_every_job_once(
    postgres: str,  # noqa: F811
    panel_models: Path,
    tracks: dict[str, Path],
    tmp_path: Path,
) -> None:
    settings = {
        "models": panel_models,
        "default_model": "panelled",
        "database_url": postgres,
        "engine_workers": 1,
        "chunk_bins": 4096,
        "jobs_at_once": 2,
    }
    with ExitStack() as stack:
        services = [Service(stack, tmp_path / "data", **settings) for _ in range(2)]
        stored = upload(services[0].client, tracks, MARKS[:2])
        jobs = [services[n % 2].submit(stored, score=False) for n in range(8)]
        assert {services[0].ended(job)["status"] for job in jobs} == {"finished"}
        assert len({str(services[1].hashes(job)) for job in jobs}) == 1


def test_what_was_kept_long_enough_is_deleted(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    folder = DataFolder(tmp_path / "data")
    jobs, samples = Imputations(engine, folder, 30), Samples(engine, folder, 90)
    old, young = (jobs.create(new_row(n), lambda place: place.mkdir(), 9)[0] for n in range(2))
    jobs.claim("me", 9)
    for job in (old, young):
        assert jobs.finish(job.id, "me", {"scores": None, "warnings": []})
    stale, fresh = samples.create("o", "stale", None, 9), samples.create("o", "fresh", None, 9)
    with Session(engine) as session:
        session.exec(update(ImputationJob).where(ImputationJob.id == old.id).values(expires=now()))
        session.exec(update(Sample).where(Sample.id == stale.id).values(created=now() - timedelta(days=91)))
        session.commit()
    jobs.expire()
    samples.expire()
    with Session(engine) as session:
        assert session.exec(select(ImputationJob.id)).all() == [young.id]
        assert session.exec(select(Sample.id)).all() == [fresh.id]
    assert folder.imputations() == [young.id]
    folder.close()
    engine.dispose()


def test_a_temporary_sample_goes_with_its_last_imputation(tmp_path: Path) -> None:
    """And one whose imputation never came, or was deleted by a server that died on the way, when it expires."""
    engine = open_database(f"sqlite:///{tmp_path / 'x.db'}")
    folder = DataFolder(tmp_path / "data")
    jobs, samples = Imputations(engine, folder, 30), Samples(engine, folder, 90)
    made = samples.create("o", "made for it", None, 9, temporary=True)
    waiting = samples.create("o", "still uploading", None, 9, temporary=True)
    kept = samples.create("o", "kept", None, 9)
    rows = [new_row(n) for n in range(3)]
    for row, stored in zip(rows, (made, made, kept), strict=True):
        row.sample_id = stored.id
        jobs.create(row, lambda place: place.mkdir(), 9)
        jobs.cancel_or_delete("o", row.id)

    def there() -> set[str]:
        with Session(engine) as session:
            return set(session.exec(select(Sample.id)))

    for row, left in zip(rows, ({made.id}, set(), set()), strict=True):
        with Session(engine) as session:
            session.exec(update(ImputationJob).where(ImputationJob.id == row.id).values(expires=now()))
            session.commit()
        (gone,) = jobs.expire()
        assert gone.id == row.id
        samples.leave(gone.owner, gone.sample_id)
        samples.leave(gone.owner, gone.sample_id)  # as another server might
        assert there() == {waiting.id, kept.id} | left
    with Session(engine) as session:
        session.exec(update(Sample).where(Sample.id == waiting.id).values(created=now() - timedelta(days=91)))
        session.commit()
    samples.expire()
    assert there() == {kept.id}
    folder.close()
    engine.dispose()
