"""Strength of tracks: judged where the training samples were, whatever part of the genome a track covers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.assemblies import HG19
from app.core.binned import BinnedTracks, write_binned
from app.core.errors import BadModel
from app.core.manifest import YardstickDescription
from app.core.marks import Plan
from app.core.model import Model
from app.core.panel import Panel
from app.core.quality import Verdict
from app.core.quantiles import LEVELS, Distribution, quantile_function
from app.core.regions import Region
from app.core.signal import Signal
from app.core.strength import judge
from app.core.warnings import Outcome, warnings_of
from app.core.yardstick import LEAST_BINS, Yardstick

MARKS = ("H3K4me1", "H3K4me3")
REGIONS = [Region("chr21", 20_000_000, 20_500_000), Region("chr21", 30_000_000, 30_500_000)]
BINS = 20_000


class OneTrackPanel(Panel):
    """A panel of known values over REGIONS, one channel per mark; it stands for files."""

    def __init__(self, signal: np.ndarray) -> None:
        self._signal = signal

    def read(self, region: Region) -> np.ndarray:
        return np.split(self._signal, 2, axis=1)[REGIONS.index(region)]


@pytest.fixture
def signal() -> np.ndarray:
    """A quiet region and a busy one, as the panel has them."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.gamma(0.5, 0.2, BINS), rng.gamma(2, 3, BINS)]).astype(np.float32)[None]


def test_a_track_of_all_regions_is_judged_by_its_quantile_function(signal: np.ndarray) -> None:
    values = np.random.default_rng(1).gamma(1, 1, 2 * BINS).astype(np.float32)
    found = Yardstick(OneTrackPanel(signal), REGIONS).judge(0, values)
    assert found is not None
    assert found.share == 1
    np.testing.assert_array_equal(found.quantiles, quantile_function(values))


def test_a_part_is_weighed_as_the_whole_is_composed(signal: np.ndarray) -> None:
    """A track like the panel, of which three quarters of the quiet region are not covered."""
    values = (signal[0] * np.random.default_rng(1).uniform(0.5, 2, 2 * BINS)).astype(np.float32)
    whole = quantile_function(values)
    values[: 3 * BINS // 4] = np.nan
    found = Yardstick(OneTrackPanel(signal), REGIONS).judge(0, values)
    assert found is not None
    assert found.share == 0.625
    asked = [LEVELS.index(level) for level in (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)]
    unweighed, weighed = quantile_function(values)[asked], found.quantiles[asked]
    np.testing.assert_allclose(weighed, whole[asked], rtol=0.06)
    assert np.abs(unweighed / whole[asked] - 1).max() > 0.5
    assert (np.diff(found.quantiles) >= 0).all()


def test_too_little_is_not_judged(signal: np.ndarray) -> None:
    values = np.full(2 * BINS, np.nan, np.float32)
    values[: LEAST_BINS - 1] = 1
    yardstick = Yardstick(OneTrackPanel(signal), REGIONS)
    assert yardstick.judge(0, values) is None
    values[LEAST_BINS - 1] = 1
    assert yardstick.judge(0, values) is not None


class Everywhere:
    """Tracks with values on some regions, and a distribution of their own."""

    def __init__(self, covered: list[Region]) -> None:
        self._covered = covered

    def read(self, region: Region) -> Signal:
        values = np.random.default_rng(region.start).gamma(1, 1, (2, region.n_bins(25))).astype(np.float32)
        return Signal(values if region in self._covered else values * np.nan, MARKS, region, 25)

    def read_row(self, mark: str, region: Region) -> np.ndarray:
        return self.read(region).row(mark)

    def distribution(self, mark: str) -> Distribution:
        return Distribution(np.full(len(LEVELS), 7, np.float32), 0.5)

    def verdict(self, mark: str) -> Verdict:
        return Verdict()

    def kept(self, mark: str, name: str, work_out: Callable[[], Any]) -> Any:
        return work_out()


@pytest.fixture
def judging(panel_model: Model, signal: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Model:
    """`panelled` with a yardstick."""
    both = np.repeat(signal, len(panel_model.marks), axis=0)
    monkeypatch.setattr(panel_model, "yardstick", Yardstick(OneTrackPanel(both), REGIONS))
    return panel_model


def test_whoever_has_nothing_there_is_judged_by_all_of_its_values(judging: Model) -> None:
    known, unknown = Everywhere(REGIONS), Everywhere([])
    by_regions, by_all = judge(known, judging, MARKS), judge(unknown, judging, MARKS)
    assert by_regions is not None
    assert by_all is not None
    assert by_regions.judged == {"H3K4me1": 1.0, "H3K4me3": 1.0}
    assert by_all.judged == {"H3K4me1": None, "H3K4me3": None}
    rows = [judging.marks.index(mark) for mark in MARKS]
    assert (by_all.quantiles[rows] == 7).all()
    assert not (by_regions.quantiles[rows] == 7).any()
    assert np.isnan(np.delete(by_all.quantiles, rows, axis=0)).all()
    plan = Plan(MARKS, (), ("H3K9me3",))
    assert warnings_of(known, judging, plan, Outcome(by_regions)) == []
    (first, _) = warnings_of(unknown, judging, plan, Outcome(by_all))
    assert first.startswith("H3K4me1 covers 50.0% of hg19 and has hardly a value where the model judges")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("regions", ["chrom"], "a region of its yardstick is wrong: .*chrom"),
        ("channels", ["H3K4me1.mean"], "has one of the panel's channels per mark"),
    ],
)
def test_a_yardstick_is_part_of_the_contract(tmp_path: Path, field: str, value: list[str], says: str) -> None:
    bundled, folder = Path(__file__).parents[1] / "models/epifill-core5", tmp_path / "epifill-core5"
    folder.mkdir()
    manifest = json.loads((bundled / "model.json").read_text())
    manifest["panel"]["yardstick"][field] = value
    (folder / "model.json").write_text(json.dumps(manifest))
    for name in ("panel", "model.onnx"):
        (folder / name).symlink_to(bundled / name)
    with pytest.raises(BadModel, match=says):
        Model(folder)


def test_what_a_model_judged_is_kept_with_the_track(
    judging: Model, signal: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later request, of whatever other tracks, does not look at the values again; another yardstick does."""
    source = Everywhere(REGIONS)
    folders = {mark: tmp_path / mark for mark in MARKS}
    for mark, folder in folders.items():
        folder.mkdir()
        rows = ((region, source.read_row(mark, region)) for region in REGIONS)
        write_binned(folder, HG19, 25, source.distribution(mark), rows)
    first = judge(BinnedTracks(folders), judging, MARKS)
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(Yardstick, "judge", None)
        again = judge(BinnedTracks(folders), judging, MARKS)
        alone = judge(BinnedTracks({MARKS[0]: folders[MARKS[0]]}), judging, MARKS[:1])
    assert again is not None
    assert alone is not None
    np.testing.assert_array_equal(again.quantiles, first.quantiles)
    assert again.judged == first.judged
    assert alone.judged == {MARKS[0]: first.judged[MARKS[0]]}
    other = judging.manifest.panel.model_copy(
        update={"yardstick": YardstickDescription(regions=["chr21"], channels=[])}
    )
    monkeypatch.setattr(judging, "manifest", judging.manifest.model_copy(update={"panel": other}))
    monkeypatch.setattr(Yardstick, "judge", lambda *_: None)
    assert judge(BinnedTracks(folders), judging, MARKS).judged == dict.fromkeys(MARKS)
