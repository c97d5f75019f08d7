"""Lists over HTTP: the newest first, in pages that hold, filtered, with short rows."""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.store.lists import Place
from app.store.tables import LOCAL, ImputationJob, Sample, now
from tests.test_api import problem
from tests.test_samples import new_sample, put


def store(client: TestClient, rows: Iterable[Any]) -> list[str]:
    """Put rows into the database; their ids."""
    with Session(client.app.state.engine, expire_on_commit=False) as session:  # type: ignore[attr-defined]
        found = list(rows)
        session.add_all(found)
        session.commit()
        return [row.id for row in found]


def imputation(**fields: Any) -> ImputationJob:
    request = {
        "model": {"name": "toy", "version": "1.0.0"}, "observed": ["H3K4me1"], "masked": [], "targets": ["H3K4me3"],
        "regions": None, "parts": ["imputed"],
    }  # fmt: skip
    own = {"owner": LOCAL, "sample_id": "5" * 32, "sample_name": "liver", "status": "cancelled", **fields}
    return ImputationJob(request=request, request_sha256="", bins_total=100, **own)


def pages(client: TestClient, path: str, kind: str, **asked: object) -> list[list[str]]:
    """The ids of every page."""
    found, after = [], ""
    while after is not None:
        answer = client.get(path, params={**asked, "after": after}).raise_for_status().json()
        found.append([row["id"] for row in answer[kind]])
        after = answer["next"]
    return found


def test_lists_are_the_newest_first_whatever_comes_meanwhile(client: TestClient) -> None:
    """Rows of the same instant are in the order of their ids, and none is skipped or shown twice."""
    start = now()
    times = [start, start, start, start + timedelta(microseconds=1), start - timedelta(days=40)]
    for path, kind, rows in (
        ("/v1/samples", "samples", [Sample(owner=LOCAL, name="x", created=time) for time in times]),
        ("/v1/imputations", "imputations", [imputation(created=time) for time in times]),
    ):
        others = [type(rows[0])(**{**rows[0].model_dump(exclude={"id"}), "owner": "somebody"})]
        store(client, others)
        ids = store(client, rows)
        expected = [ids[3], *sorted(ids[:3], reverse=True), ids[4]]
        assert pages(client, path, kind, limit=2) == [expected[:2], expected[2:4], expected[4:]]
        assert pages(client, path, kind, limit=5) == [expected]
        first = client.get(path, params={"limit": 2}).json()
        newer = type(rows[0])(**{**rows[0].model_dump(exclude={"id"}), "created": start + timedelta(hours=1)})
        (newest,) = store(client, [newer])
        if kind == "samples":
            client.delete(f"{path}/{expected[1]}").raise_for_status()  # the row that the place was named by
        second = client.get(path, params={"limit": 2, "after": first["next"]}).json()
        assert [row["id"] for row in second[kind]] == expected[2:4]
        assert client.get(path).json()[kind][0]["id"] == newest


@pytest.mark.parametrize("after", ["x", "0" * 32, "é", "_" * 32, "A" * 31, "A" * 36, "=" * 32])
def test_a_place_that_no_answer_gave_is_refused(client: TestClient, after: str) -> None:
    for path in ("/v1/samples", "/v1/imputations"):
        assert "its next" in problem(client.get(path, params={"after": after}), 422, "bad-page")


def test_a_place_reads_back() -> None:
    place = Place(now(), "0123456789abcdef" * 2)
    assert Place.read(place.token()) == place
    assert Place.read("") is None


def test_samples_are_found_by_name(client: TestClient) -> None:
    names = ["Leber, Ö 3", "leber, ö 4", "kidney_1", "kidney 1", "100% liver"]
    ids = dict(zip(names, [new_sample(client, name=name) for name in names], strict=True))
    for wanted, found in (
        ("leber", [names[1], names[0]]),
        ("Ö", [names[1], names[0]]),
        ("y_", ["kidney_1"]),
        ("%", ["100% liver"]),
        ("nothing", []),
        ("", names[::-1]),
    ):
        assert pages(client, "/v1/samples", "samples", name=wanted) == [[ids[name] for name in found]], wanted


def test_imputations_are_filtered(client: TestClient) -> None:
    mine = "6" * 32
    rows = [
        imputation(status="finished", sample_name="Liver A"),
        imputation(status="failed", sample_name="LIVER B", sample_id=mine),
        imputation(status="finished", sample_name="brain", sample_id=mine),
    ]
    ids = store(client, rows)

    def asked(**fields: str) -> set[int]:
        return {ids.index(one) for page in pages(client, "/v1/imputations", "imputations", **fields) for one in page}

    assert asked(status="finished") == {0, 2}
    assert asked(sample=mine) == {1, 2}
    assert asked(name="liver") == {0, 1}
    assert asked(name="liver", status="failed", sample=mine) == {1}
    assert asked(sample="7" * 32) == set()
    answer = client.get("/v1/imputations?status=done")
    assert "give 'queued', 'running', 'finished', 'failed' or 'cancelled'" in problem(answer, 422, "invalid-request")


def test_rows_are_short(client: TestClient, tracks: dict[str, Path]) -> None:
    sample = new_sample(client)
    track = put(client, sample, "H3K4me3", tracks["H3K4me3"].read_bytes()).json()
    assert len(track["quality"]["quantiles"]) == 34
    row = {name: track[name] for name in ("id", "mark", "status", "file_name", "bytes", "created")}
    row["links"] = {"self": track["links"]["self"]}
    assert client.get("/v1/samples").json()["samples"][0]["tracks"] == [row]
    assert client.get(f"/v1/samples/{sample}/tracks").json() == [row]
    assert client.get(f"/v1/samples/{sample}").json()["tracks"] == [track]
    store(client, [imputation(scores={}, warnings=["a long story"], sample_name="liver, donor 3")])
    answer = client.get("/v1/imputations").json()["imputations"][0]
    assert answer["sample_name"] == "liver, donor 3"
    assert not {"scores", "trust", "warnings", "observed", "regions"} & set(answer)
    assert client.get(answer["links"]["self"]).json()["sample_name"] == "liver, donor 3"
    assert len(json.dumps(answer)) < 700
