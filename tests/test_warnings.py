"""What is known about a track or a result goes with it, whatever the way in."""

import json
from pathlib import Path

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.core.assemblies import HG19
from app.core.bigwig.write import BigWigWriter
from app.core.manifest import Accuracy, Manifest, MarkAccuracy
from app.core.panel import Gaps
from app.core.regions import Region
from app.core.trust import Trust, trust
from tests.conftest import CHR21, random_tracks
from tests.server import serve
from tests.test_api import post
from tests.test_cli import refused, run
from tests.test_imputations import start, upload, watch

REGION = "chr21:33,750,000-33,760,000"


def written(path: Path, values: np.ndarray, region: Region = CHR21) -> Path:
    path.parent.mkdir(exist_ok=True)
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(region, values.astype(np.float32))
    return path


@pytest.fixture(scope="module")
def odd(tracks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """H3K4me1 as log ratios, H3K4me3 constant, the others as they should be."""
    folder = tmp_path_factory.mktemp("odd")
    values = random_tracks(np.random.default_rng(2), 1, CHR21.n_bins(25))[0]
    return {
        **tracks,
        "H3K4me1": written(folder / "H3K4me1.bigWig", np.log2((values + 0.1) / 0.6)),
        "H3K4me3": written(folder / "H3K4me3.bigWig", np.full(len(values), 1.5)),
    }


def told(warnings: list[str]) -> None:
    """The log ratios are warned of, the constant track is set aside."""
    assert any(w.startswith("H3K4me1: ") and "no -log10 p-value is" in w for w in warnings), warnings
    assert any(w.startswith("H3K4me3 was set aside and counts as not observed: every value is 1.5") for w in warnings)


SEEN = ("H3K4me1", "H3K4me3", "H3K36me3")


def test_one_shot_and_region_say_what_is_odd(panel_client: TestClient, odd: dict[str, Path]) -> None:
    answer = post(panel_client, [odd[mark] for mark in SEEN], region=REGION).json()
    told(answer["warnings"])
    assert answer["observed"] == ["H3K4me1", "H3K36me3"]
    sample = upload(panel_client, odd, SEEN)
    stored = panel_client.get(f"/v1/samples/{sample}/region", params={"region": REGION}).json()
    assert stored == answer
    track = panel_client.get(f"/v1/samples/{sample}/tracks/H3K4me3").json()
    assert track["warnings"] == [
        "The track counts as not observed: every value is 1.5, and a constant track tells a model nothing."
    ]


def test_command_line_and_job_say_the_same(panel_models: Path, odd: dict[str, Path], tmp_path: Path) -> None:
    options = [word for mark in SEEN for word in ("--track", f"{mark}={odd[mark]}")]
    given = ["--model", "panelled", "--models", panel_models, "--region", REGION]
    result = run("impute", *options, *given, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    told(manifest["warnings"])
    assert all(f"Warning: {warning}" in result.stderr.splitlines() for warning in manifest["warnings"])
    with (
        serve(tmp_path / "data", models=panel_models, default_model="panelled", engine_workers=1) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        sample = upload(client, odd, SEEN)
        job = start(client, sample, regions=[REGION, "chr1:1-2"], score=False).raise_for_status().json()
        ended = watch(client, job)[-1]
        assert ended["status"] == "finished"
        told(ended["warnings"])
        assert "No unmasked track has a value in 1 of 2 regions: chr1:1-2." in ended["warnings"]
        from_job = client.get(ended["links"]["manifest"]).json()
        assert from_job["warnings"] == ended["warnings"]
        assert from_job["trust"] == ended["trust"] == manifest["trust"]
        refusal = start(client, sample, regions=["chr1:1-2", "chr2"])
        assert (refusal.status_code, refusal.json()["type"]) == (422, "urn:epifill:problem:no-overlap")
        assert refusal.json()["detail"].startswith("No unmasked track has a value in chr1:1-2, chr2;")


def test_only_tracks_that_tell_nothing_are_nothing(client: TestClient, odd: dict[str, Path]) -> None:
    answer = post(client, [odd["H3K4me3"]], region=REGION)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert detail.startswith("No track is left to impute from: H3K4me3 was set aside")


def test_a_hidden_mark_that_cannot_be_compared_says_why(
    client: TestClient, odd: dict[str, Path], tmp_path: Path
) -> None:
    """It lies where no other track has a value; or is constant."""
    elsewhere = written(tmp_path / "H3K9me3.bigWig", np.linspace(0, 3, 100), Region("chr21", 33_755_000, 33_757_500))
    near = written(tmp_path / "H3K4me1.bigWig", np.linspace(0, 3, 100), Region("chr21", 33_750_000, 33_752_500))
    answer = post(client, [near, elsewhere], region=REGION, mask="H3K9me3", targets="H3K9me3").json()
    score = answer["tracks"][0]["score"]
    assert (score["bins"], score["every"]) == (0, 1)
    assert score["reason"] == "no track that was imputed from covers a bin where it could be compared."
    assert f"H3K9me3 has no score: {score['reason']}" in answer["warnings"]
    answer = post(client, [near, odd["H3K4me3"]], region=REGION, mask="H3K4me3", targets="H3K4me3").json()
    assert answer["masked"] == ["H3K4me3"]
    assert any(w.startswith("H3K4me3 has no score: the measured track is 1.5 in every bin") for w in answer["warnings"])


def test_a_region_that_nothing_covers_is_refused_at_once(models: Path, tracks: dict[str, Path], tmp_path: Path) -> None:
    """Not after all of its bins have been imputed."""
    path = written(tmp_path / "in/H3K4me1.bigWig", np.linspace(0, 3, 100), Region("chr21", 33_750_000, 33_752_500))
    options = ["--track", f"H3K4me1={path}", "--model", "toy", "--models", models]
    result = run("impute", *options, "--region", "chrM", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert result.stderr.strip().endswith(
        "No unmasked track has a value in chrM; choose tracks or a region with values."
    )
    assert "Imputing" not in result.stdout


def test_another_runs_folder_is_kept_unless_it_is_to_be_replaced(
    models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def impute(target: str, *more: str):
        track = f"H3K4me1={tracks['H3K4me1']}"
        options = ["--track", track, "--model", "toy", "--models", models, "--region", REGION, "--target", target]
        return run("impute", *options, "--out", out, *more)

    assert impute("H3K4me3").returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"H3K4me3.imputed.bigWig", "manifest.json"}
    says = "holds the results of another run; give another folder, or replace it with --force."
    assert says in refused(impute("H3K9me3"))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert impute("H3K9me3", "--force").returncode == 0
    assert {path.name for path in out.iterdir()} == {"H3K9me3.imputed.bigWig", "manifest.json"}
    (out / "manifest.json").unlink()
    assert "holds a track of another run, H3K9me3.imputed.bigWig;" in refused(impute("H3K4me3"))
    (out / "H3K9me3.imputed.bigWig").unlink()
    (out / ".epifill").mkdir()
    assert "holds another run that was stopped;" in refused(impute("H3K4me3"))
    assert impute("H3K4me3", "--force").returncode == 0


def accuracy(panel: bool | None, pearson: float) -> Accuracy:
    own = MarkAccuracy(mark="A", pearson=pearson, pearson_arcsinh=0.5, spearman=0.5, mse_arcsinh=0.1, bins=10)
    return Accuracy(protocol="p", marks=[own], panel=panel)


@pytest.mark.parametrize(
    ("missing", "says"), [(0, "r 0.56"), (100, "r 0.34"), (88, "r 0.56 with panel (12%), 0.34 without")]
)
def test_the_accuracy_to_expect_is_that_with_and_without_the_panel(panel_models: Path, missing: int, says: str) -> None:
    manifest = Manifest.model_validate_json((panel_models / "panelled/model.json").read_bytes())
    manifest = manifest.model_copy(update={"accuracy": [accuracy(True, 0.56), accuracy(False, 0.34)]})
    gaps = Gaps(missing, (), {"A": missing})
    found = trust(manifest, {"A": 100}, gaps)["A"]
    assert found.expected() == says
    assert found.panel_share == pytest.approx(1 - missing / 100)
    assert Trust.of(json.loads(json.dumps(found.plain()))) == found
    unknown = trust(manifest.model_copy(update={"accuracy": []}), {"A": 100}, gaps)["A"]
    assert "unknown" in unknown.expected()


def test_answers_say_how_far_to_trust_each_target(panel_client: TestClient, tracks: dict[str, Path]) -> None:
    """The panel ends at bin 1500; `panelled` has no panel of H3K9me3 in its description, so all channels count."""
    paths = [tracks["H3K4me1"], tracks["H3K36me3"]]
    answer = post(panel_client, paths, region="chr21:33,780,000-33,800,000", targets="H3K9me3").json()
    assert answer["trust"]["H3K9me3"]["panel_share"] == pytest.approx(300 / 800)
    assert answer["trust"]["H3K9me3"]["bins"] == 800
    plain = post(panel_client, paths, model="toy", region=REGION, targets="H3K9me3").json()
    assert plain["trust"]["H3K9me3"]["panel_share"] is None
