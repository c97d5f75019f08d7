"""The HTTP service, with real files, through the real application."""

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
from app.core.errors import BadModel
from app.core.impute import impute
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from app.main import create_app
from app.settings import Settings
from tests.conftest import MARKS

REGION = "chr21:33,750,000-33,775,000"


def post(client: TestClient, files: list[Path] | dict[str, bytes], **form: object) -> Response:
    named = files.items() if isinstance(files, dict) else [(path.name, path.read_bytes()) for path in files]
    return client.post("/v1/impute", files=[("tracks", pair) for pair in named], data=form)


def problem(response: Response, status: int, kind: str) -> str:
    """Check that an answer is a problem of this kind, and give its sentence."""
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (response.status_code, document["status"]) == (status, status), document
    assert document["type"] == f"urn:epifill:problem:{kind}"
    assert set(document) <= {"type", "title", "status", "detail", "subject"}
    assert "Traceback" not in document["detail"]
    assert "/tmp" not in response.text
    return str(document["detail"])


def expected(model: Model, tracks: dict[str, Path], marks: tuple[str, ...], mask: list[str], region: Region):
    """What the core says of the same files."""
    files = {mark: TrackFile(tracks[mark], mark) for mark in marks}
    with Tracks(files, HG19, 25) as opened:
        return impute(opened, model, plan(model, marks, mask), region)


def test_json_holds_every_missing_mark(client: TestClient, model: Model, tracks: dict[str, Path]) -> None:
    answer = post(client, [tracks["H3K4me1"], tracks["H3K36me3"]], region=REGION).json()
    assert answer["assembly"] == "hg19"
    assert answer["region"] == REGION
    assert answer["bin_size_bp"] == 25
    assert answer["model"] == {"name": "toy", "version": "1.0.0"}
    assert answer["observed"] == ["H3K4me1", "H3K36me3"]
    assert answer["masked"] == []
    assert [track["mark"] for track in answer["tracks"]] == ["H3K4me3", "H3K27me3", "H3K9me3"]
    core = expected(model, tracks, ("H3K4me1", "H3K36me3"), [], Region("chr21", 33_750_000, 33_775_000))
    for track, row in zip(answer["tracks"], core.imputed.values, strict=True):
        assert track["start"] == 33_750_000
        assert track["units"] == "-log10 p-value"
        assert "score" not in track
        values = np.array([np.nan if v is None else v for v in track["values"]], np.float32)
        np.testing.assert_array_equal(values, row)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), np.arange(237, 247))  # B's uncovered bins


def test_a_masked_mark_comes_back_with_its_score(client: TestClient, model: Model, tracks: dict[str, Path]) -> None:
    response = post(client, list(tracks.values()), mask=["H3K4me3", "H3K9me3"], targets="H3K9me3", region=REGION)
    (track,) = response.json()["tracks"]
    score = expected(model, tracks, MARKS, ["H3K4me3", "H3K9me3"], Region("chr21", 33_750_000, 33_775_000)).scores()
    assert track["score"] == pytest.approx(vars(score["H3K9me3"]))
    assert track["score"]["bins"] == 990
    header = json.loads(response.headers["epifill-result"])
    assert header["scores"] == {"H3K9me3": track["score"]}
    assert header["masked"] == ["H3K4me3", "H3K9me3"]


def test_lists_may_come_as_a_browser_sends_them(client: TestClient, tracks: dict[str, Path]) -> None:
    files = {"a": tracks["H3K4me1"].read_bytes(), "b": tracks["H3K9me3"].read_bytes()}
    answer = post(client, files, marks="H3K4me1,H3K9me3", mask="", targets="H3K4me3, H3K27me3", model="", region=REGION)
    assert [track["mark"] for track in answer.json()["tracks"]] == ["H3K4me3", "H3K27me3"]


def test_bedgraph(client: TestClient, model: Model, tracks: dict[str, Path]) -> None:
    response = post(client, [tracks["H3K4me1"]], region=REGION, format="bedgraph", targets=["H3K4me3", "H3K9me3"])
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    lines = response.text.splitlines()
    assert lines[0].startswith('track type=bedGraph name="H3K4me3')
    core = expected(model, tracks, ("H3K4me1",), [], Region("chr21", 33_750_000, 33_775_000)).imputed.row("H3K4me3")
    rows = [line.split("\t") for line in lines[1 : 1 + int((~np.isnan(core)).sum())]]
    assert rows[0][:3] == ["chr21", "33750000", "33750025"]
    np.testing.assert_allclose([float(row[3]) for row in rows], core[~np.isnan(core)], rtol=1e-5)
    assert len(lines) == 2 + 2 * len(rows)


def test_npy(client: TestClient, model: Model, tracks: dict[str, Path]) -> None:
    response = post(client, [tracks["H3K4me1"]], region=REGION, format="npy", targets="H3K4me3")
    core = expected(model, tracks, ("H3K4me1",), [], Region("chr21", 33_750_000, 33_775_000)).imputed.row("H3K4me3")
    np.testing.assert_array_equal(np.load(io.BytesIO(response.content)), core[None])
    assert json.loads(response.headers["epifill-result"])["targets"] == ["H3K4me3"]


