"""Samples and tracks over HTTP: stored, read back, imputed from, deleted; nothing lost, nothing left."""

import base64
import errno
import hashlib
import io
import json
import os
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlmodel import Session

from app.core.assemblies import HG19, HG38
from app.core.bigwig.read import TrackFile, Tracks
from app.core.bigwig.write import BigWigWriter
from app.core.errors import AssemblyMismatch, DataInUse
from app.core.impute import impute
from app.core.marks import plan
from app.core.model import Model
from app.core.regions import Region
from app.main import create_app
from app.settings import Settings
from app.store.ingest import Taken
from app.store.tables import Track
from tests.conftest import CHR21, CHRM, MARKS
from tests.test_api import problem

REGION = "chr21:33,750,000-33,775,000"


def new_sample(client: TestClient, **fields: str) -> str:
    response = client.post("/v1/samples", json={"name": "a liver", **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def put(client: TestClient, sample: str, mark: str, content: bytes, **headers: str) -> Response:
    return client.put(f"/v1/samples/{sample}/tracks/{mark}", content=content, headers=headers)


def stored_files(data: Path) -> list[str]:
    """Every file of the data folder but the database and the lock and secret of its servers."""
    return sorted(
        str(path.relative_to(data))
        for path in data.rglob("*")
        if path.is_file() and not path.name.startswith("epifill.db") and path.name not in ("lock", "link-secret")
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_sample_is_created_shown_listed_and_deleted(client: TestClient) -> None:
    response = client.post("/v1/samples", json={"name": "leber, Spender 3 - β", "assembly": "hg19"})
    sample = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == sample["links"]["self"] == f"/v1/samples/{sample['id']}"
    assert len(sample["id"]) == 32
    assert client.get(sample["links"]["self"]).json() == sample
    row = {**sample, "links": {"self": sample["links"]["self"]}}
    assert client.get("/v1/samples").json() == {"samples": [row], "next": None}
    assert client.delete(sample["links"]["self"]).status_code == 204
    assert problem(client.get(sample["links"]["self"]), 404, "unknown-sample")
    assert problem(client.delete(sample["links"]["self"]), 404, "unknown-sample")


def test_lists_come_in_pages(client: TestClient) -> None:
    ids = {new_sample(client) for _ in range(7)}
    seen: list[str] = []
    after = ""
    for size in (3, 3, 1):
        page = client.get("/v1/samples", params={"limit": 3, "after": after}).json()
        assert len(page["samples"]) == size
        seen += [sample["id"] for sample in page["samples"]]
        after = page["next"] or ""
    assert after == ""
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "'name' is missing"),
        ({"name": ""}, "'name' "),
        ({"name": "a\nb"}, "'name' "),
        ({"name": "a\x00b"}, "'name' "),
        ({"name": "x" * 201}, "'name' "),
        ({"name": "a", "colour": "red"}, "'colour' is not known"),
    ],
)
def test_bad_samples_are_refused(client: TestClient, body: dict[str, str], says: str) -> None:
    assert says in problem(client.post("/v1/samples", json=body), 422, "invalid-request")


def test_an_unknown_assembly_is_named(client: TestClient) -> None:
    response = client.post("/v1/samples", json={"name": "a", "assembly": "mm10"})
    detail = problem(response, 422, "unknown-assembly")
    assert "'mm10' is not known; the known ones are hg19 (GRCh37), hg38 (GRCh38)" in detail


def test_an_assembly_by_another_name_is_stored_by_its_own(client: TestClient) -> None:
    for name in ("GRCh37", "b37", "hs37d5", "HG19"):
        sample = new_sample(client, assembly=name)
        assert client.get(f"/v1/samples/{sample}").json()["assembly"] == "hg19"


def test_odd_lengths_are_accepted_where_the_assembly_is_named(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "short.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr21", 40_822_600)])
        file.addEntries(["chr21"] * 2, [10_000_000, 40_822_575], ends=[10_001_000, 40_822_600], values=[1.0, 2.0])
    refused = problem(put(client, new_sample(client), "H3K4me1", path.read_bytes()), 422, "assembly-mismatch")
    assert "chr21 has 48,129,895 bp in hg19, 46,709,983 bp in hg38" in refused
    assert "name the sample's assembly" in refused
    track = put(client, new_sample(client, assembly="GRCh37"), "H3K4me1", path.read_bytes()).json()
    assert (track["assembly"], track["quality"]["covered_bins"]) == ("hg19", 41)
    assert any("end where the values end (chr21 has 40,822,600 bp" in warning for warning in track["warnings"])


