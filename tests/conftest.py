"""What the tests share: a small random data set, a toy model exported from it, its tracks as bigWig, a client."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.model import Model
from app.core.regions import Region
from app.main import create_app
from app.settings import Settings
from app.store.ingest import Limits, take_in
from tests.panelled import CHANNELS, write_panelled
from tests.scripted import impatient, invoke, scripted  # noqa: F401  (fixtures)
from training.data.dataset import Dataset, create_dataset, finish
from training.data.index import Index
from training.paper.export import export
from training.paper.recipe import Recipe
from training.paper.train import start

MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3")
CHRM = Region("chrM", 0, 16_571)
"""663 bins of 25 bp; the last has 21 bp."""
CHR21 = Region("chr21", 33_750_000, 33_800_000)


TOY = Recipe(hidden=24, windows=500, batch=100, iterations=5)
"""The paper's network, but small."""


def random_tracks(rng: np.random.Generator, marks: int, bins: int) -> np.ndarray:
    """Skewed positive values with peaks, float32 (marks, bins)."""
    return (rng.gamma(0.5, 0.4, (marks, bins)) + 8 * (rng.random((marks, bins)) < 0.01)).astype(np.float32)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three samples over chrM and a part of chr21; C lacks H3K9me3, and B is not covered in 10 bins."""
    index = Index(
        assembly="hg19",
        bin_size_bp=25,
        marks=list(MARKS),
        samples=["A", "B", "C"],
        regions=[(r.chrom, r.start, r.end) for r in (CHRM, CHR21)],
        source="random numbers",
    )
    folder = tmp_path_factory.mktemp("dataset")
    arrays = create_dataset(folder, index)
    rng = np.random.default_rng(1)
    for array in arrays.values():
        array[:] = random_tracks(rng, *array.shape)
    arrays["B"][:, 900:910] = np.nan
    arrays["C"][4] = np.nan
    return finish(folder, index, arrays)


@pytest.fixture(scope="session")
def models(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one in it, `toy`: the paper's network, 24 hidden units, random weights."""
    folder = tmp_path_factory.mktemp("models")
    export(start(dataset, ["A", "B"], TOY), dataset, folder / "toy")
    return folder


@pytest.fixture(scope="session")
def model(models: Path) -> Model:
    """The toy model, loaded."""
    return Model(models / "toy", threads=1)


@pytest.fixture(scope="session")
def panel_values() -> np.ndarray:
    """The panel over CHR21, float32 (channels, bins): nothing in the last 500 bins, one channel less in the first."""
    values = random_tracks(np.random.default_rng(7), len(CHANNELS), CHR21.n_bins(25))
    values[:, 1500:] = np.nan
    values[1, :100] = np.nan
    return values


@pytest.fixture(scope="session")
def panel_models(models: Path, panel_values: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with two in it: `toy`, and `panelled`, which has every optional part of the contract."""
    folder = tmp_path_factory.mktemp("panel_models")
    shutil.copytree(models / "toy", folder / "toy")
    write_panelled(folder / "panelled", MARKS, CHR21, panel_values)
    return folder


@pytest.fixture(scope="session")
def panel_model(panel_models: Path) -> Model:
    """The model `panelled`, loaded."""
    return Model(panel_models / "panelled", threads=1)


@pytest.fixture
def panel_client(panel_models: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The service with `panelled` as its default model."""
    app = create_app(Settings(models=panel_models, default_model="panelled", data=tmp_path / "data"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def tracks(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sample B as bigWig files, by mark, named like Roadmap's."""
    folder = tmp_path_factory.mktemp("tracks")
    paths = {}
    for mark, row in zip(MARKS, dataset.values("B"), strict=True):
        paths[mark] = folder / f"B-{mark}.pval.signal.bigWig"
        with BigWigWriter(paths[mark], HG19, 25) as writer:
            writer.add(CHR21, np.asarray(row[663:]))
            writer.add(CHRM, np.asarray(row[:663]))
    return paths


@pytest.fixture(scope="session")
def ingested(tracks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the binned form of sample B, by mark."""
    folders = {}
    for mark, path in tracks.items():
        folders[mark] = tmp_path_factory.mktemp("ingested") / mark
        folders[mark].mkdir()
        asyncio.run(take_in(path, folders[mark], path.name, None, 25, Limits()))
    return folders


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers that are started without a word about it keep their data in a temporary folder."""
    os.environ["EPIFILL_DATA"] = str(tmp_path_factory.mktemp("data"))
    yield
    del os.environ["EPIFILL_DATA"]


@pytest.fixture
def client(models: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The service over the toy model; a fault of its own shows as 500, as it would to a user."""
    app = create_app(Settings(models=models, default_model="toy", max_region_bins=3000, data=tmp_path / "data"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip where there is none."""
    default = Path(__file__).parents[1] / "../shared/data"
    folder = Path(os.environ.get("EPIFILL_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip("no real data: set EPIFILL_REAL_DATA to its folder")
    return folder


def mount_small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs, or a skip where none can be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    yield from mount_small_disk(tmp_path / "disk", 3)
