"""`epifill samples` against the real service, and against a scripted one where connections must break."""

import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import MARKS
from tests.scripted import (
    BYTES,
    DRAWN,
    SHA256,
    Handler,
    Run,
    Scripted,
    drops,
    gives,
    last_line,
    on_terminal,
    process,
    read_until,
    refused,
    sample,
)
from tests.server import Server, serve

PUT = "PUT /v1/samples/s1/tracks/{}"
SHOW = "GET /v1/samples/s1"


def track(mark: str, status: str = "ready", sha256: str = SHA256, **changes: Any) -> dict[str, Any]:
    """A track as the API shows it."""
    return {
        "id": "t1", "mark": mark, "status": status, "file_name": f"a-{mark}.bigWig", "sha256": sha256, "bytes": 1234567,
        "assembly": "hg19", "quality": {"covered_bins": 9, "covered_fraction": 0.0123, "quantiles": {}}, "warnings": [],
        "problem": None, "created": "2026-01-02T03:04:05Z", "links": {}, **changes,
    }  # fmt: skip


@pytest.fixture
def run(invoke: Run) -> Run:
    """`epifill samples ...` in this process."""
    return partial(invoke, "samples")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options of three tracks, H3K4me1 among them."""
    options = []
    for mark in MARKS[:3]:
        (tmp_path / f"a-{mark}.bigWig").write_bytes(BYTES)
        options += ["--track", f"{mark}={tmp_path}/a-{mark}.bigWig"]
    return options


@pytest.fixture
def storing(scripted: Scripted) -> Scripted:
    """A scripted service that takes every track."""
    scripted.on("POST /v1/samples", gives({"id": "s1"}, 201))
    scripted.on("DELETE /v1/samples/s1", gives(b"", 204))
    for mark in MARKS[:3]:
        scripted.on(PUT.format(mark), gives({}, 201))
    return scripted


# Uploading


def test_tracks_go_into_a_new_sample(run: Run, storing: Scripted, files: list[str]) -> None:
    """With their files' names; a connection that breaks off is made again."""
    storing.on(PUT.format("H3K4me3"), drops, gives({"detail": "Starting."}, 503), gives({}, 201))
    status, out, errors = run("upload", *files, "--server", storing.url)
    assert (status, out) == (0, "s1\n"), errors
    assert json.loads(storing.requests("POST /v1/samples")[0].body) == {"name": "a", "temporary": False}
    for mark, sent in zip(MARKS[:3], (1, 3, 1), strict=True):
        requests = storing.requests(PUT.format(mark))
        assert [request.body == BYTES for request in requests] == [True] * sent
        assert requests[0].headers["Content-Disposition"].endswith(f"''a-{mark}.bigWig")
        assert f"Uploaded {mark}" in errors
    assert run("upload", *files, "--name", "b", "--assembly", "hg19", "--server", storing.url)[0] == 0
    new = json.loads(storing.requests("POST /v1/samples")[1].body)
    assert new == {"name": "b", "temporary": False, "assembly": "hg19"}


def test_what_is_there_is_not_sent_again(run: Run, storing: Scripted, files: list[str]) -> None:
    there = [track("H3K4me1"), track("H3K4me3", sha256="another file's"), track("H3K36me3", "refused")]
    storing.on(SHOW, gives(sample(*there)))
    named = [option.partition("=")[2] or option for option in files]  # their names tell their marks
    status, out, errors = run("upload", "--sample", "s1", *named, "--server", storing.url)
    assert (status, out) == (0, "s1\n"), errors
    assert [len(storing.requests(PUT.format(mark))) for mark in MARKS[:3]] == [0, 1, 1]
    assert not storing.requests("POST /v1/samples")
    assert "H3K4me1 is there already" in errors


def test_a_refused_track_leaves_the_others_and_no_empty_sample(run: Run, storing: Scripted, files: list[str]) -> None:
    storing.on(PUT.format("H3K4me3"), gives({"detail": "The file is bad."}, 422))
    storing.on(SHOW, gives(sample(track("H3K4me1"))))
    result = run("upload", *files, "--server", storing.url)
    assert last_line(result) == "The file is bad."
    assert f"go on with `epifill samples upload --sample s1 --server {storing.url}`" in result[2]
    assert not storing.requests("DELETE /v1/samples/s1")
    storing.on(SHOW, gives(sample(track("H3K4me3", "refused"))))
    assert last_line(run("upload", *files, "--server", storing.url)) == "The file is bad."
    assert len(storing.requests("DELETE /v1/samples/s1")) == 1
    result = run("upload", "--sample", "s1", *files, "--server", storing.url)
    assert last_line(result) == "The file is bad."
    assert len(storing.requests("DELETE /v1/samples/s1")) == 1, "it was there before"


