"""The child process that takes uploads in, and the limits that hold it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from app.core.assemblies import HG19
from app.core.binned import BinnedTracks
from app.core.errors import NotABigWig
from app.core.regions import Region
from app.store.files import ORIGINAL
from app.store.ingest import Limits, take_in

LIMITS = "from app.store.child import limit\nlimit(2**30, 2, 1000)\n"


def in_limits(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a process that has given up what an ingest gives up."""
    return subprocess.run([sys.executable, "-c", LIMITS + code], capture_output=True, text=True, timeout=60)


def test_memory_file_size_and_time_are_limited(tmp_path: Path) -> None:
    assert "MemoryError" in in_limits("bytearray(2**31)").stderr
    path = tmp_path / "large"
    in_limits(f"open({str(path)!r}, 'wb', 0).write(bytes(5000))")
    assert path.stat().st_size <= 1000
    assert in_limits("while True: pass").returncode == -signal.SIGXCPU


def test_there_is_no_network() -> None:
    """Not even to this machine, where the kernel allows to give it up."""
    result = in_limits("import socket\nprint([name for _, name in socket.if_nameindex()])")
    namespace = in_limits("import os\nprint(os.readlink('/proc/self/ns/net'))").stdout.strip()
    if namespace == os.readlink("/proc/self/ns/net"):  # noqa: PTH115
        pytest.skip("this kernel does not let a process give up its network")
    assert result.stdout.strip() in ("['lo']", "[]")
    probe = "import socket\nsocket.create_connection(('127.0.0.1', 9), 2)"
    assert "Network is unreachable" in in_limits(probe).stderr


def test_a_child_works_within_the_limits_that_it_is_handed(tmp_path: Path) -> None:
    """With no memory to speak of it cannot bin a track that it otherwise can."""
    sparse_track(tmp_path / ORIGINAL, 500)
    with pytest.raises(NotABigWig, match="takes more time or memory"):
        asyncio.run(take_in(tmp_path / ORIGINAL, tmp_path, "x.bw", None, 25, Limits(memory_bytes=2**20)))
    assert asyncio.run(take_in(tmp_path / ORIGINAL, tmp_path, "x.bw", None, 25, Limits())).assembly == "hg19"


def test_too_much_work_is_ended_and_said(tmp_path: Path) -> None:
    sparse_track(tmp_path / ORIGINAL, 30_000)
    with pytest.raises(NotABigWig, match="takes more time or memory"):
        asyncio.run(
            take_in(tmp_path / ORIGINAL, tmp_path, "x.bw", None, 25, Limits(base_seconds=0, bytes_per_second=10**9))
        )


def sparse_track(path: Path, count: int) -> np.ndarray:
    """Short intervals all over hg19, at most one in a piece of 10 kb."""
    rng = np.random.default_rng(0)
    total = sum(HG19.chromosomes.values())
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(HG19.chromosomes.items()))
        for chrom, length in HG19.chromosomes.items():
            most = length // 10_000
            places = np.sort(rng.choice(most, min(most, count * length // total), replace=False)) * 10_000
            if len(places):
                values = rng.random(len(places))
                file.addEntries(
                    [chrom] * len(places), places.tolist(), ends=(places + 400).tolist(), values=values.tolist()
                )
                if chrom == "chr21":
                    kept = places
    return kept


@pytest.mark.parametrize("count", [2000, pytest.param(80_000, marks=pytest.mark.slow)])
def test_a_sparse_track_of_a_whole_genome_is_taken_in(tmp_path: Path, count: int) -> None:
    """Its work grows with the genome, not with its few bytes."""
    places = sparse_track(tmp_path / ORIGINAL, count)
    taken = asyncio.run(take_in(tmp_path / ORIGINAL, tmp_path, "x.bw", None, 25, Limits()))
    assert taken.assembly == "hg19"
    stored = BinnedTracks({"m": tmp_path}).read(Region("chr21", 0, 48_129_895)).values[0]
    there = np.flatnonzero(~np.isnan(stored))
    np.testing.assert_array_equal(there, (places[:, None] // 25 + np.arange(16)).ravel())


def test_the_answer_of_a_child_is_all_that_is_believed(tmp_path: Path) -> None:
    """One that dies without a word is a damaged file."""
    (tmp_path / ORIGINAL).write_bytes(b"x" * 100)
    request = {"path": str(tmp_path / "nowhere"), "memory_bytes": 2**31, "cpu_seconds": 5, "file_bytes": 1}
    result = subprocess.run(
        [sys.executable, "-m", "app.store.child"], input=json.dumps(request), capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stdout == ""
