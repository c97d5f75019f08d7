"""What a request may hold: unknown and repeated fields are refused, and every refusal is a sentence of ours."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from httpx2 import Response

from app.api.invalid import SENTENCES, sentence
from app.api.routes import Route
from tests.conftest import CHR21
from tests.test_api import problem
from tests.test_samples import new_sample

REGION = str(CHR21)


def invalid(response: Response) -> str:
    """The detail of an `invalid-request`."""
    return problem(response, 422, "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/v1/samples/x/region?target=H3K4me1", "'target' is not known here; did you mean 'targets'?"),
        ("GET", "/v1/samples/x/region?REGION=chr21", "'REGION' is not known here; did you mean 'region'?"),
        ("GET", "/v1/imputations?limits=3", "'limits' is not known here; did you mean 'limit'?"),
        (
            "DELETE",
            "/v1/imputations/x?only-cancel=true",
            "'only-cancel' is not known here; did you mean 'only_cancel'?",
        ),
        ("GET", "/v1/models?verbose=1", "'verbose' is not known here; leave it out."),
        ("DELETE", "/v1/samples/x?expires=1", "'expires' is not known here; leave it out."),
        ("GET", "/v1/samples/x/region?region=chr21&region=chr22", "'region' was given more than once; give it once."),
    ],
)
def test_an_unknown_query_parameter_is_refused(client: TestClient, method: str, path: str, detail: str) -> None:
    assert invalid(client.request(method, path)) == detail


def test_a_signed_link_has_its_parameters(client: TestClient) -> None:
    assert client.get("/v1/models?expires=1&signature=ab").status_code == 200


@pytest.mark.parametrize(
    ("form", "detail"),
    [
        ({"target": "H3K4me1"}, "'target' is not known here; did you mean 'targets'?"),
        ({"region": [REGION, REGION]}, "'region' was given more than once; give it once."),
    ],
)
def test_an_unknown_form_field_is_refused(
    client: TestClient, tracks: dict[str, Path], form: dict[str, Any], detail: str
) -> None:
    files = [("tracks", (tracks["H3K4me3"].name, tracks["H3K4me3"].read_bytes()))]
    assert invalid(client.post("/v1/impute", files=files, data=form)) == detail
    sample = new_sample(client)
    upload = {"track": files[0][1]}
    answer = client.post(f"/v1/samples/{sample}/tracks", files=upload, data={"marks": "H3K4me3"})
    assert invalid(answer) == "'marks' is not known here; did you mean 'mark'?"
    assert client.get(f"/v1/samples/{sample}").json()["tracks"] == []


def test_an_unknown_field_of_json_names_the_nearest(client: TestClient) -> None:
    assert invalid(client.post("/v1/samples", json={"name": "x", "asembly": "hg19"})) == (
        "'asembly' is not known here; did you mean 'assembly'?"
    )
    assert invalid(client.post("/v1/samples", json={"name": "x", "zzz": 1})) == (
        "'zzz' is not known here; the fields are assembly, name, temporary."
    )


def test_every_call_of_the_api_checks_its_fields(client: TestClient) -> None:
    """No route of /v1 can be added that does not."""
    app = client.app
    assert isinstance(app, FastAPI)
    for path, operations in app.openapi()["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method in operations:
            place = path.replace("{", "").replace("}", "")
            answer = client.request(method, f"{place}?zzz=1")
            assert "'zzz' is not known here" in invalid(answer), (method, path)


def multipart(disposition: str, content: bytes) -> dict[str, Any]:
    """A form of a single part, with this Content-Disposition."""
    head = f"--cut\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + content + b"\r\n--cut--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=cut"}}


@pytest.mark.parametrize(
    "names",
    [
        "filename*=UTF-8''{encoded}",
        "filename*=utf-8'en'{encoded}",
        "filename=\"other-H3K9me3.bigWig\"; filename*=UTF-8''{encoded}",
        "filename*=UTF-8''{encoded}; filename=\"other-H3K9me3.bigWig\"",
        'filename="{plain}"',
    ],
)
def test_a_file_name_outside_ascii(client: TestClient, tracks: dict[str, Path], names: str) -> None:
    """As browsers send it, and as older Python clients do: `filename*` alone."""
    name = "größe, 肝-H3K4me3.bigWig"
    sample, content = new_sample(client), tracks["H3K4me3"].read_bytes()
    disposition = f'name="track"; {names.format(encoded=quote(name), plain=name)}'
    answer = client.post(f"/v1/samples/{sample}/tracks", **multipart(disposition, content))
    assert answer.status_code == 201, answer.text
    assert (answer.json()["file_name"], answer.json()["mark"]) == (name, "H3K4me3")


def test_a_large_file_named_by_filename_star_is_spooled(client: TestClient) -> None:
    """Beyond the megabyte that a text field may have."""
    sample = new_sample(client)
    disposition = "name=\"track\"; filename*=UTF-8''a-H3K4me3.bigWig"
    answer = client.post(f"/v1/samples/{sample}/tracks", **multipart(disposition, b"x" * 3_000_000))
    problem(answer, 422, "not-a-bigwig")


@pytest.mark.parametrize(
    ("disposition", "detail"),
    [
        ('name="track"', "'track' is not a file; send it as one, with a file name, as a browser or `curl -F` does."),
        ('name="mark"', "'track' is missing; send it, as /docs shows."),
    ],
)
def test_a_field_that_is_no_file(client: TestClient, disposition: str, detail: str) -> None:
    answer = client.post("/v1/samples/x/tracks", **multipart(disposition, b"abc"))
    assert invalid(answer) == detail


def test_a_form_that_cannot_be_read(client: TestClient) -> None:
    answer = client.post(
        "/v1/samples/x/tracks", content=b"abc", headers={"Content-Type": "multipart/form-data; boundary=cut"}
    )
    assert "send it as a browser or `curl -F` does" in problem(answer, 400, "bad-request")


HOSTILE = [None, True, 3, -1, 1.5, 10**30, "", "x", "\x00", "x" * 300, "\ud800", "2", [], {}, [3], ["x"] * 20_000, [{}]]


def test_no_sentence_is_the_validators(client: TestClient) -> None:
    """Every field of every call, fed with all that a request can hold: each kind of error has a sentence of ours."""
    seen: set[str] = set()
    for route in _routes(client):
        dependant = route.dependant
        bodies = [route.body_field] if route.body_field else []
        for field in [*dependant.query_params, *dependant.header_params, *dependant.body_params, *bodies]:
            kind = getattr(field.field_info.annotation, "model_fields", {})
            values = [*HOSTILE, *({name: value} for name in [*kind, "zzz"] for value in HOSTILE)]
            for value in values:
                _, errors = field.validate(value, {}, loc=("body",))
                for error in errors or []:
                    seen.add(error["type"])
                    text, _ = sentence(error)
                    assert error["msg"].lower() not in text.lower(), error
                    assert text.startswith(("'", "The body")), text
                    assert text.endswith((".", "?")), text
    assert seen <= set(SENTENCES)
    assert {"missing", "value_error", "enum", "extra_forbidden", "string_pattern_mismatch", "too_long"} <= seen


def _routes(client: TestClient) -> list[Route]:
    from app.api import imputations, impute, models, region, results, samples, tracks

    rooms = (impute, samples, tracks, region, imputations, results, models)
    return [route for room in rooms for route in room.router.routes if isinstance(route, Route)]


@pytest.mark.parametrize(
    ("content", "kind", "detail"),
    [
        (b"{", "application/json", "The body is not JSON"),
        (b"name=x", "application/x-www-form-urlencoded", "The body is not a JSON object"),
        (b'{"name": "x"}', "text/plain", "The body is not a JSON object"),
        (b"[]", "application/json", "The body is not a JSON object"),
        (b"", "application/json", "The body is missing"),
        (json.dumps({"name": "x" * 201}).encode(), "application/json", "'name' is too long; give at most 200 char"),
        (json.dumps({"name": 5}).encode(), "application/json", "'name' is not text"),
    ],
)
def test_a_body_that_is_not_what_it_should_be(client: TestClient, content: bytes, kind: str, detail: str) -> None:
    answer = client.post("/v1/samples", content=content, headers={"Content-Type": kind})
    assert detail in invalid(answer)


def test_a_kind_of_error_without_a_sentence_says_nothing_of_the_validator() -> None:
    error = RequestValidationError([{"type": "url_parsing", "loc": ("query", "a"), "msg": "Input should be a URL"}])
    assert sentence(error.errors()[0])[0] == "'a' cannot be used as it is; /docs shows what is expected."


def test_json_that_is_nested_too_deeply_is_answered_in_our_words(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/samples", content="[" * 5000, headers=headers)
    assert problem(answer, 400, "bad-request") == "The body cannot be read; send what /docs shows, text as UTF-8."