def read_back(content: bytes, folder: Path, region: Region) -> np.ndarray:
    path = folder / "answer.bigWig"
    path.write_bytes(content)
    with Tracks({"m": TrackFile(path, "answer")}, HG19, 25) as opened:
        return opened.read(region).values[0]


def test_one_target_as_bigwig(client: TestClient, model: Model, tracks: dict[str, Path], tmp_path: Path) -> None:
    response = post(client, [tracks["H3K4me1"]], region=REGION, format="bigwig", targets="H3K4me3")
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == 'attachment; filename="B.H3K4me3.imputed.bigWig"'
    region = Region("chr21", 33_750_000, 33_775_000)
    core = expected(model, tracks, ("H3K4me1",), [], region).imputed.row("H3K4me3")
    np.testing.assert_array_equal(read_back(response.content, tmp_path, region), core)
    assert np.isnan(read_back(response.content, tmp_path, Region("chr21", 33_775_000, 33_780_000))).all()


def test_several_targets_as_bigwig_come_as_a_zip(client: TestClient, tracks: dict[str, Path], tmp_path: Path) -> None:
    response = post(client, [tracks["H3K4me1"], tracks["H3K4me3"]], region=REGION, format="bigwig")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        names = [f"B.{mark}.imputed.bigWig" for mark in ("H3K36me3", "H3K27me3", "H3K9me3")]
        assert archive.namelist() == names
        for name in names:
            region = Region("chr21", 33_750_000, 33_775_000)
            assert (~np.isnan(read_back(archive.read(name), tmp_path, region))).sum() == 990


def test_a_region_off_the_bin_borders_is_widened_to_whole_bins(client: TestClient, tracks: dict[str, Path]) -> None:
    answer = post(client, [tracks["H3K4me1"]], region="chr21:33,750,010-33,750,030", targets="H3K4me3").json()
    assert answer["region"] == "chr21:33,750,000-33,750,050"
    assert len(answer["tracks"][0]["values"]) == 2


def test_without_a_region_all_that_the_tracks_cover(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "H3K4me1.bw"
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(Region("chr5", 70_000_000, 70_001_250), np.linspace(0, 5, 50, dtype=np.float32))
    answer = post(client, [path], targets="H3K4me3").json()
    assert answer["region"] == "chr5:70,000,000-70,001,250"
    assert None not in answer["tracks"][0]["values"]


def test_without_a_region_several_chromosomes_are_too_many(client: TestClient, tracks: dict[str, Path]) -> None:
    detail = problem(post(client, [tracks["H3K4me1"]]), 422, "bad-region")
    assert "cover 2 chromosomes; name one region, such as chr21" in detail


@pytest.mark.parametrize(
    ("form", "status", "kind", "says"),
    [
        ({"mask": "H3K27ac"}, 422, "unknown-mark", "'H3K27ac' is not a mark of toy"),
        ({"targets": "H3K4me2"}, 422, "unknown-mark", "Did you mean H3K4me"),
        ({"marks": ["H3K4me1", "H3K4me1"]}, 422, "duplicate-mark", "H3K4me1 has two tracks"),
        ({"marks": ["H3K4me1"]}, 422, "ambiguous-mark", "2 files but 1 marks"),
        ({"mask": ["H3K4me1", "H3K4me3"]}, 422, "nothing-observed", "Every track is masked"),
        ({"targets": "H3K4me1"}, 422, "nothing-to-impute", "H3K4me1 is measured"),
        ({"region": "chr1:1000-2000"}, 422, "no-overlap", "has a value in chr1:1,000-2,000"),
        ({"region": "chr21:48,129,000-48,130,000"}, 422, "bad-region", "passes the end of chr21"),
        ({"region": "chr21"}, 413, "region-too-large", "1,925,196 bins of 25 bp, but one answer holds at most 3,000"),
        ({"region": "somewhere"}, 422, "bad-region", "'somewhere' is not a chromosome"),
        ({"region": "chr21:9-9"}, 422, "bad-region", "is empty"),
        ({"model": "nosuch"}, 404, "unknown-model", "the installed ones are toy"),
        (
            {"format": "xml"},
            422,
            "invalid-request",
            "'format' is none of the values that it can have; give 'json', 'bedgraph', 'bigwig' or 'npy'",
        ),
    ],
)
def test_bad_requests_are_told_plainly(
    client: TestClient, tracks: dict[str, Path], form: dict[str, str], status: int, kind: str, says: str
) -> None:
    response = post(client, [tracks["H3K4me1"], tracks["H3K4me3"]], **{"region": REGION, **form})
    assert says in problem(response, status, kind)


def test_all_marks_measured_leaves_nothing_to_impute(client: TestClient, tracks: dict[str, Path]) -> None:
    assert "All 5 marks of toy" in problem(post(client, list(tracks.values())), 422, "nothing-to-impute")


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "empty-track", "'H3K4me1.bw' is empty (0 bytes)"),
        (b"chr1\t0\t25\t1.0\n", "not-a-bigwig", "is not a bigWig file but text"),
        (b"\x26\xfc\x8f\x88" + bytes(60), "not-a-bigwig", "version 0"),
    ],
)
def test_bad_files_are_named(client: TestClient, content: bytes, kind: str, says: str) -> None:
    response = post(client, {"H3K4me1.bw": content}, region=REGION)
    assert says in problem(response, 422, kind)
    assert response.json()["subject"] == "H3K4me1.bw"


