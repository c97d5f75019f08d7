"""What commands say of the server's problems: in words of commands, whatever an API says to those who call it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.errors import PROBLEMS
from app.client.problems import Problem, sentence
from app.core import errors
from tests.scripted import Run, Scripted, gives, last_line, refused
from tests.server import serve

APP = Path(errors.__file__).parents[1]

CALLS = re.compile(r"\b(GET|POST|PUT|DELETE|HEAD)\b|/v1\b|/docs\b|Authorization|Bearer|Idempotency|\bheader\b|`\w+`")
"""What only those who make HTTP calls know."""

NO_COMMAND = {"api/answers.py", "api/impute.py"}
"""Of calls that no command makes."""


def text_of(node: ast.expr, names: dict[str, str]) -> str:
    """A message in the code, an X for each of its values."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, names) for part in parts)
        case ast.Name(id=name):
            return names.get(name, "X")
        case ast.BinOp(left=left, right=right):
            return text_of(left, names) + text_of(right, names)
    return "X"


def raised() -> Iterator[tuple[str, str, str]]:
    """Where the service raises an error of the table, its kind of problem, and its message."""
    kinds = {error.__name__: kind for error, (_, kind, _) in PROBLEMS.items()}
    for path in sorted(APP.rglob("*.py")):
        place = str(path.relative_to(APP))
        if place in NO_COMMAND or place.startswith(("client/", "web/")):
            continue
        tree = ast.parse(path.read_text())
        names = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in kinds:
                    yield f"{place}:{node.lineno}", kinds[name], text_of(node.args[0], names)


RAISED = list(raised())


def test_the_messages_are_found() -> None:
    assert len(RAISED) > 60
    assert {"unknown-sample", "key-refused", "bad-region", "limit-reached"} <= {kind for _, kind, _ in RAISED}
    assert any(CALLS.search(text) for _, _, text in RAISED), "else there is nothing to test"


@pytest.mark.parametrize(("place", "kind", "text"), [pytest.param(*case, id=case[0]) for case in RAISED])
def test_no_command_speaks_of_calls(place: str, kind: str, text: str) -> None:
    said = sentence(Problem(type=f"urn:epifill:problem:{kind}", detail=text))
    assert not CALLS.search(re.sub(r"`(epifill|dask) [^`]*`", "", said)), place
    assert said.endswith((".", "?", "X")), said


def test_fields_are_called_by_their_options(invoke: Run, models: Path, tmp_path: Path) -> None:
    """Of the real service, through real commands."""
    (tmp_path / "a-H3K4me1.bw").write_bytes(b"x")
    upload = ["--track", f"H3K4me1={tmp_path}/a-H3K4me1.bw"]
    with serve(tmp_path / "data", models=models, default_model="toy", max_upload_bytes=100_000) as running:
        at = ("--server", running.url)
        assert refused(invoke("samples", "upload", *upload, "--name", "x" * 201, *at)).startswith("--name: ")
        sample = invoke("samples", "upload", *upload, *at)
        assert "is not a bigWig" in last_line(sample)
        (tmp_path / "a-H3K4me1.bw").write_bytes(b"x" * 200_000)
        assert last_line(invoke("samples", "upload", *upload, *at)).startswith(
            "The file is larger than the server takes"
        )
        assert refused(invoke("samples", "upload", *upload, "--assembly", "x" * 50, *at)).startswith("--assembly: ")


def test_a_path_that_is_not_there_is_another_version(invoke: Run, scripted: Scripted) -> None:
    problem = {"type": "urn:epifill:problem:not-found", "detail": "There is nothing at /v1/imputations; see /docs."}
    scripted.on("GET /v1/imputations", gives(problem, 404))
    said = refused(invoke("jobs", "list", "--server", scripted.url))
    assert said == "What answers is not this version of Epifill; check --server."
