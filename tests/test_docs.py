"""Every `bash` and `python` block of the README and the docs runs as it stands, against the real service."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.regions import Region
from tests.conftest import MARKS, random_tracks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(language, code, id=f"{page.name}-{number}-{language}")
    for page in PAGES
    for number, (language, code) in enumerate(
        re.findall(r"^```(bash|python)\n(.*?)^```", page.read_text(), re.M | re.S)
    )
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """`epifill serve` with the bundled models, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "app", "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx2.get(f"{url}/readyz")
            break
        except httpx2.HTTPError:
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def megabase(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A track of each mark over the megabase that the examples are about, by the names that they use."""
    region = Region("chr21", 33_750_000, 34_750_000)
    folder = tmp_path_factory.mktemp("megabase")
    values = random_tracks(np.random.default_rng(3), len(MARKS), region.n_bins(25))
    paths = {mark: folder / f"sample-{mark}.bigWig" for mark in MARKS}
    for path, row in zip(paths.values(), values, strict=True):
        with BigWigWriter(path, HG19, 25) as writer:
            writer.add(region, row)
    return paths


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_examples_run(server: str, megabase: dict[str, Path], tmp_path: Path, language: str, code: str) -> None:
    """And those that score a mark do so over enough bins to tell something."""
    for path in megabase.values():
        shutil.copy(path, tmp_path / path.name)
    scores = "mask" in code
    code = code.replace("http://127.0.0.1:8000", server)
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    if scores:
        told = re.findall(r"over ([\d,]+) bins", result.stdout)
        if (answer := tmp_path / "answer.json").exists():
            scored = [track["score"] for track in json.loads(answer.read_bytes())["tracks"] if "score" in track]
            told += [str(score["bins"]) for score in scored]
        assert told, "no score is shown"
        assert min(int(bins.replace(",", "")) for bins in told) >= 10_000


def test_examples_use_what_labs_have() -> None:
    """No library of a few, and what is no part of Python is said to be installed."""
    for page in PAGES:
        text = page.read_text()
        for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
            imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) - sys.stdlib_module_names
            assert imported <= {"requests", "numpy"}, page.name
            for library in imported:
                assert f"pip install {library}" in text, f"{page.name}: {library}"


def test_there_are_examples_for_each_way_of_use() -> None:
    everything = "\n".join(str(block.values[1]) for block in BLOCKS)
    for way in ("curl", "requests.post", "epifill impute", "-m training train", "-m training export"):
        assert way in everything


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "training/LOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