def test_a_track_is_stored_with_its_quality_and_read_back(
    client: TestClient, tracks: dict[str, Path], data: Path
) -> None:
    sample = new_sample(client)
    content = tracks["H3K4me3"].read_bytes()
    response = put(client, sample, "H3K4me3", content)
    assert response.status_code == 201, response.text
    track = response.json()
    assert track["status"] == "ready"
    assert track["sha256"] == hashlib.sha256(content).hexdigest()
    assert track["bytes"] == len(content)
    assert track["assembly"] == "hg19"
    assert track["quality"]["covered_bins"] == 2653
    assert 0 <= track["quality"]["quantiles"]["0.5"] < 1
    assert client.get(response.headers["location"]).json() == track
    assert client.get(f"/v1/samples/{sample}").json()["assembly"] == "hg19"
    back = client.get(track["links"]["file"])
    assert back.content == content
    assert back.headers["etag"] == f'"{track["sha256"]}"'
    head = client.head(track["links"]["file"])
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(content))
    part = client.get(track["links"]["file"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert client.get(track["links"]["file"], headers={"Range": "bytes=99999999-"}).status_code == 416
    names = [name.rsplit("/", 1)[1] for name in stored_files(data)]
    assert names == ["form.json", "index.npy", "original.bigWig", "pieces.npy"]


def test_a_form_upload_reads_the_mark_from_the_name(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    for path, form in ((tracks["H3K4me3"], {}), (tracks["H3K9me3"], {"mark": "H3K9me3"})):
        files = {"track": (path.name, path.read_bytes())}
        response = client.post(f"/v1/samples/{sample}/tracks", files=files, data=form)
        assert response.status_code == 201, response.text
        assert response.json()["file_name"] == path.name
    shown = client.get(f"/v1/samples/{sample}").json()
    assert [track["mark"] for track in shown["tracks"]] == ["H3K4me3", "H3K9me3"]


@pytest.mark.parametrize("format", ["json", "npy", "bigwig", "bedgraph"])
def test_a_region_of_a_stored_sample_is_what_the_core_says(
    client: TestClient, model: Model, tracks: dict[str, Path], format: str
) -> None:
    sample = new_sample(client)
    for mark in ("H3K4me1", "H3K4me3", "H3K36me3"):
        assert put(client, sample, mark, tracks[mark].read_bytes()).status_code == 201
    query = {"region": REGION, "mask": "H3K4me3", "targets": ["H3K4me3"], "format": format}
    response = client.get(f"/v1/samples/{sample}/region", params=query)
    assert response.status_code == 200, response.text
    files = {mark: TrackFile(tracks[mark], mark) for mark in ("H3K4me1", "H3K4me3", "H3K36me3")}
    with Tracks(files, HG19, 25) as opened:
        settled = plan(model, list(files), ["H3K4me3"], ["H3K4me3"])
        expected = impute(opened, model, settled, Region("chr21", 33_750_000, 33_775_000))
    row = expected.imputed.row("H3K4me3")
    assert json.loads(response.headers["epifill-result"])["scores"]["H3K4me3"]["bins"] == 990
    if format == "json":
        values = response.json()["tracks"][0]["values"]
        np.testing.assert_array_equal(np.array([np.nan if v is None else v for v in values], np.float32), row)
    elif format == "npy":
        np.testing.assert_array_equal(np.load(io.BytesIO(response.content))[0], row)
    elif format == "bigwig":
        assert response.content[:4] == b"\x26\xfc\x8f\x88"
    else:
        assert len(response.text.splitlines()) == 1 + 990


def test_without_a_region_one_chromosome_is_all_and_several_are_too_many(
    client: TestClient, tracks: dict[str, Path], tmp_path: Path
) -> None:
    sample = new_sample(client)
    path = tmp_path / "one.bw"
    with BigWigWriter(path, HG19, 25) as writer:
        writer.add(Region("chr5", 70_000_000, 70_001_250), np.linspace(0, 5, 50, dtype=np.float32))
    assert put(client, sample, "H3K4me1", path.read_bytes()).status_code == 201
    answer = client.get(f"/v1/samples/{sample}/region", params={"targets": "H3K4me3"}).json()
    assert answer["region"] == "chr5:70,000,000-70,001,250"
    assert put(client, sample, "H3K9me3", tracks["H3K9me3"].read_bytes()).status_code == 201
    detail = problem(client.get(f"/v1/samples/{sample}/region"), 422, "bad-region")
    assert "cover 3 chromosomes; name one region, such as chr5" in detail


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ({"region": "chr1:1-100"}, 422, "no-overlap"),
        ({"region": "chr21"}, 413, "region-too-large"),
        ({"region": "chr99"}, 422, "bad-region"),
        ({"mask": "H3K4me1"}, 422, "nothing-observed"),
        ({"targets": "H3K4me1"}, 422, "nothing-to-impute"),
        ({"targets": "nothing"}, 422, "unknown-mark"),
        ({"model": "nothing"}, 404, "unknown-model"),
        ({"format": "xml"}, 422, "invalid-request"),
    ],
)
def test_bad_region_queries_are_told_plainly(
    client: TestClient, tracks: dict[str, Path], query: dict[str, str], status: int, kind: str
) -> None:
    sample = new_sample(client)
    put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    problem(client.get(f"/v1/samples/{sample}/region", params={"region": REGION, **query}), status, kind)


def test_a_sample_without_tracks_cannot_be_imputed(client: TestClient) -> None:
    sample = new_sample(client)
    assert "no track that is ready" in problem(client.get(f"/v1/samples/{sample}/region"), 422, "nothing-observed")


def test_the_same_bytes_are_stored_once_and_stay_while_anyone_needs_them(
    client: TestClient, tracks: dict[str, Path], data: Path
) -> None:
    first, second = new_sample(client), new_sample(client)
    content = tracks["H3K4me1"].read_bytes()
    assert put(client, first, "H3K4me1", content).status_code == 201
    before = stored_files(data)
    assert put(client, second, "H3K4me1", content).status_code == 201
    assert put(client, second, "H3K4me3", content).status_code == 201
    assert stored_files(data) == before
    assert client.delete(f"/v1/samples/{first}").status_code == 204
    assert client.delete(f"/v1/samples/{second}/tracks/H3K4me1").status_code == 204
    assert client.get(f"/v1/samples/{second}/tracks/H3K4me3.bigWig").content == content
    assert client.delete(f"/v1/samples/{second}/tracks/H3K4me3").status_code == 204
    assert stored_files(data) == []
    assert problem(client.delete(f"/v1/samples/{second}/tracks/H3K4me3"), 404, "unknown-track")


def test_a_new_upload_replaces_the_track(client: TestClient, tracks: dict[str, Path], data: Path) -> None:
    sample = new_sample(client)
    assert put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()).status_code == 201
    response = put(client, sample, "H3K4me1", tracks["H3K9me3"].read_bytes())
    assert response.status_code == 200
    assert client.get(f"/v1/samples/{sample}/tracks/H3K4me1.bigWig").content == tracks["H3K9me3"].read_bytes()
    assert len([name for name in stored_files(data) if name.endswith("original.bigWig")]) == 1


