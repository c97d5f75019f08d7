"""The demonstration, with the real server in its own process, on simulated data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.regions import Region
from app.demo import DemoFailed, run_demo
from app.settings import Settings

REGION = "chr21:33,746,325-34,000,000"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    command = [sys.executable, "-m", "training", "simulate", "--out", str(folder), "--region", REGION]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_main_job_through_the_real_service(sample: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=200, quiet=False, file=(tmp_path / "log").open("w"))
    run_demo(sample, None, "H3K4me3", REGION, tmp_path, Settings(), console)
    console.file.close()
    text = console.export_text()
    assert "SIM001 (simulated data), H3K4me3 hidden, 4 tracks uploaded" in text
    for name in ("epifill-core5", "paper-core5", "panel mean"):
        assert name in text
    assert "bins/s" in text
    assert "trained on" not in text
    path = tmp_path / "SIM001-H3K4me3.epifill-core5.bigWig"
    with Tracks({"m": TrackFile(path, path.name)}, HG19, 25) as tracks:
        assert not np.isnan(tracks.read(Region("chr21", 33_746_325, 34_000_000)).values).any()
    assert (tmp_path / "SIM001-H3K4me3.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "hide", "region", "says"),
    [
        ("E999", "H3K4me3", REGION, "has no sample E999; it has SIM001"),
        (None, "CTCF", REGION, "Sample SIM001 has no CTCF to hide"),
        (None, "H3K4me3", "chr1:1-100", "The service refused: No observed track has a value"),
    ],
)
def test_what_does_not_work_is_said(
    sample: Path, tmp_path: Path, name: str | None, hide: str, region: str, says: str
) -> None:
    with pytest.raises(DemoFailed, match=says):
        run_demo(sample, name, hide, region, tmp_path, Settings(), Console(quiet=True))


def test_a_folder_without_tracks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DemoFailed, match="holds no tracks named like"):
        run_demo(tmp_path, None, "H3K4me3", REGION, tmp_path, Settings(), Console(quiet=True))
    monkeypatch.setenv("EPIFILL_REAL_DATA", str(tmp_path))
    with pytest.raises(DemoFailed, match="make one with `python -m training simulate"):
        run_demo(None, None, "H3K4me3", REGION, tmp_path, Settings(), Console(quiet=True))
