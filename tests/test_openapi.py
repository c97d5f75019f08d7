"""The API document and its pages."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.api.errors import PROBLEMS
from app.core import errors
from app.core.errors import EpifillError


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
    assert set(responses) == {"200", "400", "401", "404", "408", "413", "422", "429", "507"}
    assert set(responses["200"]["content"]) == {
        "application/json",
        "text/plain",
        "application/octet-stream",
        "application/zip",
    }
    assert "application/problem+json" in responses["422"]["content"]
    assert "422" not in document["paths"]["/v1/models"]["get"]["responses"]


def test_the_form_invites_a_newcomer(client: TestClient) -> None:
    """File choosers instead of text fields, an example region, empty lists: `Execute` works at the first try."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    form = schemas["Body_impute_tracks_v1_impute_post"]
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