def test_a_refused_upload_leaves_nothing_and_the_old_track_stays(
    client: TestClient, tracks: dict[str, Path], data: Path
) -> None:
    sample = new_sample(client)
    assert "is not a bigWig" in problem(put(client, sample, "H3K4me1", b"junk" * 100), 422, "not-a-bigwig")
    assert client.get(f"/v1/samples/{sample}").json()["tracks"] == []
    assert stored_files(data) == []
    good = tracks["H3K4me1"].read_bytes()
    assert put(client, sample, "H3K4me1", good).status_code == 201
    before = stored_files(data)
    assert problem(put(client, sample, "H3K4me1", good[: len(good) // 2]), 422, "not-a-bigwig")
    assert client.get(f"/v1/samples/{sample}/tracks/H3K4me1.bigWig").content == good
    assert stored_files(data) == before


def test_another_assembly_is_refused_with_both_names(
    client: TestClient, tracks: dict[str, Path], tmp_path: Path
) -> None:
    sample = new_sample(client)
    put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    path = tmp_path / "38.bw"
    with BigWigWriter(path, HG38, 25) as writer:
        writer.add(Region("chr21", 0, 100), np.ones(4, np.float32))
    detail = problem(put(client, sample, "H3K4me3", path.read_bytes()), 422, "assembly-mismatch")
    assert "hg38" in detail
    assert "hg19" in detail


def digest_of(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def test_checksums_are_verified(client: TestClient, tracks: dict[str, Path], data: Path) -> None:
    sample = new_sample(client)
    content = tracks["H3K4me1"].read_bytes()
    right = hashlib.sha256(content).hexdigest()
    good = {"Content-Digest": f"md5=:AAAA:, sha-256=:{digest_of(content)}:;x=1"}
    assert put(client, sample, "H3K4me1", content, **good).status_code == 201
    assert put(client, sample, "H3K4me1", content, **{"X-Checksum-SHA256": right.upper()}).status_code == 200
    for headers in (
        {"X-Checksum-SHA256": "0" * 64},
        {"Content-Digest": f"sha-256=:{digest_of(b'other')}:"},
        {"Content-Digest": "sha-256=:???:"},
        {"Content-Digest": "sha-256=::", "X-Checksum-SHA256": right},
        {"Content-Digest": f"sha-256=:{digest_of(content)}:", "X-Checksum-SHA256": "0" * 64},
    ):
        detail = problem(put(client, sample, "H3K4me3", content, **headers), 422, "checksum-mismatch")
        assert right in detail
    assert [track["mark"] for track in client.get(f"/v1/samples/{sample}").json()["tracks"]] == ["H3K4me1"]
    assert len([name for name in stored_files(data) if "incoming" in name]) == 0


def test_an_upload_may_be_polled(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    for content, outcome in ((tracks["H3K4me1"].read_bytes(), "ready"), (b"junk" * 50, "refused")):
        mark = "H3K4me1" if outcome == "ready" else "H3K4me3"
        response = put(client, sample, mark, content, Prefer="respond-async")
        assert response.status_code == 202
        track = response.json()
        while track["status"] == "checking":
            track = client.get(response.headers["location"]).json()
        assert track["status"] == outcome
    assert track["problem"]["type"] == "urn:epifill:problem:not-a-bigwig"
    assert "not ready: it is refused" in problem(client.get(f"{track['links']['self']}.bigWig"), 409, "track-not-ready")
    query = {"region": REGION, "targets": "H3K4me3"}
    assert client.get(f"/v1/samples/{sample}/region", params=query).json()["observed"] == ["H3K4me1"]


def test_a_restarted_server_keeps_what_was_stored_and_clears_what_was_under_way(
    models: Path, tracks: dict[str, Path], data: Path
) -> None:
    settings = Settings(models=models, default_model="toy", data=data)
    app = create_app(settings)
    client = TestClient(app)  # never left: as if the process had been killed
    sample = new_sample(client)
    put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    left = app.state.data.new_incoming()
    (left / "original.bigWig").write_bytes(b"half")
    orphan = app.state.data.track("0" * 64, "hg19")
    orphan.mkdir(parents=True)
    with Session(app.state.samples._engine) as session:
        track = Track(sample_id=sample, mark="H3K9me3", status="checking", file_name="x", sha256="1" * 64, bytes=4)
        session.add(track)
        session.commit()
    app.state.data._lock.close()  # a dead process holds no lock
    with TestClient(create_app(settings)) as again:
        assert not left.exists()
        assert not orphan.exists()
        shown = {track["mark"]: track for track in again.get(f"/v1/samples/{sample}").json()["tracks"]}
        assert shown["H3K4me1"]["status"] == "ready"
        assert shown["H3K9me3"]["status"] == "refused"
        assert "upload it again" in shown["H3K9me3"]["problem"]["detail"]
        back = again.get(f"/v1/samples/{sample}/tracks/H3K4me1.bigWig")
        assert back.content == tracks["H3K4me1"].read_bytes()


def test_a_second_server_leaves_the_first_ones_uploads_alone(models: Path, data: Path) -> None:
    settings = Settings(models=models, default_model="toy", data=data)
    first = create_app(settings)
    under_way = first.state.data.new_incoming()
    with pytest.raises(DataInUse):
        create_app(settings)
    assert under_way.exists()
    first.state.data.close()
    first.state.engine.dispose()


def test_limits_are_told_with_their_numbers(models: Path, tracks: dict[str, Path], data: Path) -> None:
    """Bytes count with the binned form, which is larger than a small file."""
    content = tracks["H3K4me1"].read_bytes()
    room = {"max_samples_per_owner": 2, "max_tracks_per_sample": 1, "max_bytes_per_owner": 300_000}
    with TestClient(create_app(Settings(models=models, default_model="toy", data=data, **room))) as client:
        sample, other = new_sample(client), new_sample(client)
        detail = problem(client.post("/v1/samples", json={"name": "c"}), 413, "limit-reached")
        assert "You have 2 samples" in detail
        assert put(client, sample, "H3K4me1", content).status_code == 201
        before = stored_files(data)
        assert "has 1 tracks" in problem(put(client, sample, "H3K4me3", content), 413, "limit-reached")
        second = tracks["H3K9me3"].read_bytes()
        assert "300,000 that you may store" in problem(put(client, other, "H3K4me3", second), 413, "limit-reached")
        detail = problem(put(client, other, "H3K4me3", bytes(200_000)), 413, "limit-reached")
        assert "with 200,000 more" in detail
        chunks = (bytes(999) for _ in range(200))  # without a Content-Length
        problem(client.put(f"/v1/samples/{other}/tracks/H3K4me3", content=chunks), 413, "limit-reached")
        assert client.get(f"/v1/samples/{other}").json()["tracks"] == []
        assert stored_files(data) == before


def test_more_uploads_than_fit_are_asked_to_wait(client: TestClient, tracks: dict[str, Path]) -> None:
    gate = client.app.state.uploads  # type: ignore[attr-defined]
    free, gate._value = gate._value, 0
    sample = new_sample(client)
    assert "try again" in problem(put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()), 429, "busy")
    gate._value = free
    for content in (b"junk", tracks["H3K4me1"].read_bytes()):
        put(client, sample, "H3K4me1", content)
    assert gate._value == free, "every upload must give its place back"


def test_a_full_disk_keeps_no_place(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = client.app.state.uploads  # type: ignore[attr-defined]
    free, sample = gate._value, new_sample(client)

    def full() -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(client.app.state.data, "new_incoming", full)  # type: ignore[attr-defined]
    problem(put(client, sample, "H3K4me1", b"x"), 507, "disk-full")
    assert gate._value == free


def test_two_uploads_of_one_mark_at_once(client: TestClient, tracks: dict[str, Path]) -> None:
    """The second is told to wait; neither fails the other."""
    sample = new_sample(client)
    samples = client.app.state.samples  # type: ignore[attr-defined]
    samples.begin("local", sample, "H3K4me1", "x.bw", "0" * 64, 4)
    response = put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    assert "Another upload of H3K4me1 is being checked" in problem(response, 409, "track-not-ready")


def test_the_first_track_to_arrive_settles_the_assembly(
    client: TestClient, tracks: dict[str, Path], data: Path
) -> None:
    """Even if another was already on its way."""
    sample = new_sample(client)
    samples = client.app.state.samples  # type: ignore[attr-defined]
    late, _ = samples.begin("local", sample, "H3K9me3", "late.bw", "0" * 64, 4)
    assert put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()).status_code == 201
    folder = client.app.state.data.new_incoming()  # type: ignore[attr-defined]
    before = stored_files(data)
    with pytest.raises(AssemblyMismatch, match=r"'late\.bw' is in assembly hg38, but the sample is in hg19"):
        samples.finish(late, folder, "late.bw", "0" * 64, 4, Taken("hg38", None, []), 10**9)
    assert stored_files(data) == before


def test_a_sample_deleted_during_an_upload_takes_the_upload_along(client: TestClient, data: Path) -> None:
    sample = new_sample(client)
    samples = client.app.state.samples  # type: ignore[attr-defined]
    track, _ = samples.begin("local", sample, "H3K9me3", "late.bw", "0" * 64, 4)
    client.delete(f"/v1/samples/{sample}")
    folder = client.app.state.data.new_incoming()  # type: ignore[attr-defined]
    samples.finish(track, folder, "late.bw", "0" * 64, 4, Taken("hg19", None, []), 10**9)
    samples.refuse(track, {}, forget=True)
    assert not list((data / "tracks").glob("*/*"))


def test_what_another_owner_stored_before_does_not_show(
    client: TestClient, tracks: dict[str, Path], data: Path
) -> None:
    """The file is shared, its date is the track's own."""
    first, second = new_sample(client), new_sample(client)
    content = tracks["H3K4me1"].read_bytes()
    put(client, first, "H3K4me1", content)
    (original,) = data.glob("tracks/*/*/original.bigWig")
    os.utime(original, (10**9, 10**9))
    track = put(client, second, "H3K4me1", content).json()
    modified = client.head(track["links"]["file"]).headers["last-modified"]
    assert abs(parsedate_to_datetime(modified) - datetime.fromisoformat(track["created"])).total_seconds() < 1


def test_a_copy_that_is_still_good_is_not_sent_again(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    track = put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes()).json()
    fresh = client.get(track["links"]["file"], headers={"If-None-Match": f'"{track["sha256"]}"'})
    assert (fresh.status_code, fresh.content) == (304, b"")
    assert client.get(track["links"]["file"], headers={"If-None-Match": '"other"'}).status_code == 200


def test_values_on_foreign_contigs_alone_are_no_track(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "x.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr21", 48_129_895), ("chrUn_x", 5000)])
        file.addEntries(["chrUn_x"], [0], ends=[50], values=[3.0])
    detail = problem(put(client, new_sample(client), "H3K4me1", path.read_bytes()), 422, "empty-track")
    assert "no value on a chromosome of hg19" in detail


def test_an_empty_database_does_not_cost_the_files_of_another(
    models: Path, tracks: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    settings = Settings(models=models, default_model="toy", data=data)
    with TestClient(create_app(settings)) as client:
        sample = new_sample(client)
        put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with TestClient(create_app(settings.model_copy(update={"database_url": other}))) as client:
        assert client.get("/v1/samples").json()["samples"] == []
    with TestClient(create_app(settings)) as client:
        assert client.get(f"/v1/samples/{sample}/tracks/H3K4me1.bigWig").content == tracks["H3K4me1"].read_bytes()


def test_more_imputations_than_fit_are_asked_to_wait(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    gate = client.app.state.imputations  # type: ignore[attr-defined]
    free, gate._value = gate._value, 0
    response = client.get(f"/v1/samples/{sample}/region", params={"region": REGION})
    assert "try again" in problem(response, 429, "busy")
    assert int(response.headers["retry-after"]) > 0
    gate._value = free
    assert client.get(f"/v1/samples/{sample}/region", params={"region": REGION}).status_code == 200


def test_what_is_odd_about_a_file_is_told_with_its_track(client: TestClient, tmp_path: Path) -> None:
    """Foreign contigs, names without chr, log ratios, positions counted in bins."""
    path = tmp_path / "odd.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("21", 48_129_895), ("GL000192.1", 547_496)])
        file.addEntries("21", 0, values=np.linspace(-2, 2, 1_925_000), span=1, step=1)
    track = put(client, new_sample(client), "H3K4me1", path.read_bytes()).json()
    warnings = "\n".join(track["warnings"])
    assert "Chromosome names were mapped: 21 as chr21." in warnings
    assert "1 contig that hg19 does not have was left out: GL000192.1." in warnings
    assert "values are negative" in warnings
    assert "counted in bins and not in bases" in warnings


def test_real_tracks_raise_no_warning(client: TestClient, real_data: Path) -> None:
    sample = new_sample(client)
    for mark in ("H3K4me3", "H3K27me3"):
        path = real_data / f"roadmap_pilot/E017-{mark}.pval.signal.bigWig"
        track = put(client, sample, mark, path.read_bytes()).json()
        assert track["warnings"] == []
        assert track["quality"]["covered_bins"] == 1_126_469
        samples = client.app.state.samples  # type: ignore[attr-defined]
        stored = samples.open([samples.track("local", sample, mark)])
        with Tracks({mark: TrackFile(path, "x")}, HG19, 25) as direct:
            for region in direct.covered_regions(102_400, 3_276_800):
                np.testing.assert_array_equal(stored.read(region).values, direct.read(region).values)


def test_what_is_no_assay_is_refused(client: TestClient) -> None:
    sample = new_sample(client)
    assert "'Gen5' is not a mark of toy" in problem(put(client, sample, "Gen5", b"x"), 422, "unknown-mark")


def test_ingest_loses_nothing(client: TestClient, tracks: dict[str, Path]) -> None:
    """What is stored equals a direct read of the file, bit for bit."""
    sample = new_sample(client)
    put(client, sample, "H3K4me1", tracks["H3K4me1"].read_bytes())
    samples = client.app.state.samples  # type: ignore[attr-defined]
    stored = samples.open(samples.get("local", sample)[1])
    with Tracks({"H3K4me1": TrackFile(tracks["H3K4me1"], "x")}, HG19, 25) as direct:
        for region in (CHR21, CHRM, Region("chr1", 0, 1_000_000), Region("chr21", 0, 48_129_895)):
            np.testing.assert_array_equal(stored.read(region).values, direct.read(region).values)
    assert MARKS[0] == "H3K4me1"
