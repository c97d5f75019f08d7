"""`epifill jobs` against the real service, and against a scripted one where connections must break at a given point."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from app.api.names import file_name_of
from app.core.assemblies import HG19
from app.core.bigwig.read import TrackFile, Tracks
from tests.conftest import CHR21
from tests.scripted import (
    BYTES,
    DRAWN,
    KEY,
    SHA256,
    START,
    Run,
    Scripted,
    breaks_after,
    drops,
    gives,
    job,
    last_line,
    on_terminal,
    process,
    read_until,
    refused,
    streams,
)
from tests.server import Server, free_port, serve


@pytest.fixture
def run(invoke: Run) -> Run:
    """`epifill jobs ...` in this process."""
    return partial(invoke, "jobs")


@pytest.fixture
def finished(scripted: Scripted) -> Scripted:
    """A service with one finished job."""
    scripted.on("GET /v1/imputations/j1", gives(job("finished")))
    manifest = {"outputs": {"H3K4me3.imputed.bigWig": {"sha256": SHA256, "bytes": len(BYTES)}}}
    scripted.on("GET /v1/imputations/j1/manifest.json", gives(manifest))
    scripted.on("GET /v1/imputations/j1/hub.txt", gives(b"hub x\nbigDataUrl tracks/H3K4me3.bigWig\n"))
    scripted.on(TRACK, breaks_after(len(BYTES)))
    return scripted


TRACK = "GET /v1/imputations/j1/tracks/H3K4me3.bigWig"
EVENTS = "GET /v1/imputations/j1/events"


# The request


def test_a_job_is_asked_for_as_the_options_say(run: Run, scripted: Scripted) -> None:
    options = ["--model", "toy", "--mask", "A", "--target", "A", "--target", "B", "--region", "chrM", "--no-score"]
    assert run("submit", "--sample", "s1", *options, "--server", f"{scripted.url}/") == (0, "j1\n", "")
    (request,) = scripted.requests(START)
    wanted = {"model": "toy", "mask": ["A"], "targets": ["A", "B"], "regions": ["chrM"], "score": False}
    assert json.loads(request.body) == wanted
    assert run("submit", "--sample", "s1", "--server", scripted.url)[0] == 0
    assert json.loads(scripted.requests(START)[1].body) == {"score": True}


def test_a_lost_answer_does_not_make_a_second_job(run: Run, scripted: Scripted) -> None:
    """The request is sent again under the same key; another command uses another."""
    scripted.on(START, drops, gives({"detail": "Starting."}, 503), drops, gives(job("queued"), 202))
    assert run("submit", "--sample", "s1", "--server", scripted.url)[:2] == (0, "j1\n")
    keys = [request.headers["Idempotency-Key"] for request in scripted.requests(START)]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert run("submit", "--sample", "s1", "--server", scripted.url)[0] == 0
    assert scripted.requests(START)[4].headers["Idempotency-Key"] != keys[0]


def test_an_upload_that_breaks_off_is_sent_again(run: Run, scripted: Scripted, tmp_path: Path) -> None:
    (tmp_path / "a-H3K4me1.bigWig").write_bytes(BYTES)
    scripted.on("POST /v1/samples", gives({"id": "s1"}, 201))
    scripted.on("PUT /v1/samples/s1/tracks/H3K4me1", drops, gives({}, 201))
    status, out, errors = run("submit", "--track", f"H3K4me1={tmp_path}/a-H3K4me1.bigWig", "--server", scripted.url)
    assert (status, out) == (0, "j1\n"), errors
    first, second = scripted.requests("PUT /v1/samples/s1/tracks/H3K4me1")
    assert file_name_of(first.headers["Content-Disposition"]) == "a-H3K4me1.bigWig"
    assert first.body == second.body == BYTES
    assert json.loads(scripted.requests("POST /v1/samples")[0].body) == {"name": "a", "temporary": True}
    assert "Uploaded H3K4me1" in errors


def test_a_files_name_tells_its_mark(run: Run, scripted: Scripted, tmp_path: Path) -> None:
    tracks = [tmp_path / name for name in ("liver-K4me1_rep1.bw", "liver-DNase.bw")]
    for path in tracks:
        path.write_bytes(BYTES)
    scripted.on("POST /v1/samples", gives({"id": "s1"}, 201))
    for mark in ("H3K4me1", "DNase"):
        scripted.on(f"PUT /v1/samples/s1/tracks/{mark}", gives({}, 201))
    options = [option for path in tracks for option in ("--track", path)]
    status, out, errors = run("submit", *options, "--server", scripted.url)
    assert (status, out) == (0, "j1\n"), errors
    assert len(scripted.requests("PUT /v1/samples/s1/tracks/H3K4me1")) == 1
    assert len(scripted.requests("PUT /v1/samples/s1/tracks/DNase")) == 1


def test_a_refused_upload_leaves_no_sample_and_a_refused_job_keeps_it(
    run: Run, scripted: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "a-H3K4me1.bigWig").write_bytes(BYTES)
    options = ["--track", f"H3K4me1={tmp_path}/a-H3K4me1.bigWig", "--server", scripted.url]
    scripted.on("POST /v1/samples", gives({"id": "s1"}, 201))
    scripted.on("DELETE /v1/samples/s1", gives(b"", 204))
    scripted.on("PUT /v1/samples/s1/tracks/H3K4me1", gives({"detail": "The file is bad."}, 422), gives({}, 201))
    assert last_line(run("submit", *options)) == "The file is bad."
    assert len(scripted.requests("DELETE /v1/samples/s1")) == 1
    scripted.on(START, gives({"detail": "'X' is not a mark."}, 422))
    result = run("submit", *options, "--target", "X")
    assert last_line(result) == "'X' is not a mark."
    assert "go on with --sample s1" in result[2]
    assert len(scripted.requests("DELETE /v1/samples/s1")) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "Give either tracks"),
        (["--track", "A=README.md", "--sample", "s1"], "Give either tracks"),
        (["--track", "README.md"], "write --track MARK=FILE"),
        (["--track", "A=nowhere.bigWig"], "'nowhere.bigWig' does not exist"),
        (["--track", "A=README.md", "--track", "A=README.md"], "The mark A was given twice"),
        (["--sample", "s1", "--name", "x"], "leave --name out"),
        (["--sample", ".."], "There is nothing called '..'"),
        (["--sample", "s1", "--server", "localhost:8000"], "'localhost:8000' is not the address of a server"),
        (["--sample", "s1", "--server", "http://"], "'http://' is not the address of a server"),
        (["--sample", "s1", "--key", "epf_ä"], "The API key has characters"),
    ],
)
def test_what_cannot_be_asked_for_is_said(run: Run, options: list[str], says: str) -> None:
    assert says in refused(run("submit", *options))


# The server


@pytest.mark.parametrize(
    "command", [["list"], ["watch", "j1"], ["cancel", "j1"], ["fetch", "j1", "--out", "x"], ["submit", "--sample", "s"]]
)
def test_a_server_that_is_away_is_named_at_once(run: Run, command: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert refused(run(*command, "--server", url)).startswith(f"The server at {url} cannot be reached")


def test_another_server_is_noticed(run: Run, scripted: Scripted) -> None:
    for answer in (gives(b"<html>"), gives({"hello": 1})):
        scripted.on("GET /v1/imputations", answer)
        assert "is not this version of Epifill" in refused(run("list", "--server", scripted.url))
    scripted.on("GET /v1/imputations", gives(b"<html>", 403))
    assert refused(run("list", "--server", scripted.url)) == f"The server at {scripted.url} answered 403 Forbidden."


def test_the_key_goes_into_the_header_and_nowhere_else(
    run: Run, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPIFILL_API_KEY", KEY)
    monkeypatch.setenv("EPIFILL_SERVER", scripted.url)
    scripted.on("GET /v1/imputations", gives({"detail": "The key opens nothing."}, 401), drops)
    said = [run("list"), run("list"), run("list", "--help"), run("list", "--key", f"{KEY}\x00"), run("watch", "j1")]
    assert refused(said[0]) == "The key opens nothing."
    assert KEY not in repr(said)
    assert scripted.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_lists_are_read_page_by_page(run: Run, scripted: Scripted) -> None:
    pages = [{"imputations": [job("running", id=f"job-{n}")], "next": f"job-{n}" if n < 2 else None} for n in range(3)]
    scripted.on("GET /v1/imputations", *map(gives, pages))
    status, out, _ = run("list", "--server", scripted.url)
    assert status == 0
    assert len(scripted.asked) == 3
    assert [line.split("\t") for line in out.splitlines()] == [
        [f"job-{n}", "a liver", "running", "0.500", "toy 1.0.0", "H3K4me3", "2026-01-02T03:04:05+00:00"]
        for n in range(3)
    ]


def test_lists_fit_a_terminal_of_80_columns(scripted: Scripted) -> None:
    ids = [f"{n}" * 32 for n in range(3)]
    names = ["liver", "a name that is far too long for its column, donor 3", "\x1b[31mred"]
    shown = [job("running", id=name, sample_name=given) for name, given in zip(ids, names, strict=True)]
    scripted.on("GET /v1/imputations", gives({"imputations": shown, "next": None}))
    lines = on_terminal("jobs", "list", "--server", scripted.url).rstrip("\n").split("\n")
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["id", "sample", "status", "submitted"]
    for line, own in zip(lines[1:], ids, strict=True):
        assert line.startswith(own)
        assert "running 50%" in line
        assert "2026-01-0" in line
    assert " a name that is" in lines[2]
    wide = on_terminal("jobs", "list", "--server", scripted.url, columns=140)
    assert "toy 1.0.0" in wide
    assert "H3K4me3" in wide
    assert wide.count("\n") == 4


def test_lists_are_json_where_it_is_asked_for(run: Run, scripted: Scripted) -> None:
    """With all that the server says, on standard output alone."""
    scripted.on("GET /v1/imputations", gives({"imputations": [job("running"), job("finished")], "next": None}))
    status, out, errors = run("list", "--json", "--server", scripted.url)
    assert (status, errors) == (0, "")
    first, second = json.loads(out)
    assert first["sample_name"] == "a liver"
    assert second["scores"]["H3K4me1"]["model"]["pearson"] == 0.5
    assert first["observed"] == ["H3K4me1"]
    scripted.on("GET /v1/imputations", gives({"imputations": [], "next": None}))
    assert run("list", "--json", "--server", scripted.url) == (0, "[]\n", "")
    assert run("list", "--server", scripted.url) == (0, "", "")


# Watching


def test_watching_outlasts_a_restart_of_the_server(run: Run, scripted: Scripted) -> None:
    scripted.on("GET /v1/imputations/j1", gives(job("queued")))
    broken = streams(job("queued"), job("running"))
    scripted.on(EVENTS, broken, drops, gives({"detail": "Starting."}, 503), streams(job("running"), job("finished")))
    status, out, errors = run("watch", "j1", "--server", scripted.url)
    assert status == 0, errors
    assert len(scripted.requests(EVENTS)) == 4
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert rows == [
        ["H3K4me1", "toy 1.0.0", "0.500", "0.610", "-", "0.250", "1,200"],
        ["", "panel mean", "0.400", "0.610", "-", "0.250", "1,200"],
    ]
    assert "Finished" in errors
    assert "Warning: H3K4me1 looks like [bold]fold changes." in errors


def test_the_bar_has_bins_rate_and_time_left(run: Run, scripted: Scripted, impatient: None) -> None:
    """As it stood when the server went away for good."""
    scripted.on("GET /v1/imputations/j1", gives(job("queued")))
    scripted.on(EVENTS, streams(job("running")), drops)
    result = run("watch", "j1", "--server", scripted.url)
    for text in ("Running", "500/1,000 bins", "1,234 bins/s", "1:02:05 left"):
        assert text in result[2]
    assert f"The server at {scripted.url} cannot be reached" in last_line(result)
    assert "the job j1 may well go on" in last_line(result)


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (job("failed", reason="The disk is full."), "The job j1 failed: The disk is full."),
        (job("cancelled"), "The job j1 was cancelled."),
    ],
)
def test_a_job_without_a_result_says_why(run: Run, scripted: Scripted, last: dict[str, Any], says: str) -> None:
    scripted.on("GET /v1/imputations/j1", gives(job("running")))
    scripted.on(EVENTS, streams(job("running"), last))
    assert last_line(run("watch", "j1", "--server", scripted.url)) == says
    scripted.on("GET /v1/imputations/j1", gives(last))
    assert last_line(run("watch", "j1", "--server", scripted.url)) == says
    assert refused(run("fetch", "j1", "--out", "x", "--server", scripted.url)) == says
    assert "nothing to cancel" in refused(run("cancel", "j1", "--server", scripted.url))
    assert not scripted.requests("DELETE /v1/imputations/j1")


def test_a_job_is_left_running_by_an_interrupt(scripted: Scripted) -> None:
    """In a process of its own, as a signal needs."""
    end = threading.Event()
    scripted.on("GET /v1/imputations/j1", gives(job("running")))
    scripted.on(EVENTS, streams(job("running"), wait=end))
    environment = {"EPIFILL_SERVER": scripted.url, "EPIFILL_API_KEY": KEY, **DRAWN}
    with process("app", "jobs", "submit", "--sample", "s1", "--watch", **environment) as watching:
        seen = read_until("500/1,000 bins", watching)
        watching.send_signal(signal.SIGINT)
        out, errors = watching.communicate(timeout=30)
    end.set()
    assert watching.returncode == 130, errors
    assert out == "j1\n"
    assert f"see it again with `epifill jobs watch j1 --server {scripted.url}`" in errors
    assert KEY not in seen + errors
    assert not [request for request in scripted.asked if request.method == "DELETE"]


# Fetching


def test_a_broken_download_goes_on_where_it_broke(run: Run, finished: Scripted, tmp_path: Path) -> None:
    finished.on(TRACK, breaks_after(300_000), drops, breaks_after(0))
    status, _, errors = run("fetch", "j1", "--out", tmp_path / "out", "--server", finished.url)
    assert status == 0, errors
    assert [request.headers.get("Range") for request in finished.requests(TRACK)][1:] == ["bytes=300000-"] * 2
    assert (tmp_path / "out/H3K4me3.imputed.bigWig").read_bytes() == BYTES
    names = ["H3K4me3.imputed.bigWig", "hub.txt", "manifest.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert (tmp_path / "out/hub.txt").read_text() == "hub x\nbigDataUrl H3K4me3.imputed.bigWig\n"
    assert run("fetch", "j1", "--out", tmp_path / "out", "--server", finished.url)[0] == 0
    assert len(finished.requests(TRACK)) == 3, "what is there is not fetched again"


def test_a_download_that_was_given_up_leaves_its_part(
    run: Run, finished: Scripted, tmp_path: Path, impatient: None
) -> None:
    finished.on(TRACK, breaks_after(300_000), drops)
    assert "cannot be reached" in last_line(run("fetch", "j1", "--out", tmp_path, "--server", finished.url))
    assert [path.name for path in tmp_path.iterdir()] == ["H3K4me3.imputed.bigWig.partial"]
    finished.on(TRACK, breaks_after(0))
    assert run("fetch", "j1", "--out", tmp_path, "--server", finished.url)[0] == 0
    assert finished.requests(TRACK)[-1].headers["Range"] == "bytes=300000-"
    assert (tmp_path / "H3K4me3.imputed.bigWig").read_bytes() == BYTES


def test_another_jobs_folder_is_kept_unless_it_is_to_be_replaced(run: Run, finished: Scripted, tmp_path: Path) -> None:
    fetch = ("fetch", "j1", "--out", tmp_path, "--server", finished.url)
    for name in ("manifest.json", "H3K9me3.imputed.bigWig"):
        (tmp_path / name).write_text("of another job")
        says = "holds the results of another job; give another folder, or replace them with --force."
        assert last_line(run(*fetch)).endswith(says)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert run(*fetch, "--force")[0] == 0
        names = ["H3K4me3.imputed.bigWig", "hub.txt", "manifest.json"]
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        for path in tmp_path.iterdir():
            path.unlink()


def test_an_interrupted_fetch_says_how_to_go_on(finished: Scripted, tmp_path: Path) -> None:
    end = threading.Event()
    finished.on(TRACK, breaks_after(300_000, wait=end))
    command = ("fetch", "j1", "--out", str(tmp_path / "out"), "--server", finished.url)
    with process("app", "jobs", *command, **DRAWN) as fetching:
        read_until("0.3/1.0 MB", fetching)
        fetching.send_signal(signal.SIGINT)
        _, errors = fetching.communicate(timeout=30)
    end.set()
    assert fetching.returncode == 130, errors
    assert f"Stopped; `epifill jobs {' '.join(command)}` goes on from what is there." in errors
    assert (tmp_path / "out/H3K4me3.imputed.bigWig.partial").read_bytes() == BYTES[:300_000]


@pytest.mark.parametrize(
    ("partial", "ranges"),
    [
        (BYTES, ["bytes=1048576-"]),  # complete, only not renamed
        (b"x" * 1000, ["bytes=1000-", None]),  # of another file
        (b"x" * len(BYTES) * 2, ["bytes=2097152-", None]),
        (b"", [None]),
    ],
)
def test_a_part_is_trusted_only_as_far_as_its_hash(
    run: Run, finished: Scripted, tmp_path: Path, partial: bytes, ranges: list[str | None]
) -> None:
    (tmp_path / "H3K4me3.imputed.bigWig.partial").write_bytes(partial)
    (tmp_path / "H3K4me3.imputed.bigWig").write_bytes(b"of an older job")
    assert run("fetch", "j1", "--out", tmp_path, "--server", finished.url)[0] == 0
    assert [request.headers.get("Range") for request in finished.requests(TRACK)] == ranges
    assert (tmp_path / "H3K4me3.imputed.bigWig").read_bytes() == BYTES
    assert not list(tmp_path.glob("*.partial"))


def test_damaged_results_are_not_kept(run: Run, finished: Scripted, tmp_path: Path) -> None:
    finished.on(TRACK, gives(BYTES[:-1] + b"!"))
    assert "its SHA-256 is not the manifest's" in last_line(
        run("fetch", "j1", "--out", tmp_path, "--server", finished.url)
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mark", "link", "says"),
    [
        ("H3K4me3", "https://elsewhere.example/x", "leads elsewhere"),
        ("H3K4me3", "//elsewhere.example/x", "leads elsewhere"),
        ("../H3K4me3", "/x", "cannot be used"),
        ("H3K9me3", "/x", "has no hash of H3K9me3.imputed.bigWig"),
    ],
)
def test_a_server_cannot_write_elsewhere_nor_send_the_key_there(
    run: Run, finished: Scripted, tmp_path: Path, mark: str, link: str, says: str
) -> None:
    links = {"manifest": "/v1/imputations/j1/manifest.json", "tracks": {mark: {"imputed": link}}}
    finished.on("GET /v1/imputations/j1", gives(job("finished", links=links)))
    assert says in refused(run("fetch", "j1", "--out", tmp_path / "out", "--server", finished.url))
    assert not (tmp_path / "out").exists()


def test_results_that_have_expired_are_said(run: Run, finished: Scripted, tmp_path: Path) -> None:
    finished.on("GET /v1/imputations/j1", gives(job("finished", links={})))
    assert "no longer on the server" in refused(run("fetch", "j1", "--out", tmp_path, "--server", finished.url))


# Cancelling


def test_a_job_that_ends_before_it_is_cancelled_stays(run: Run, scripted: Scripted) -> None:
    scripted.on("GET /v1/imputations/j1", gives(job("running")))
    scripted.on("DELETE /v1/imputations/j1", gives({"detail": "The imputation has ended already."}, 409))
    assert "has ended already" in refused(run("cancel", "j1", "--server", scripted.url))
    scripted.on("DELETE /v1/imputations/j1", gives(job("cancelled"), 202))
    assert "Cancelled j1" in run("cancel", "j1", "--server", scripted.url)[1]


# Deleting


def test_only_jobs_that_have_ended_are_deleted(run: Run, scripted: Scripted) -> None:
    scripted.on("GET /v1/imputations/j1", gives(job("running")))
    said = refused(run("delete", "j1", "--server", scripted.url))
    assert said == "The job j1 is running; stop it first with `epifill jobs cancel j1`."
    assert not scripted.requests("DELETE /v1/imputations/j1")
    scripted.on("GET /v1/imputations/j1", gives(job("failed")))
    scripted.on("DELETE /v1/imputations/j1", gives(b"", 204))
    assert run("delete", "j1", "j1", "--server", scripted.url) == (0, "Deleted j1\nDeleted j1\n", "")


# The real service


def track_options(tracks: dict[str, Path], *marks: str) -> list[str]:
    return [option for mark in marks for option in ("--track", f"{mark}={tracks[mark]}")]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "data"
    with serve(folder, models=models, default_model="toy", engine_workers=1) as running:
        yield running


@dataclass
class Submitted:
    """A job that `epifill jobs submit --out` has seen through."""

    id: str
    out: Path
    said: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def submitted(server: Server, tracks: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    out = tmp_path_factory.mktemp("jobs") / "out"
    options = [*track_options(tracks, "H3K4me1", "H3K4me3", "H3K36me3"), "--mask", "H3K4me3", "--name", "a liver"]
    command = [sys.executable, "-m", "app", "jobs", "submit", *options, "--out", str(out), "--server", server.url]
    environment = {**os.environ, "COLUMNS": "200"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return Submitted(said.stdout.split()[0], out, said)


def test_a_sample_goes_all_the_way(submitted: Submitted, tracks: dict[str, Path]) -> None:
    """Uploaded, imputed, scored and fetched, every byte as the manifest says."""
    manifest = json.loads((submitted.out / "manifest.json").read_bytes())
    assert manifest["sample"] == "a liver"
    assert {mark: given["sha256"] for mark, given in manifest["inputs"].items()} == {
        mark: sha256(tracks[mark]) for mark in ("H3K4me1", "H3K4me3", "H3K36me3")
    }
    outputs = manifest["outputs"]
    assert set(outputs) == {f"{mark}.imputed.bigWig" for mark in ("H3K4me3", "H3K27me3", "H3K9me3")}
    for name, output in outputs.items():
        assert sha256(submitted.out / name) == output["sha256"]
        with Tracks({"m": TrackFile(submitted.out / name, name)}, HG19, 25) as opened:
            assert not np.isnan(opened.read(CHR21).values).all()
    hub = (submitted.out / "hub.txt").read_text()
    assert all(f"\nbigDataUrl {name}\n" in hub for name in outputs)
    assert (submitted.out / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in submitted.out.iterdir()} == {*outputs, "hub.txt", "scores.png", "manifest.json"}
    for mark in manifest["hidden_scores"]:
        assert f"\n│ {mark} " in submitted.said.stdout
    for text in ("Uploaded H3K36me3", "Finished", "bins", "Wrote 6 files"):
        assert text in submitted.said.stderr


def test_a_job_that_has_ended_can_be_listed_and_watched_but_not_cancelled(
    run: Run, server: Server, submitted: Submitted
) -> None:
    status, out, _ = run("list", "--server", server.url)
    assert status == 0
    (row,) = [line for line in out.splitlines() if submitted.id in line]
    for text in ("a liver", "finished", "toy", "H3K4me3", "1.000"):
        assert text in row
    status, out, _ = run("watch", submitted.id, "--server", server.url)
    assert (status, out) == (0, submitted.said.stdout.partition("\n")[2])
    said = refused(run("cancel", submitted.id, "--server", server.url))
    assert said == f"The job {submitted.id} is finished; there is nothing to cancel."
    assert run("watch", submitted.id, "--server", server.url)[0] == 0


def test_an_interrupted_fetch_goes_on_by_range(run: Run, server: Server, submitted: Submitted, tmp_path: Path) -> None:
    name = "H3K27me3.imputed.bigWig"
    whole = (submitted.out / name).read_bytes()
    (tmp_path / f"{name}.partial").write_bytes(whole[: len(whole) // 3])
    before = server.log.read_text().count(" 206 ")
    status, _, errors = run("fetch", submitted.id, "--out", tmp_path, "--server", server.url)
    assert status == 0, errors
    assert server.log.read_text().count(" 206 ") == before + 1
    assert {path.name: sha256(path) for path in tmp_path.iterdir()} == {
        path.name: sha256(path) for path in submitted.out.iterdir()
    }


def test_what_the_server_refuses_is_said_in_its_words(
    run: Run, server: Server, submitted: Submitted, tracks: dict[str, Path]
) -> None:
    samples = httpx2.get(f"{server.url}/v1/samples").json()["samples"]
    result = run("submit", "--track", f"H3K4me33={tracks['H3K4me1']}", "--server", server.url)
    assert last_line(result).startswith("'H3K4me33' is not a mark of toy, which has H3K4me1")
    assert httpx2.get(f"{server.url}/v1/samples").json()["samples"] == samples
    on_server = ("--sample", samples[0]["id"], "--server", server.url)
    assert "'CTCF' is not a mark of toy" in refused(run("submit", *on_server, "--target", "CTCF"))
    assert "is not installed" in refused(run("submit", *on_server, "--model", "other"))
    missing = "0" * 32
    assert "There is no such sample" in refused(run("submit", "--sample", missing, "--server", server.url))
    for command in (["watch", missing], ["cancel", missing], ["fetch", missing, "--out", "x"]):
        assert "There is no such job" in refused(run(*command, "--server", server.url))


def test_a_key_opens_the_service(
    run: Run, models: Path, tracks: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path / "data", models=models, default_model="toy", api_keys_required=True) as running:
        create = [sys.executable, "-m", "app", "keys", "create", "somebody"]
        environment = {**os.environ, "EPIFILL_DATA": str(tmp_path / "data")}
        key = subprocess.run(create, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        options = [*track_options(tracks, "H3K4me1"), "--server", running.url]
        assert "wants a valid API key; give one with --key" in refused(run("submit", *options))
        monkeypatch.setenv("EPIFILL_API_KEY", key)
        status, job_id, errors = run("submit", *options)
        assert status == 0, errors
        status, out, _ = run("list", "--server", running.url)
        assert job_id.strip() in out
        assert key not in job_id + errors + out


def test_a_jobs_own_sample_goes_with_it(run: Run, server: Server, tracks: dict[str, Path], tmp_path: Path) -> None:
    """With the last job of it, if more were started; one that was uploaded to stay does."""
    at = ("--server", server.url)
    samples = f"{server.url}/v1/samples"
    options = [*track_options(tracks, "H3K4me1"), "--no-score", "--out", tmp_path / "out", *at]
    first = run("submit", *options)[1].split()[0]
    own = httpx2.get(f"{server.url}/v1/imputations/{first}").json()["sample"]
    again = ["--sample", own, "--no-score", "--out", tmp_path / "again", *at]
    second = run("submit", *again)[1].split()[0]
    assert run("delete", first, *at)[0] == 0
    assert httpx2.get(f"{samples}/{own}").status_code == 200
    assert run("delete", second, *at)[:2] == (0, f"Deleted {second}\n")
    assert httpx2.get(f"{samples}/{own}").status_code == 404
    kept = httpx2.post(samples, json={"name": "kept"}).json()["id"]
    httpx2.put(f"{samples}/{kept}/tracks/H3K4me1", content=tracks["H3K4me1"].read_bytes()).raise_for_status()
    third = run("submit", "--sample", kept, "--no-score", "--out", tmp_path / "third", *at)[1].split()[0]
    assert run("delete", third, *at)[0] == 0
    assert httpx2.get(f"{samples}/{kept}").status_code == 200


@pytest.fixture
def idle_engine() -> Iterator[str]:
    """A Dask scheduler without workers: what is submitted does not end before somebody lends it some."""
    with process("app.jobs.process", "scheduler") as scheduler:
        assert scheduler.stdout
        yield scheduler.stdout.readline().strip()


def test_a_job_is_cancelled(run: Run, models: Path, tracks: dict[str, Path], tmp_path: Path, idle_engine: str) -> None:
    with serve(tmp_path / "data", models=models, default_model="toy", engine=idle_engine) as running:
        at = ("--server", running.url)
        status, out, errors = run("submit", *track_options(tracks, "H3K4me1"), *at)
        assert status == 0, errors
        job_id = out.strip()
        assert "its results are there once it has finished" in refused(run("fetch", job_id, "--out", tmp_path, *at))
        assert run("cancel", job_id, *at)[:2] == (0, f"Cancelled {job_id}\n")
        assert "cancelled" in run("list", *at)[1]
        assert last_line(run("watch", job_id, *at)) == f"The job {job_id} was cancelled."
        assert f"The job {job_id} is cancelled" in refused(run("cancel", job_id, *at))


def test_watching_outlasts_a_crash_of_the_real_server(
    run: Run, models: Path, tracks: dict[str, Path], tmp_path: Path, idle_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr("tests.server.free_port", lambda: port)
    settings = {"models": models, "default_model": "toy", "engine": idle_engine}
    with serve(tmp_path / "data", **settings) as first:
        status, out, errors = run("submit", *track_options(tracks, "H3K4me1"), "--server", first.url)
        assert status == 0, errors
        with process("app", "jobs", "watch", out.strip(), "--server", first.url, **DRAWN) as watching:
            read_until("Running", watching)
            first.process.kill()
            first.process.wait()
            with (
                serve(tmp_path / "data", **settings) as second,
                process("app.jobs.process", "workers", idle_engine, "1"),
            ):
                assert "Finished" in read_until("Finished", watching)
                assert watching.wait(30) == 0
                assert "/events" in second.log.read_text()