def test_an_interrupted_upload_says_how_to_go_on(storing: Scripted, files: list[str]) -> None:
    asked, end = threading.Event(), threading.Event()

    def stalls(handler: Handler) -> None:
        asked.set()
        end.wait(30)
        handler.close_connection = True

    storing.on(PUT.format("H3K4me3"), stalls)
    storing.on(SHOW, gives(sample(track("H3K4me1"))))
    with process("app", "samples", "upload", *files, "--server", storing.url, **DRAWN) as uploading:
        read_until("Checking H3K4me3", uploading)
        assert asked.wait(30)
        uploading.send_signal(signal.SIGINT)
        out, errors = uploading.communicate(timeout=30)
    end.set()
    assert uploading.returncode == 130, errors
    assert out == ""
    assert f"go on with `epifill samples upload --sample s1 --server {storing.url}` and the same tracks" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--track", "README.md"], "write --track MARK=FILE"),
        (["--track", "A=nowhere.bigWig"], "'nowhere.bigWig' does not exist"),
        (["--track", "A=README.md", "--track", "A=README.md"], "The mark A was given twice"),
        (["--track", "A=README.md", "--sample", "s1", "--name", "x"], "leave --name and --assembly out"),
        (["--track", "A=README.md", "--sample", ".."], "There is nothing called '..'"),
    ],
)
def test_what_cannot_be_uploaded_is_said(run: Run, options: list[str], says: str) -> None:
    assert says in refused(run("upload", *options))


# Showing


def test_lists_and_samples_on_a_terminal_and_elsewhere(run: Run, scripted: Scripted) -> None:
    odd = track("H3K4me3", "refused", warnings=["looks like [bold]fold changes."], quality=None)
    odd["problem"] = {"detail": "The file is bad.", "type": "x"}
    named = sample(track("H3K4me1"), odd, name="a name that is far too long for its column, donor 3, left lobe")
    scripted.on(SHOW, gives(named))
    pages = [{"samples": [named | {"id": f"{n}" * 32}], "next": f"{n}" if n < 1 else None} for n in range(2)]
    scripted.on("GET /v1/samples", *map(gives, pages))
    assert [line.split("\t") for line in run("list", "--server", scripted.url)[1].splitlines()] == [
        [
            f"{n}" * 32,
            named["name"],
            "hg19",
            "H3K4me1,H3K4me3",
            "2026-01-02T03:04:05+00:00",
            "2026-02-01T03:04:05+00:00",
        ]
        for n in range(2)
    ]
    lines = [line.split("\t") for line in run("show", "s1", "--server", scripted.url)[1].splitlines()]
    assert lines == [
        ["H3K4me1", "ready", "a-H3K4me1.bigWig", "1234567", "0.0123", SHA256],
        ["H3K4me3", "refused", "a-H3K4me3.bigWig", "1234567", "", SHA256],
    ]
    assert (
        json.loads(run("show", "s1", "--json", "--server", scripted.url)[1])["tracks"][1]["problem"] == odd["problem"]
    )

    scripted.on("GET /v1/samples", *map(gives, pages))
    shown = on_terminal("samples", "list", "--server", scripted.url).splitlines()
    assert shown[0].split() == ["id", "name", "assembly", "tracks", "deleted", "on"]
    assert shown[1].startswith("0" * 32)
    assert shown[1].split()[-3:] == ["hg19", "2", "2026-02-01"]
    assert max(map(len, shown)) <= 80
    shown = on_terminal("samples", "show", "s1", "--server", scripted.url)
    for text in ("a name that is far", "in hg19", "1.23%", "1.2", "H3K4me3: looks like [bold]fold changes."):
        assert text in " ".join(shown.split())
    assert "H3K4me3: The last upload was refused: The file is bad." in shown


# The real service


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server") / "data", models=models, default_model="toy") as running:
        yield running


def test_a_sample_from_its_upload_to_its_end(run: Run, server: Server, tracks: dict[str, Path], tmp_path: Path) -> None:
    at = ("--server", server.url)
    options = [option for mark in MARKS[:2] for option in ("--track", f"{mark}={tracks[mark]}")]
    status, out, errors = run("upload", *options, "--name", "a liver", *at)
    assert status == 0, errors
    (sample_id,) = out.split()
    assert run("list", *at)[1].split("\t")[:4] == [sample_id, "a liver", "hg19", "H3K4me1,H3K4me3"]
    shown = [line.split("\t") for line in run("show", sample_id, *at)[1].splitlines()]
    assert [line[:2] for line in shown] == [["H3K4me1", "ready"], ["H3K4me3", "ready"]]
    assert shown[0][5] == hashlib.sha256(tracks["H3K4me1"].read_bytes()).hexdigest()
    before = server.log.read_text().count("PUT /v1")
    more = ["--track", f"H3K36me3={tracks['H3K36me3']}"]
    assert run("upload", "--sample", sample_id, *options, *more, *at)[:2] == (0, out)
    assert server.log.read_text().count("PUT /v1") == before + 1
    asjson = json.loads(run("list", "--json", *at)[1])
    assert asjson == httpx2.get(f"{server.url}/v1/samples").json()["samples"]
    (tmp_path / "bad.bw").write_text("no bigWig")
    assert "is not a bigWig file but text" in last_line(run("upload", "--track", f"H3K9me3={tmp_path}/bad.bw", *at))
    assert len(run("list", *at)[1].splitlines()) == 1, "no empty sample is left"
    assert run("delete", sample_id, *at)[:2] == (0, f"Deleted {sample_id}\n")
    gone = "There is no such sample on the server; `epifill samples list` shows yours."
    for command in (["delete", sample_id], ["show", sample_id], ["upload", "--sample", sample_id, *more]):
        assert refused(run(*command, *at)) == gone
