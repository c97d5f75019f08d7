"""Keys: every route of the API against callers who may not; ids open nothing."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.main import create_app
from app.settings import Settings
from app.store.keys import Keys
from app.store.tables import ApiKey
from tests.test_api import problem
from tests.test_cli import refused, run

MISSING = "0" * 32
OPEN = "open"
ROUTES: dict[tuple[str, str], Any] = {
    ("get", "/healthz"): OPEN,
    ("get", "/readyz"): OPEN,
    ("get", "/v1/models"): {},
    ("get", "/v1/models/{model}"): {},
    ("post", "/v1/impute"): {"files": {"tracks": ("H3K4me1.bw", b"x")}},
    ("post", "/v1/samples"): {"json": {"name": "a"}},
    ("get", "/v1/samples"): {},
    ("get", "/v1/samples/{sample}"): {},
    ("delete", "/v1/samples/{sample}"): {},
    ("get", "/v1/samples/{sample}/region"): {"params": {"region": "chr21:33,750,000-33,751,000"}},
    ("put", "/v1/samples/{sample}/tracks/{mark}"): {"content": b"x"},
    ("post", "/v1/samples/{sample}/tracks"): {"files": {"track": ("H3K4me1.bw", b"x")}},
    ("get", "/v1/samples/{sample}/tracks"): {},
    ("get", "/v1/samples/{sample}/tracks/{mark}"): {},
    ("get", "/v1/samples/{sample}/tracks/{mark}.bigWig"): {},
    ("delete", "/v1/samples/{sample}/tracks/{mark}"): {},
    ("post", "/v1/samples/{sample}/imputations"): {"json": {"regions": ["chrM"]}},
    ("get", "/v1/samples/{sample}/imputations"): {},
    ("get", "/v1/imputations"): {},
    ("get", "/v1/imputations/{imputation}"): {},
    ("get", "/v1/imputations/{imputation}/events"): {},
    ("get", "/v1/imputations/{imputation}/tracks/{track}.bigWig"): {},
    ("get", "/v1/imputations/{imputation}/manifest.json"): {},
    ("get", "/v1/imputations/{imputation}/hub.txt"): {},
    ("get", "/v1/imputations/{imputation}/scores.png"): {},
    ("delete", "/v1/imputations/{imputation}"): {},
}
"""Every route of the API, and a request that would be right for its owner."""

CLOSED = [route for route, request in ROUTES.items() if request is not OPEN]
OWNED = [route for route in CLOSED if "{sample}" in route[1] or "{imputation}" in route[1]]


@pytest.fixture(scope="module")
def guarded(
    models: Path, tracks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """A service with keys on, two owners, and a sample of the first with a track."""
    data = tmp_path_factory.mktemp("guarded")
    app = create_app(Settings(models=models, default_model="toy", data=data, api_keys_required=True))
    keys: Keys = app.state.keys
    ours, theirs, revoked = keys.create("us"), keys.create("them"), keys.create("us")
    keys.revoke(revoked.split("_")[1])
    with TestClient(app, raise_server_exceptions=False) as client:
        bearer = {"Authorization": f"Bearer {ours}"}
        sample = client.post("/v1/samples", json={"name": "ours"}, headers=bearer).json()["id"]
        content = tracks["H3K4me1"].read_bytes()
        assert client.put(f"/v1/samples/{sample}/tracks/H3K4me1", content=content, headers=bearer).status_code == 201
        job = client.post(f"/v1/samples/{sample}/imputations", json={"regions": ["chrM"]}, headers=bearer).json()["id"]
        ids = {"sample": sample, "imputation": job}
        yield {"client": client, "ours": ours, "theirs": theirs, "revoked": revoked, "keys": keys, **ids}


def ask(guarded: dict[str, Any], route: tuple[str, str], key: str | None, missing: bool = False) -> Response:
    method, path = route
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    ids = {name: MISSING if missing else guarded[name] for name in ("sample", "imputation")}
    filled = path.format(mark="H3K4me1", track="H3K9me3", model="toy", **ids)
    return guarded["client"].request(method, filled, headers=headers, **ROUTES[route])


def test_every_route_has_a_row(guarded: dict[str, Any]) -> None:
    document = guarded["client"].get("/openapi.json").json()
    listed = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert listed == set(ROUTES)


@pytest.mark.parametrize("route", CLOSED, ids=" ".join)
def test_without_a_good_key_nothing_is_told(guarded: dict[str, Any], route: tuple[str, str]) -> None:
    ours = guarded["ours"]
    wrong = [None, "nonsense", "epf_", f"epf_{'0' * 32}_{'A' * 43}", ours[:-1] + ("A" if ours[-1] != "A" else "B"),
             guarded["revoked"], ours + "x", ours.upper()]  # fmt: skip
    answers = []
    for key in wrong:
        response = ask(guarded, route, key)
        problem(response, 401, "key-refused")
        assert response.headers["www-authenticate"] == "Bearer"
        answers.append(response.content)
    assert len(set(answers[1:])) == 1, "wrong, revoked and unknown keys must look alike"


@pytest.mark.parametrize("route", OWNED, ids=" ".join)
def test_a_foreign_id_answers_like_a_missing_one(guarded: dict[str, Any], route: tuple[str, str]) -> None:
    foreign = ask(guarded, route, guarded["theirs"])
    missing = ask(guarded, route, guarded["theirs"], missing=True)
    problem(foreign, 404, "unknown-sample" if "{sample}" in route[1] else "unknown-imputation")
    assert foreign.content == missing.content
    assert {k: v for k, v in foreign.headers.items() if k != "date"} == dict(missing.headers)


def test_a_body_is_not_read_before_the_key(guarded: dict[str, Any]) -> None:
    sent = []

    def body():
        for _ in range(50):
            sent.append(1)
            yield bytes(1 << 20)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = guarded["client"].post("/v1/impute", content=body(), headers=headers)
    problem(response, 401, "key-refused")


def test_the_owner_still_has_everything(guarded: dict[str, Any]) -> None:
    """After all those attempts: nothing was deleted or changed, and a second key of the owner opens it too."""
    second = guarded["keys"].create("us")
    for key in (guarded["ours"], second):
        bearer = {"Authorization": f"Bearer {key}"}
        shown = guarded["client"].get(f"/v1/samples/{guarded['sample']}", headers=bearer).json()
        assert [track["status"] for track in shown["tracks"]] == ["ready"]
        assert len(guarded["client"].get("/v1/samples", headers=bearer).json()["samples"]) == 1
        assert len(guarded["client"].get("/v1/imputations", headers=bearer).json()["imputations"]) == 1
    bearer = {"Authorization": f"Bearer {guarded['theirs']}"}
    assert guarded["client"].get("/v1/samples", headers=bearer).json()["samples"] == []
    assert guarded["client"].get("/v1/imputations", headers=bearer).json()["imputations"] == []


def test_open_routes_stay_open(guarded: dict[str, Any]) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/"):
        assert guarded["client"].get(path).status_code == 200


def test_secrets_are_kept_as_hashes_and_stay_out_of_logs(
    guarded: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for key in (guarded["ours"], guarded["theirs"]):
            ask(guarded, ("get", "/v1/samples"), key)
    for key in (guarded["ours"], guarded["theirs"]):
        _, key_id, secret = key.split("_", 2)
        assert secret not in caplog.text
        (row,) = (row for row in guarded["keys"].every() if row.id == key_id)
        assert isinstance(row, ApiKey)
        assert row.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()


ATTACKS = [
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "a%0d%0aX-Evil:%201",
    "x" * 300,
    "http:%2f%2fexample.org%2fx.bw",
    "file:%2f%2f%2fetc%2fpasswd",
    "%F0%9F%92%A9",
    "%ff%fe",
    "{sample}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_odd_ids_and_marks_open_nothing(guarded: dict[str, Any], attack: str) -> None:
    bearer = {"Authorization": f"Bearer {guarded['ours']}"}
    sample = guarded["sample"]
    for method, path in (
        ("GET", f"/v1/samples/{attack}"),
        ("DELETE", f"/v1/samples/{attack}"),
        ("GET", f"/v1/samples/{attack}/region"),
        ("GET", f"/v1/samples/{sample}/tracks/{attack}"),
        ("GET", f"/v1/samples/{sample}/tracks/{attack}.bigWig"),
        ("PUT", f"/v1/samples/{sample}/tracks/{attack}"),
        ("GET", f"/v1/models/{attack}"),
        ("GET", f"/static/{attack}"),
        ("GET", f"/static/vendor/{attack}"),
    ):
        response = guarded["client"].request(method, path, headers=bearer, content=b"x" if method == "PUT" else None)
        assert response.status_code in (404, 405, 422, 307), (method, path, response.status_code)
        assert "root:" not in response.text
        assert "x-evil" not in response.headers


@pytest.mark.parametrize(
    "name",
    [
        "../../H3K4me1.bw",
        "/etc/H3K4me1.bw",
        "C:\\x\\H3K4me1.bw",
        "http://example.org/H3K4me1.bw",
        "H3K4me1" + "x" * 300,
    ],
)
def test_file_names_are_names_not_paths(guarded: dict[str, Any], tracks: dict[str, Path], name: str) -> None:
    bearer = {"Authorization": f"Bearer {guarded['theirs']}"}
    client = guarded["client"]
    sample = client.post("/v1/samples", json={"name": "x"}, headers=bearer).json()["id"]
    files = {"track": (name, tracks["H3K4me1"].read_bytes())}
    response = client.post(f"/v1/samples/{sample}/tracks", files=files, data={"mark": "H3K4me1"}, headers=bearer)
    assert response.status_code == 201
    shown = response.json()["file_name"]
    assert "/" not in shown
    assert "\\" not in shown
    assert len(shown) <= 200
    client.delete(f"/v1/samples/{sample}", headers=bearer)


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    environment = {"EPIFILL_DATA": str(tmp_path)}
    key = run("keys", "create", "the lab", **environment).stdout.strip()
    listed = run("keys", "list", **environment).stdout
    key_id, secret = key.split("_")[1], key.split("_", 2)[2]
    assert key_id in listed
    assert "the lab" in listed
    assert secret not in listed
    assert run("keys", "revoke", key_id, **environment).returncode == 0
    assert "There is no key nonsense" in refused(run("keys", "revoke", "nonsense", **environment))
    assert "1 to 100 printable characters" in refused(run("keys", "create", "", **environment))


def test_it_does_not_listen_beyond_this_machine_without_keys() -> None:
    message = refused(run("serve", "--host", "0.0.0.0", "--port", "0"))
    assert "EPIFILL_API_KEYS_REQUIRED=1" in message
    assert "--insecure" in message
