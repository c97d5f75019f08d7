"""A model with quantiles, a panel and an interval, on every way to ask it: one shot, stored sample, command line."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.impute import Imputation, impute
from app.core.manifest import Manifest
from app.core.marks import Plan, plan
from app.core.model import Model
from app.core.panel import Gaps
from app.core.quality import Verdict
from app.core.regions import Region
from app.core.strength import Strength
from app.core.warnings import Outcome, warnings_of
from tests.conftest import CHR21, MARKS
from tests.test_api import post, problem
from tests.test_cli import read as read_bigwig
from tests.test_cli import run, track_options
from tests.test_samples import new_sample, put

REGION = Region("chr21", 33_785_000, 33_790_000)
"""200 bins, of which the panel has the first 100."""
SEEN = ("H3K4me1", "H3K4me3", "H3K36me3")
PARTS = ("imputed", "lower", "upper")
ASKED = {"region": str(REGION), "mask": "H3K4me3", "targets": ["H3K4me3", "H3K9me3"]}


@pytest.fixture(scope="module")
def core(panel_model: Model, tracks: dict[str, Path]) -> Imputation:
    """What the core says of the same files."""
    with Tracks({mark: TrackFile(tracks[mark], mark) for mark in SEEN}, HG19, 25) as opened:
        settled = plan(panel_model, SEEN, ["H3K4me3"], ["H3K4me3", "H3K9me3"])
        return impute(opened, panel_model, settled, REGION)


@pytest.fixture(scope="module")
def values(core: Imputation) -> np.ndarray:
    """Float32 (outputs, targets, bins)."""
    return np.stack([signal.values for signal in core.parts().values()])


def ask(client: TestClient, tracks: dict[str, Path], way: str, **more: object) -> Response:
    if way == "one shot":
        return post(client, [tracks[mark] for mark in SEEN], **ASKED, **more)
    sample = new_sample(client)
    for mark in SEEN:
        assert put(client, sample, mark, tracks[mark].read_bytes()).status_code == 201
    return client.get(f"/v1/samples/{sample}/region", params={**ASKED, **more})


@pytest.mark.parametrize("way", ["one shot", "stored"])
def test_json_is_bit_for_bit_what_the_core_says(
    panel_client: TestClient, tracks: dict[str, Path], values: np.ndarray, way: str
) -> None:
    response = ask(panel_client, tracks, way)
    answer = response.json()
    for name, rows in zip(("values", "lower", "upper"), values, strict=True):
        got = [[np.nan if v is None else v for v in track[name]] for track in answer["tracks"]]
        np.testing.assert_array_equal(np.array(got, np.float32), rows)
    assert answer["interval_coverage"] == 0.8
    without = {"bins_without": 100, "regions_without": ["chr21:33,787,500-33,790,000"]}
    assert answer["panel"] == {"samples": ["A", "C"], **without}
    first, second, third = answer["warnings"]
    assert first.startswith("H3K4me1 covers less than 0.1% of hg19; panelled judged its strength by all")
    assert second.startswith("H3K36me3 covers")
    assert third.startswith("panelled's panel has nothing in 100 of the imputed bins")
    header = json.loads(response.headers["epifill-result"])
    assert {name: header[name] for name in ("panel", "warnings", "interval_coverage")} == {
        name: answer[name] for name in ("panel", "warnings", "interval_coverage")
    }


def test_the_command_line_says_the_same(
    panel_models: Path, tracks: dict[str, Path], core: Imputation, tmp_path: Path
) -> None:
    options = [*track_options(tracks, *SEEN), "--mask", "H3K4me3", "--target", "H3K4me3", "--target", "H3K9me3"]
    options += ["--region", str(REGION), "--model", "panelled", "--models", str(panel_models)]
    result = run("impute", *options, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for mark in ("H3K4me3", "H3K9me3"):
        for name, signal in core.parts().items():
            np.testing.assert_array_equal(read_bigwig(tmp_path / f"{mark}.{name}.bigWig", REGION), signal.row(mark))
        for part in ("imputed", "lower", "upper"):
            noted = manifest["outputs"][f"{mark}.{part}.bigWig"]
            assert (noted["mark"], noted["part"], noted["bins"]) == (mark, part, 200)
    assert len(list(tmp_path.iterdir())) == 7
    assert manifest["interval_coverage"] == 0.8
    assert manifest["panel"]["bins_without"] == 100
    assert manifest["panel"]["regions_without"] == ["chr21:33,787,500-33,790,000"]
    assert result.stderr.splitlines() == [f"Warning: {warning}" for warning in manifest["warnings"]]
    assert len(manifest["warnings"]) == 3


@pytest.mark.parametrize("way", ["one shot", "stored"])
def test_npy_has_the_bounds_if_asked(
    panel_client: TestClient, tracks: dict[str, Path], values: np.ndarray, way: str
) -> None:
    plain = ask(panel_client, tracks, way, format="npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(plain.content)), values[0])
    asked = ask(panel_client, tracks, way, format="npy", interval="true")
    np.testing.assert_array_equal(np.load(io.BytesIO(asked.content)), values)


def test_bigwig_has_the_bounds_if_asked(
    panel_client: TestClient, tracks: dict[str, Path], core: Imputation, tmp_path: Path
) -> None:
    one = {"region": str(REGION), "mask": "H3K4me3", "targets": "H3K9me3", "format": "bigwig"}
    files = [tracks[mark] for mark in SEEN]
    assert post(panel_client, files, **one).content[:4] == b"\x26\xfc\x8f\x88"
    response = post(panel_client, files, **one, interval="true")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == [f"B.H3K9me3.{name}.bigWig" for name in PARTS]
        archive.extractall(tmp_path)
    for name, signal in core.parts().items():
        np.testing.assert_array_equal(read_bigwig(tmp_path / f"B.H3K9me3.{name}.bigWig", REGION), signal.row("H3K9me3"))


def test_bedgraph_has_the_bounds_if_asked(panel_client: TestClient, tracks: dict[str, Path]) -> None:
    plain = ask(panel_client, tracks, "one shot", format="bedgraph").text.splitlines()
    asked = ask(panel_client, tracks, "one shot", format="bedgraph", interval="true").text.splitlines()
    heads = [line for line in asked if line.startswith("track")]
    assert [line for line in plain if line.startswith("track")] == heads[::3]
    assert len(asked) == 3 * len(plain) == 6 * 201
    assert heads[1] == 'track type=bedGraph name="H3K4me3 lower" description="H3K4me3 lower by panelled"'


def test_an_interval_of_a_model_that_gives_none_is_refused(panel_client: TestClient, tracks: dict[str, Path]) -> None:
    for way in ("one shot", "stored"):
        response = ask(panel_client, tracks, way, model="toy", interval="true")
        assert "toy gives no interval; leave out" in problem(response, 422, "no-interval")
    answer = ask(panel_client, tracks, "stored", model="toy").json()
    assert answer["interval_coverage"] is answer["panel"] is None
    assert answer["warnings"] == []
    assert not {"lower", "upper"} & set(answer["tracks"][0])


def test_a_strong_part_elsewhere_in_the_track_counts(
    panel_client: TestClient, tracks: dict[str, Path], tmp_path: Path
) -> None:
    """The quantiles are those of the whole file: a peak on chr1 changes what is said of chr21."""
    with Tracks({"m": TrackFile(tracks["H3K4me1"], "x")}, HG19, 25) as opened:
        row = opened.read(CHR21).values[0]
    path = tmp_path / "H3K4me1.bigWig"
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(Region("chr1", 1_000_000, 1_001_000), np.full(40, 1e4, np.float32))
        writer.add(CHR21, row)
    whole, cut = (post(panel_client, [p], region=str(REGION)).json() for p in (path, tracks["H3K4me1"]))
    assert whole["tracks"][0]["values"] != cut["tracks"][0]["values"]


def test_models_show_their_optional_parts(panel_client: TestClient, panel_models: Path) -> None:
    detail = panel_client.get("/v1/models/panelled").json()
    manifest = Manifest.model_validate_json((panel_models / "panelled/model.json").read_bytes()).model_dump()
    for name in ("quantile_levels", "panel", "interval_coverage", "benchmark", "reliability"):
        assert detail[name] == manifest[name]
        assert panel_client.get("/v1/models/toy").json()[name] is None
    shown = run("models", "panelled", "--models", panel_models).stdout
    for words in ("3 quantiles", "2 channels of A, C", "80%", "panel mean", "0.400", "top decile"):
        assert words in shown


@pytest.mark.parametrize(
    ("fraction", "gaps", "says"),
    [
        (0.9, None, []),
        (0.9, Gaps(), []),
        (0.3, Gaps(), []),
        (0.009, Gaps(), ["H3K4me1 covers 0.9% of hg19"]),
        (0.9, Gaps(5000, (CHR21,)), ["nothing in 5,000 of the imputed bins"]),
    ],
)
def test_warnings(panel_model: Model, model: Model, fraction: float, gaps: Gaps | None, says: list[str]) -> None:
    class Covering:
        read = None

        def distribution(self, mark: str):
            return type("D", (), {"covered_fraction": fraction})

        def verdict(self, mark: str) -> Verdict:
            return Verdict()

    strength, plan = Strength(np.zeros((5, 3), np.float32), {MARKS[0]: None}), Plan(MARKS[:1], (), MARKS[1:])
    found = warnings_of(Covering(), panel_model, plan, Outcome(strength, gaps))
    assert len(found) == len(says)
    assert all(words in sentence for words, sentence in zip(says, found, strict=True))
    assert warnings_of(Covering(), model, plan, Outcome()) == []
