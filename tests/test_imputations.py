"""Long imputations over HTTP: start, watch, cancel, fetch; what is said of bad requests."""

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.api.manifests import ResultManifest
from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from app.core.impute import impute
from app.core.marks import plan
from app.core.model import Model
from tests.conftest import CHR21, CHRM, MARKS
from tests.server import Server, serve

SEEN = MARKS[:4]


@pytest.fixture(scope="module")
def server(panel_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("service") / "data"
    with serve(folder, models=panel_models, default_model="panelled", engine_workers=1, chunk_bins=4096) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def upload(client: httpx2.Client, tracks: dict[str, Path], marks=SEEN, name: str = "liver, donor 3") -> str:
    sample = client.post("/v1/samples", json={"name": name}).raise_for_status().json()["id"]
    for mark in marks:
        content = tracks[mark].read_bytes()
        client.put(f"/v1/samples/{sample}/tracks/{mark}", content=content).raise_for_status()
    return sample


def start(client: httpx2.Client, sample: str, key: str | None = None, **asked: object) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/v1/samples/{sample}/imputations", json=asked, headers=headers)


def watch(client: httpx2.Client, job: dict) -> list[dict]:
    """Every state that the server tells of, until the last."""
    with client.stream("GET", job["links"]["events"]) as stream:
        return [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]


@pytest.fixture(scope="module")
def finished(server: Server, tracks: dict[str, Path]) -> tuple[dict, list[dict]]:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        response = start(client, upload(client, tracks))
        assert response.status_code == 202
        job = response.json()
        assert response.headers["location"] == f"/v1/imputations/{job['id']}"
        states = watch(client, job)
        return client.get(job["links"]["self"]).json(), states


def test_it_runs_to_its_end_and_tells_how_far_it_is(finished: tuple[dict, list[dict]]) -> None:
    job, states = finished
    assert states[-1] == job
    assert job["status"] == "finished"
    assert {state["status"] for state in states} <= {"queued", "running", "finished"}
    assert job["progress"] == {
        "bins_done": job["progress"]["bins_total"], "bins_total": job["progress"]["bins_total"],
        "bins_per_second": None, "seconds_left": None,
    }  # fmt: skip
    done = [state["progress"]["bins_done"] for state in states]
    assert done == sorted(done)
    assert job["targets"] == ["H3K9me3"]
    assert job["observed"] == list(SEEN)
    assert job["expires"] > job["ended"]


def test_the_result_is_what_the_core_says(
    client: httpx2.Client,
    finished: tuple[dict, list[dict]],
    panel_model: Model,
    tracks: dict[str, Path],
    tmp_path: Path,
) -> None:
    job, _ = finished
    files = {mark: TrackFile(tracks[mark], mark) for mark in SEEN}
    links = job["links"]["tracks"]["H3K9me3"]
    manifest = client.get(job["links"]["manifest"]).json()
    with Tracks(files, HG19, 25) as opened:
        for region in (CHRM, CHR21):
            told = impute(opened, panel_model, plan(panel_model, list(SEEN)), region)
            for part, signal in told.parts().items():
                answer = client.get(links[part])
                path = tmp_path / f"{part}.bigWig"
                path.write_bytes(answer.content)
                with Tracks({"m": TrackFile(path, part)}, HG19, 25) as result:
                    np.testing.assert_array_equal(result.read(region).values, signal.values)
                noted = manifest["outputs"][f"H3K9me3.{part}.bigWig"]
                assert noted["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert manifest["inputs"]["H3K4me1"]["sha256"] == hashlib.sha256(tracks["H3K4me1"].read_bytes()).hexdigest()
    assert manifest["model"]["sha256"] == panel_model.manifest.sha256
    assert "/" not in json.dumps({**manifest, "model": None})  # no path of the server


def test_results_are_served_as_browsers_ask(client: httpx2.Client, finished: tuple[dict, list[dict]]) -> None:
    job, _ = finished
    links = [
        *job["links"]["tracks"]["H3K9me3"].values(),
        *(job["links"][n] for n in ("manifest", "hub", "scores_picture")),
    ]
    for link in links:
        whole = client.get(link)
        head, part = client.head(link), client.get(link, headers={"Range": "bytes=2-5"})
        assert (whole.status_code, head.status_code, part.status_code) == (200, 200, 206)
        assert head.headers["content-length"] == str(len(whole.content))
        assert part.content == whole.content[2:6]
        same = client.get(link, headers={"If-None-Match": whole.headers["etag"]})
        assert same.status_code == 304
    assert client.get(job["links"]["hub"]).text.startswith("hub ")
    assert client.get(job["links"]["scores_picture"]).content.startswith(b"\x89PNG")


def test_results_are_called_after_the_sample(client: httpx2.Client, finished: tuple[dict, list[dict]]) -> None:
    links = finished[0]["links"]

    def shown(link: str) -> str:
        return str(client.get(link).headers["content-disposition"])

    track = 'attachment; filename="liver_donor_3.H3K9me3.{}.bigWig"'
    assert {part: shown(link) for part, link in links["tracks"]["H3K9me3"].items()} == {
        part: track.format(part) for part in ("imputed", "lower", "upper")
    }
    assert shown(links["hub"]) == 'inline; filename="liver_donor_3.hub.txt"'
    assert shown(links["manifest"]) == 'inline; filename="liver_donor_3.manifest.json"'
    assert shown(links["scores_picture"]) == 'inline; filename="liver_donor_3.scores.png"'


def test_observed_marks_are_hidden_and_scored(finished: tuple[dict, list[dict]]) -> None:
    scores = finished[0]["scores"]
    assert list(scores) == list(SEEN)
    assert all(own["model"]["bins"] > 1000 for own in scores.values())
    assert all(own["panel_mean"] is None for own in scores.values())  # `panelled` names no means


def test_one_key_makes_one_imputation(client: httpx2.Client, tracks: dict[str, Path]) -> None:
    sample = upload(client, tracks)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: start(client, sample, "one", regions=["chrM"]), range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = start(client, sample, "one", regions=["chr21:33,750,000-33,760,000"])
    assert other.status_code == 409
    assert other.json()["type"] == "urn:epifill:problem:key-reused"
    client.delete(f"/v1/samples/{sample}").raise_for_status()
    assert start(client, sample, "one", regions=["chrM"]).json()["id"] == answers[0].json()["id"]
    listed = client.get("/v1/imputations", params={"limit": 500}).json()["imputations"]
    assert sum(job["sample"] == sample for job in listed) == 1


def test_ended_ones_can_be_deleted_and_pages_go_on(client: httpx2.Client, tracks: dict[str, Path]) -> None:
    sample = upload(client, tracks)
    ids = [start(client, sample, regions=["chrM"], score=False).json()["id"] for _ in range(3)]
    for one in ids:
        assert watch(client, client.get(f"/v1/imputations/{one}").json())[-1]["status"] == "finished"
    seen, after = [], ""
    while after is not None:
        page = client.get("/v1/imputations", params={"limit": 1, "after": after}).json()
        seen += [job["id"] for job in page["imputations"]]
        after = page["next"]
    assert set(ids) <= set(seen)
    assert [one for one in seen if one in ids] == ids[::-1]
    assert len(seen) == len(set(seen))
    for one in ids:
        kept = client.delete(f"/v1/imputations/{one}", params={"only_cancel": True})
        assert (kept.status_code, kept.json()["type"]) == (409, "urn:epifill:problem:has-ended")
        with ThreadPoolExecutor(4) as pool:
            codes = list(pool.map(lambda _, one=one: client.delete(f"/v1/imputations/{one}").status_code, range(4)))
        assert 204 in codes
        assert set(codes) <= {204, 404}
        assert client.get(f"/v1/imputations/{one}").status_code == 404


def test_the_result_stays_when_the_sample_goes(client: httpx2.Client, tracks: dict[str, Path]) -> None:
    sample = upload(client, tracks)
    job = start(client, sample, regions=["chr21:33,750,000-33,800,000"], score=False).json()
    assert client.delete(f"/v1/samples/{sample}").status_code == 204
    assert watch(client, job)[-1]["status"] == "finished"


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"regions": ["chr99"]}, 422, "'chr99' is not a chromosome of hg19"),
        ({"regions": []}, 422, "regions"),
        ({"targets": ["CTCF"]}, 422, "CTCF"),
        ({"mask": list(SEEN)}, 422, "Every track is masked"),
        ({"model": "best"}, 404, "Model 'best' is not installed"),
        ({"shape": 1}, 422, "shape"),
    ],
)
def test_bad_requests_are_told(
    client: httpx2.Client, tracks: dict[str, Path], asked: dict, status: int, says: str
) -> None:
    response = start(client, upload(client, tracks), **asked)
    assert response.status_code == status
    assert says in response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_region_without_values_is_refused_at_once(client: httpx2.Client, tracks: dict[str, Path]) -> None:
    before = len(client.get("/v1/imputations").json()["imputations"])
    response = start(client, upload(client, tracks), regions=["chr1:1,000,000-1,100,000"])
    assert response.status_code == 422
    said = "No unmasked track has a value in chr1:1,000,000-1,100,000; choose"
    assert response.json()["detail"].startswith(said)
    assert len(client.get("/v1/imputations").json()["imputations"]) == before


