"""Every `bash` and `python` block of the README and the docs runs as it stands, against the real service."""

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
import pytest

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


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_examples_run(server: str, tracks: dict[str, Path], tmp_path: Path, language: str, code: str) -> None:
    for mark, path in tracks.items():
        shutil.copy(path, tmp_path / f"sample-{mark}.bigWig")
    code = code.replace("http://127.0.0.1:8000", server)
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_there_are_examples_for_each_way_of_use() -> None:
    everything = "\n".join(str(block.values[1]) for block in BLOCKS)
    for way in ("curl", "httpx2.post", "epifill impute", "-m training train", "-m training export"):
        assert way in everything


def test_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "training/LOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
