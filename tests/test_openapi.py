"""The API document and its pages."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.errors import PROBLEMS, Problem
from app.core import errors
from app.core.errors import EpifillError
from app.main import create_app
from app.settings import Settings


def test_every_core_error_has_its_problem() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EpifillError)}
    assert kinds - {EpifillError, errors.BadModel, errors.DataInUse} == set(PROBLEMS)
    assert len({name for _, name, _ in PROBLEMS.values()}) == len(PROBLEMS)


def test_references_resolve_and_problems_are_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert references <= set(schemas)
    responses = document["paths"]["/v1/impute"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "404", "408", "413", "415", "422", "429", "507"}
    assert set(responses["200"]["content"]) == {
        "application/json",
        "text/plain",
        "application/octet-stream",
        "application/zip",
    }
    assert "application/problem+json" in responses["422"]["content"]
    assert set(document["paths"]["/healthz"]["get"]["responses"]) == {"200"}


def test_the_form_invites_a_newcomer(client: TestClient) -> None:
    """File choosers instead of text fields, an example region, empty lists: `Execute` works at the first try."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    form = schemas["Body_impute"]
    fields = form["properties"]
    assert form["required"] == ["tracks"]
    assert fields["tracks"]["items"] == {"type": "string", "format": "binary"}
    assert fields["region"]["examples"] == ["chr21:33,750,000-33,800,000"]
    assert fields["mask"]["default"] == fields["targets"]["default"] == fields["marks"]["default"] == []
    assert all("description" in field for field in fields.values())


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_ask_nothing_of_other_servers(client: TestClient, page: str) -> None:
    response = client.get(page)
    assert response.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href|url)\s*[=:]\s*["\']([^"\']+)', response.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert not re.match(r"/|\w+:", address), "not below the path of the page itself"
        assert client.get(f"/{address}").status_code == 200, address


def test_style_and_script_ask_nothing_of_other_servers() -> None:
    web = Path(__file__).parents[1] / "app/web"
    for path in (web / "page.js", web / "page.css", web / "index.html"):
        assert not re.search(r"https?://", path.read_text()), path


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_call_has_a_name_a_tag_with_a_text_and_schemas(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    texts = {tag["name"]: tag["description"] for tag in document["tags"]}
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {
        "impute", "get_region", "start_imputation", "list_samples", "create_sample", "get_sample", "delete_sample",
        "upload_track", "upload_track_form", "get_track", "download_track", "list_models", "get_model",
    } <= set(names)  # fmt: skip
    for operation in operations(document):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"])
        assert [texts[tag] for tag in operation["tags"]]
        for status in ("200", "201", "202", "206"):
            for kind, content in operation["responses"].get(status, {}).get("content", {}).items():
                assert content["schema"], (operation["operationId"], status, kind)
    for name in ("impute", "get_region"):
        (operation,) = [one for one in operations(document) if one["operationId"] == name]
        contents = operation["responses"]["200"]["content"]
        assert contents["application/json"]["schema"] == {"$ref": "#/components/schemas/RegionAnswer"}
        assert contents["application/zip"]["schema"]["format"] == "binary"
    assert document["info"]["license"]["identifier"] == "MIT"
    assert document["servers"] == [{"url": "/"}]


def test_every_problem_has_an_example_that_is_one(client: TestClient) -> None:
    kinds = {name: (status, title) for status, name, title in PROBLEMS.values()}
    for operation in operations(client.get("/openapi.json").json()):
        for status, response in operation["responses"].items():
            if int(status) < 400 or "text/plain" in response["content"]:
                continue
            examples = response["content"]["application/problem+json"]["examples"]
            assert examples, (operation["operationId"], status)
            for name, shown in examples.items():
                told = Problem.model_validate(shown["value"])
                assert told.type == f"urn:epifill:problem:{name}"
                assert told.status == int(status)
                if name in kinds:
                    assert (told.status, told.title) == kinds[name]
                assert told.detail.endswith((".", "?"))


def test_headers_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    def asked(operation: dict[str, Any]) -> set[str]:
        return {one["name"].lower() for one in operation.get("parameters", []) if one["in"] == "header"}

    def given(operation: dict[str, Any], status: str) -> set[str]:
        return set(operation["responses"][status].get("headers", {}))

    put = paths["/v1/samples/{sample}/tracks/{mark}"]["put"]
    assert asked(put) == {"prefer", "content-digest", "x-checksum-sha256", "content-disposition"}
    assert all(given(put, status) == {"Location"} for status in ("200", "201", "202"))
    assert given(put, "429") == {"Retry-After"}
    start = paths["/v1/samples/{sample}/imputations"]["post"]
    assert (asked(start), given(start, "202")) == ({"idempotency-key"}, {"Location"})
    result = paths["/v1/imputations/{imputation}/tracks/{track}.bigWig"]["get"]
    assert {"ETag", "Content-Disposition", "Content-Range"} <= given(result, "206")
    assert given(paths["/v1/impute"]["post"], "200") == {"Epifill-Result", "Content-Disposition"}
    assert given(result, "401") == {"WWW-Authenticate"}


@pytest.mark.parametrize(("required", "security"), [(False, [{}, {"HTTPBearer": []}]), (True, [{"HTTPBearer": []}])])
def test_a_key_is_needed_where_it_is_asked_for(
    models: Path, tmp_path: Path, required: bool, security: list[dict[str, list[str]]]
) -> None:
    app = create_app(Settings(models=models, default_model="toy", data=tmp_path, api_keys_required=required))
    document = app.openapi()
    assert "HTTPBearer" in document["components"]["securitySchemes"]
    for path, found in document["paths"].items():
        for operation in found.values():
            assert operation.get("security") == (security if path.startswith("/v1/") else None)
    app.state.engine.dispose()
    app.state.data.close()