def test_without_tracks_there_is_nothing_to_do(client: httpx2.Client, tracks: dict[str, Path]) -> None:
    response = start(client, upload(client, tracks, ()))
    assert response.status_code == 422
    assert "no track that is ready" in response.json()["detail"]


def test_what_is_not_there_is_told(client: httpx2.Client, finished: tuple[dict, list[dict]]) -> None:
    job, _ = finished
    for path in ("", "/events", "/manifest.json", "/tracks/H3K9me3.bigWig"):
        response = client.get(f"/v1/imputations/{'0' * 32}{path}")
        assert response.status_code == 404
        assert response.json()["type"] == "urn:epifill:problem:unknown-imputation"
    own = job["links"]["self"]
    for name in ("CTCF.bigWig", "H3K9me3.middle.bigWig", "H3K9me3.imputed.bigWig", "..bigWig"):
        assert client.get(f"{own}/tracks/{name}").status_code == 404


def test_a_server_that_stops_does_not_wait_for_watchers(
    panel_models: Path, tracks: dict[str, Path], tmp_path: Path
) -> None:
    settings = {"models": panel_models, "default_model": "panelled", "engine": "tcp://127.0.0.1:9"}  # no engine there
    with serve(tmp_path / "data", **settings) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        job = start(client, upload(client, tracks, MARKS[:2])).json()
        with client.stream("GET", job["links"]["events"]) as stream:
            lines = stream.iter_lines()
            assert next(lines)
            server.process.terminate()
            assert list(lines)[-1] == ""
        assert server.process.wait(timeout=20) in (0, -signal.SIGTERM)


def test_a_cancelled_one_frees_everything(
    server: Server, client: httpx2.Client, tracks: dict[str, Path], tmp_path: Path
) -> None:
    sample = upload(client, tracks)
    job = start(client, sample).json()
    response = client.delete(job["links"]["self"])
    assert response.status_code == 202
    assert response.json()["status"] == "cancelled"
    folder = server.log.with_name("data") / "imputations" / job["id"]
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    result = client.get(f"{job['links']['self']}/manifest.json")
    assert result.status_code == 409
    assert "is cancelled" in result.json()["detail"]
    assert watch(client, job)[-1]["status"] == "cancelled"


def test_the_manifest_is_as_described(client: httpx2.Client, finished: tuple[dict, list[dict]]) -> None:
    manifest = client.get(finished[0]["links"]["manifest"]).raise_for_status().json()
    described = ResultManifest.model_validate(manifest)
    assert set(manifest) == set(ResultManifest.model_fields)
    assert described.model_dump(mode="json") == {**manifest, "created": described.model_dump(mode="json")["created"]}
    schema = client.get("/openapi.json").json()["paths"]["/v1/imputations/{imputation}/manifest.json"]["get"]
    assert schema["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ResultManifest")
