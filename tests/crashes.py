"""Jobs that are disturbed: kill a part of the service at a point of the work, and see what becomes of it."""

import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil

from tests.server import Server, serve

VICTIMS = ("worker", "workers' parent", "scheduler", "server")


def processes(server: Server, victim: str) -> list[psutil.Process]:
    """The living processes of a kind."""
    own = psutil.Process(server.process.pid)
    if victim == "server":
        return [own]
    found = []
    for child in own.children(recursive=True):
        try:
            command = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        kind = "worker" if "spawn_main" in " ".join(command) else "other"
        if "app.jobs.process" in command:
            kind = "scheduler" if "scheduler" in command else "workers' parent"
        if kind == victim:
            found.append(child)
    return found


class Service:
    """A service that is started again on the same data when it was killed."""

    def __init__(self, stack: ExitStack, folder: Path, **settings: object) -> None:
        self._stack, self._folder, self._settings = stack, folder, settings
        self.start()

    def start(self) -> None:
        self.server = self._stack.enter_context(serve(self._folder, **self._settings))
        self.client = self._stack.enter_context(httpx2.Client(base_url=self.server.url, timeout=60))

    def upload(self, tracks: dict[str, Path]) -> str:
        sample = self.client.post("/v1/samples", json={"name": "x"}).raise_for_status().json()["id"]
        for mark, path in tracks.items():
            self.client.put(f"/v1/samples/{sample}/tracks/{mark}", content=path.read_bytes()).raise_for_status()
        return sample

    def submit(self, sample: str, **asked: object) -> str:
        return self.client.post(f"/v1/samples/{sample}/imputations", json=asked).raise_for_status().json()["id"]

    def state(self, job: str) -> dict:
        return self.client.get(f"/v1/imputations/{job}").raise_for_status().json()

    def wait(self, job: str, reached: Callable[[dict], bool], seconds: float = 120) -> dict:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.state(job)
            if reached(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"not reached in {seconds} s: {json.dumps(state)}")

    def ended(self, job: str, seconds: float = 120) -> dict:
        return self.wait(job, lambda state: state["status"] not in ("queued", "running"), seconds)

    def hashes(self, job: str) -> dict[str, str]:
        outputs = self.client.get(f"/v1/imputations/{job}/manifest.json").raise_for_status().json()["outputs"]
        return {name: output["sha256"] for name, output in outputs.items()}

    def chunks(self, job: str) -> dict[str, int]:
        """The inode of every chunk that is there."""
        folder = self._folder / "imputations" / job / "chunks"
        return {path.name: path.stat().st_ino for path in folder.glob("*.npz")} if folder.exists() else {}

    def kill(self, victim: str) -> None:
        """Kill one process of a kind, and start the service again if that was it."""
        found = processes(self.server, victim)
        if found:
            random.choice(found).kill()
        if victim == "server":
            self.server.process.wait()
            self.start()


def by_hand(folder: Path, tracks: dict[str, Path], rounds: int) -> None:
    """Kill each kind of victim `rounds` times at random points; print what became of the jobs."""
    for victim in VICTIMS[:1] + VICTIMS[2:]:
        with ExitStack() as stack:
            service = Service(stack, folder / victim, chunk_bins=16_384, engine_workers=2)
            sample = service.upload(tracks)
            expected = service.hashes(service.ended(service.submit(sample, score=False))["id"])
            lost, wrong, slowest, kills = 0, 0, 0.0, 0
            while kills < rounds:
                job = service.submit(sample, score=False)
                for _ in range(2):
                    time.sleep(random.uniform(0.1, 2.5))
                    before = service.state(job)["progress"]["bins_done"]
                    service.kill(victim)
                    kills += 1
                    began = time.monotonic()
                    service.wait(
                        job, lambda s, b=before: s["status"] == "finished" or s["progress"]["bins_done"] > b, 120
                    )
                    slowest = max(slowest, time.monotonic() - began)
                state = service.ended(job)
                lost += state["status"] != "finished"
                wrong += state["status"] == "finished" and service.hashes(job) != expected
            print(
                f"{victim}: {kills} kills, {lost} jobs lost, {wrong} results differ, on in {slowest:.1f} s", flush=True
            )


if __name__ == "__main__":
    given = {path.name.split("-")[1].split(".")[0]: path for path in sorted(Path(sys.argv[1]).iterdir())}
    by_hand(Path(sys.argv[2]), given, int(sys.argv[3]))
