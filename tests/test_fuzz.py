"""Damaged bigWigs through the real endpoint: no death, no 5xx, no hang, no memory, no lie.

`make test` sends some; `python -m tests.test_fuzz 10000` sends as many as are asked for, and prints the counts.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pybigtools
import pyBigWig
import pytest

from app.core.assemblies import HG19
from app.core.bigwig.structure import chromosomes_of
from app.core.binned import BinnedTracks
from app.core.regions import Region
from tests.fuzz_structure import Track, decode
from tests.mutants import mutants
from tests.server import Server, serve

CHROMOSOMES = {"chr21": 48_129_895, "chrM": 16_571}
LOOKED_AT = (Region("chr21", 0, 200_000), Region("chr21", 48_000_000, 48_129_895), Region("chrM", 0, 16_571))
MOST_SECONDS = 10
MEMORY_BYTES = 500 * 2**20


def originals(folder: Path) -> list[bytes]:
    """Small sound tracks in hg19: fixedStep, bedGraph, varStep, and another writer's."""
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.integers(10, 60, 3000))
    values = rng.gamma(0.5, 2, 3000)
    for kind in ("fixed", "bedgraph", "variable"):
        with pyBigWig.open(str(folder / f"{kind}.bw"), "w") as file:
            file.addHeader(list(CHROMOSOMES.items()))
            if kind == "fixed":
                file.addEntries("chr21", 1000, values=values, span=25, step=25)
                file.addEntries("chrM", 0, values=values[:600], span=25, step=25)
            elif kind == "bedgraph":
                file.addEntries(["chr21"] * 3000, list(starts), ends=list(starts + 9), values=list(values))
                file.addEntries(
                    ["chrM"] * 50, list(range(0, 5000, 100)), ends=list(range(80, 5080, 100)), values=list(values[:50])
                )
            else:
                file.addEntries("chr21", list(starts), values=list(values), span=7)
    rows = [("chr21", int(s), int(s) + 10, float(v)) for s, v in zip(starts, values, strict=True)]
    pybigtools.open(str(folder / "other.bw"), "w").write(CHROMOSOMES, iter(rows))
    return [path.read_bytes() for path in sorted(folder.glob("*.bw"))]


def expected_bins(track: Track, region: Region) -> np.ndarray:
    """Bins of a region by the independent decoder: the mean of each bin's covered bases."""
    bases = np.full(region.n_bins(25) * 25, np.nan)
    for start, end, value in track.get(region.chrom, []):
        left, right = max(start, region.start) - region.start, min(end, region.end) - region.start
        if left < right:
            bases[left:right] = value
    by_bin = bases.reshape(-1, 25)
    covered = ~np.isnan(by_bin)
    sums, counts = np.where(covered, by_bin, 0).sum(1), covered.sum(1)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0).astype(np.float32)


def in_hg19(track: Track, lengths: dict[str, int]) -> Track:
    """The chromosomes of hg19 in a track; another mitochondrion than hg19's is left out, and said so."""
    known: Track = {}
    for theirs, rows in track.items():
        ours = HG19.find(theirs, lengths[theirs])
        if ours and (ours != "chrM" or lengths[theirs] == CHROMOSOMES["chrM"]):
            known.setdefault(ours, []).extend(rows)
    return known


def send(server: Server, client: httpx2.Client, sample: str, mark: str, content: bytes) -> str:
    """The verdict on one upload: refused, accepted, or what went wrong."""
    began = time.monotonic()
    response = client.put(f"/v1/samples/{sample}/tracks/{mark}", content=content, timeout=60)
    if time.monotonic() - began > MOST_SECONDS:
        return "HANG"
    if response.status_code == 422:
        return "refused"
    if response.status_code not in (200, 201):
        return f"STATUS {response.status_code}"
    digest = response.json()["sha256"]
    folder = server.log.with_suffix("") / "tracks" / digest[:2] / f"{digest}-hg19"
    stored, track = (
        BinnedTracks({"m": folder}),
        in_hg19(decode(content), chromosomes_of(folder / "original.bigWig", "")),
    )
    for region in LOOKED_AT:
        if not np.array_equal(stored.read(region).values[0], expected_bins(track, region), equal_nan=True):
            return f"LIE in {region}"
    return "accepted"


def fuzz(server: Server, folder: Path, count: int, seed: int) -> Counter[str]:
    """Send `count` mutants, two at a time, and count the verdicts."""
    sound = originals(folder)
    share = -(-count // (2 * len(sound)))

    def work(worker: int) -> Counter[str]:
        verdicts: Counter[str] = Counter()
        with httpx2.Client(base_url=server.url) as client:
            sample = client.post("/v1/samples", json={"name": "fuzz", "assembly": "hg19"}).json()["id"]
            for number, original in enumerate(sound):
                assert send(server, client, sample, "H3K4me1", original) == "accepted"
                for mutant in mutants(original, seed + 100 * worker + number, share):
                    verdicts[send(server, client, sample, "H3K4me1", mutant)] += 1
                    assert server.process.poll() is None, "the server died"
        return verdicts

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(work, range(2)), Counter())


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("fuzz") / "data", models=models, default_model="toy") as running:
        yield running


def test_damaged_files_neither_kill_nor_fool_the_service(server: Server, tmp_path: Path) -> None:
    verdicts = fuzz(server, tmp_path, 160, seed=1)
    assert set(verdicts) == {"refused", "accepted"}, verdicts
    assert verdicts["refused"] > 60
    assert verdicts["accepted"] > 5
    assert server.resident_bytes() < MEMORY_BYTES
    assert httpx2.get(f"{server.url}/healthz").status_code == 200


def main(count: int, seed: int) -> None:
    """Send many by hand, against a server with the bundled models."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "originals").mkdir()
        with serve(folder / "data") as server:
            began = time.monotonic()
            verdicts = fuzz(server, folder / "originals", count, seed)
            memory = server.resident_bytes() / 2**20
            print(f"{count} in {time.monotonic() - began:.0f} s: {dict(verdicts)}; {memory:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
