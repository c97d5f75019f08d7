"""Nothing accepted is lost: parts of the service are killed while they work, and the result is the undisturbed one."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.crashes import VICTIMS, Service, processes

REGION = "chr21:33,000,000-38,000,000"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """200,000 bins of three marks."""
    folder = tmp_path_factory.mktemp("simulated")
    marks = ("H3K4me1", "H3K36me3", "H3K27me3")
    chosen = [word for mark in marks for word in ("--mark", mark)]
    command = [sys.executable, "-m", "training", "simulate", "--out", str(folder), "--region", REGION, *chosen]
    subprocess.run(command, check=True, capture_output=True)
    return {mark: next(folder.glob(f"*-{mark}.*")) for mark in marks}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(stack, tmp_path_factory.mktemp("service") / "data", chunk_bins=16_384, engine_workers=2)


@pytest.fixture(scope="module")
def stored(service: Service, sample: dict[str, Path]) -> str:
    return service.upload(sample)


@pytest.fixture(scope="module")
def undisturbed(service: Service, stored: str) -> dict[str, str]:
    return service.hashes(service.ended(service.submit(stored, targets=["H3K4me3"], score=False))["id"])


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_part_costs_no_job_and_changes_no_bit(
    service: Service, stored: str, undisturbed: dict[str, str], victim: str
) -> None:
    job = service.submit(stored, targets=["H3K4me3"], score=False)
    service.wait(job, lambda state: state["progress"]["bins_done"] > 30_000)
    before = service.chunks(job)
    assert before
    service.kill(victim)
    done = service.state(job)["progress"]["bins_done"]
    service.wait(job, lambda s: s["status"] == "finished" or s["progress"]["bins_done"] > done, seconds=30)
    kept = service.chunks(job)
    assert not kept or all(kept[name] == inode for name, inode in before.items())  # no chunk is done twice
    state = service.ended(job)
    assert (state["status"], state["reason"]) == ("finished", None)
    assert service.hashes(job) == undisturbed


def test_observed_marks_are_scored_beside_the_panels_mean(service: Service, stored: str) -> None:
    state = service.ended(service.submit(stored, regions=["chr21:33,746,325-34,500,000"], targets=["H3K4me3"]))
    assert set(state["scores"]) == {"H3K4me1", "H3K36me3", "H3K27me3"}
    for own in state["scores"].values():
        assert own["model"]["bins"] == own["panel_mean"]["bins"] > 20_000
        assert own["model"]["mse_arcsinh"] < own["panel_mean"]["mse_arcsinh"]


def test_cancelling_frees_cpu_and_files_within_seconds(service: Service, stored: str) -> None:
    job = service.submit(stored, score=False)
    service.wait(job, lambda state: state["progress"]["bins_done"] > 0)
    assert service.client.delete(f"/v1/imputations/{job}").status_code == 202
    deadline = time.monotonic() + 5
    workers = processes(service.server, "worker")
    while time.monotonic() < deadline:
        used = sum(worker.cpu_percent(interval=0.2) for worker in workers if worker.is_running())
        if used < 20:
            break
    assert used < 20
    assert not service.chunks(job)
    assert service.state(job)["status"] == "cancelled"


def test_a_server_that_dies_takes_its_engine_along(service: Service, stored: str) -> None:
    everything = [p for victim in VICTIMS[:3] for p in processes(service.server, victim)]
    assert len(everything) >= 4
    service.kill("server")
    _, alive = psutil.wait_procs(everything, timeout=10)
    assert not alive
