import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.core.assemblies import HG19, HG38, Assembly
from app.core.bigwig.write import BigWigWriter
from app.core.errors import BadModel
from app.core.model import Model, sha256_of
from app.core.panel import Gaps, Panel
from app.core.regions import Region
from tests.conftest import CHR21, CHRM
from tests.panelled import CHANNELS
from tests.test_model import change


@pytest.fixture
def folder(panel_models: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be spoiled."""
    return Path(shutil.copytree(panel_models / "panelled", tmp_path / "panelled"))


def replace_channel(folder: Path, content: bytes) -> None:
    """Put another file there, with its right hash."""
    path = folder / f"panel/{CHANNELS[1]}.bigWig"
    path.write_bytes(content)
    change(folder, lambda m: m["sha256"].update({f"panel/{CHANNELS[1]}.bigWig": sha256_of(path)}))


def test_channels_are_read_in_order_and_nothing_is_nan(panel_models: Path, panel_values: np.ndarray) -> None:
    panel = Panel(panel_models / "panelled", CHANNELS[::-1], HG19, 25)
    np.testing.assert_array_equal(panel.read(CHR21), panel_values[::-1])
    for region in (CHRM, Region("chr1", 0, 1000)):
        read = panel.read(region)
        assert (read.shape, read.dtype) == ((2, region.n_bins(25)), np.float32)
        assert np.isnan(read).all()


def test_threads_read_the_same(panel_model: Model, panel_values: np.ndarray) -> None:
    panel = panel_model.panel
    assert panel is not None
    regions = [Region("chr21", 33_750_000 + 25 * i, 33_750_000 + 25 * (i + 300)) for i in range(0, 1700, 17)]
    with ThreadPoolExecutor(4) as pool:
        for i, read in zip(range(0, 1700, 17), pool.map(panel.read, regions), strict=True):
            np.testing.assert_array_equal(read, panel_values[:, i : i + 300])


def test_a_broken_file_is_a_broken_model(folder: Path, tmp_path: Path) -> None:
    content = (folder / f"panel/{CHANNELS[1]}.bigWig").read_bytes()
    replace_channel(folder, content[:-100])
    with pytest.raises(BadModel, match=r"Model 'panelled': a file of its panel cannot be used: 'panel/H3K4me3.mean"):
        Model(folder)
    with BigWigWriter(tmp_path / "x.bw", HG38, 25) as writer:
        writer.add(Region("chr21", 0, 1000), np.ones(40, np.float32))
    replace_channel(folder, (tmp_path / "x.bw").read_bytes())
    with pytest.raises(BadModel, match="is in assembly hg38, but the model works in hg19"):
        Model(folder)


def test_a_changed_or_missing_file_is_noticed(folder: Path) -> None:
    path = folder / f"panel/{CHANNELS[0]}.bigWig"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadModel, match=r"'panel/H3K4me1\.mean\.bigWig' is not the file that was exported"):
        Model(folder)
    path.unlink()
    with pytest.raises(BadModel, match=r"the file 'panel/H3K4me1\.mean\.bigWig' is missing"):
        Model(folder)
    change(folder, lambda m: m["sha256"].pop("panel/H3K4me1.mean.bigWig"))
    with pytest.raises(BadModel, match=r"has no sha256 of panel/H3K4me1\.mean\.bigWig"):
        Model(folder)


def test_gaps_are_counted_and_the_first_are_named() -> None:
    missing = np.zeros(663, bool)
    missing[[0, 5, 6, 662]] = True
    everywhere = np.ones(663, bool)
    gaps = Gaps.of({"A": missing, "B": everywhere}, CHRM, 25)
    regions = (Region("chrM", 0, 25), Region("chrM", 125, 175), Region("chrM", 16_550, 16_571))
    assert gaps == Gaps(4, regions, {"A": 4, "B": 663})
    many = {"A": np.arange(100) % 2 == 0}
    assert Gaps.of(many, Region("chr1", 0, 2500), 25).bins == 50
    assert len(Gaps.of(many, Region("chr1", 0, 2500), 25).regions) == 20


def test_gaps_of_neighbouring_regions_become_one() -> None:
    assembly = Assembly("two", {"a": 10_000, "b": 10_000})
    everything = {"A": np.ones(40, bool)}
    gaps = Gaps()
    for region in (*Region("a", 0, 3000).pieces(1000), Region("b", 0, 1000)):
        gaps = gaps.then(Gaps.of(everything, region, 25), assembly)
    assert gaps == Gaps(160, (Region("a", 0, 3000), Region("b", 0, 1000)), {"A": 160})