def test_a_damaged_file_and_a_good_one(client: TestClient, tracks: dict[str, Path]) -> None:
    good = tracks["H3K4me3"].read_bytes()
    files = {"H3K4me3.bw": good, "H3K4me1.bw": tracks["H3K4me1"].read_bytes()[:500]}
    assert "'H3K4me1.bw' is cut off" in problem(post(client, files, region=REGION), 422, "not-a-bigwig")


def test_another_assembly_is_named(client: TestClient, tmp_path: Path) -> None:
    from app.core.assemblies import HG38

    path = tmp_path / "H3K4me1.bw"
    with BigWigWriter(path, HG38, 25) as writer:
        writer.add(Region("chr21", 33_750_000, 33_751_000), np.ones(40, np.float32))
    detail = problem(post(client, [path], region=REGION), 422, "assembly-mismatch")
    assert "is in assembly hg38, but the model works in hg19" in detail


def test_no_file_at_all(client: TestClient) -> None:
    assert problem(client.post("/v1/impute"), 422, "invalid-request") == (
        "'tracks' is missing; send it, as /docs shows."
    )


def test_too_large_a_body_is_refused(models: Path, tracks: dict[str, Path]) -> None:
    app = create_app(Settings(models=models, default_model="toy", max_upload_bytes=1000))
    with TestClient(app) as client:
        announced = post(client, [tracks["H3K4me1"]], region=REGION)
        assert "larger than 1,000 bytes" in problem(announced, 413, "content-too-large")
        headers = {"content-type": announced.request.headers["content-type"]}
        body = announced.request.read()
        chunks = (body[i : i + 500] for i in range(0, len(body), 500))  # no Content-Length: sent in chunks
        counted = client.post("/v1/impute", content=chunks, headers=headers)
        assert "larger than 1,000 bytes" in problem(counted, 413, "content-too-large")
        assert client.get("/healthz").status_code == 200


def test_uploads_leave_no_file_behind(
    client: TestClient, tracks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    before = {path for path in (tmp_path / "data").rglob("*") if "epifill.db" not in path.name}
    assert post(client, [tracks["H3K4me1"]], region=REGION, format="bigwig").status_code == 200
    assert post(client, {"H3K4me1.bw": b"junk"}, region=REGION).status_code == 422
    assert not list((tmp_path / "t").iterdir())
    assert {path for path in (tmp_path / "data").rglob("*") if "epifill.db" not in path.name} == before


def test_models_are_listed_and_shown(client: TestClient, model: Model) -> None:
    (summary,) = client.get("/v1/models").json()
    assert summary["name"] == "toy"
    assert summary["default"] is True
    assert summary["marks"] == list(MARKS)
    detail = client.get("/v1/models/toy").json()
    assert detail["provenance"]["samples"] == ["A", "B"]
    assert detail["sha256"] == model.manifest.sha256
    assert "installed ones are toy" in problem(client.get("/v1/models/none"), 404, "unknown-model")


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {
        "status": "ready",
        "models": ["toy"],
        "engine": {"status": "ready", "reason": None},
    }


def test_unknown_paths_and_methods_are_problems(client: TestClient) -> None:
    assert "nothing at /nowhere" in problem(client.get("/nowhere"), 404, "not-found")
    assert "does not answer GET" in problem(client.get("/v1/impute"), 405, "method-not-allowed")


def test_a_fault_of_the_server_tells_no_secrets(
    client: TestClient, tracks: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret path /srv/key")

    monkeypatch.setattr(Model, "run", broken)
    response = post(client, [tracks["H3K4me1"]], region=REGION)
    assert "secret" not in problem(response, 500, "internal-error")
    assert "unexpected RuntimeError at app.api" in caplog.text
    assert "> app.core.impute:" in caplog.text
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text


def test_it_does_not_start_with_a_broken_model_or_none(tmp_path: Path, models: Path) -> None:
    with pytest.raises(BadModel, match="holds none"):
        create_app(Settings(models=tmp_path))
    with pytest.raises(BadModel, match="'nosuch' is not among toy"):
        create_app(Settings(models=models, default_model="nosuch"))
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.json").write_text("{}")
    with pytest.raises(BadModel, match="Model 'm'"):
        create_app(Settings(models=tmp_path))
