"""Fetching, against a server on this machine that can break off, lie and change its files."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import pybigtools
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.core.assemblies import HG19
from app.core.errors import EpifillError
from training.__main__ import COMMANDS, command_line, main
from training.data import fetch, roadmap
from training.data.download import Retry
from training.data.fetch import FetchFailed, fetch_files
from training.data.intervals import write_intervals
from training.data.ranges import HttpFile
from training.data.roadmap import BadSelection, Preset, RemoteFile, Source, locate, select_chromosomes, select_tracks

AT_ONCE = Retry(attempts=3, first_pause_s=0)
ONE_TRY = Retry(attempts=1, first_pause_s=0)
SIGNAL = "E003-H3K4me3.pval.signal"


class Server(ThreadingHTTPServer):
    """Serves bytes with ranges. `faults[name]` is a queue of what goes wrong with the next requests for a file."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.always: dict[str, str] = {}
        self.without_validators = False
        self.before_answer: Callable[[str], None] = lambda name: None
        self.requests: list[tuple[str, str | None, str | None, int]] = []
        self.sent_bytes = 0
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may hang up
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def asked_for(self, name: str) -> list[tuple[str | None, str | None, int]]:
        """Range, If-Range and the status of the answer, of every request for a file."""
        return [tuple(request[1:]) for request in self.requests if request[0] == name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        server = self.server
        with server.lock:
            fault = server.faults[name].pop(0) if server.faults[name] else server.always.get(name, "")
        server.before_answer(name)
        whole = server.files.get(name)
        if whole is None or fault in ("403", "503"):
            self.answer(name, int(fault or 404), {}, b"<html>no</html>")
            return
        etag = f'"{hashlib.md5(whole).hexdigest()}"'
        headers = (
            {} if server.without_validators else {"ETag": etag, "Last-Modified": formatdate(len(whole), usegmt=True)}
        )
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range") in (None, etag) or fault == "ignore If-Range"
        if not asked or not fresh or fault == "ignore Range":
            self.answer(name, 200, headers, whole, fault)
            return
        start, end = int(asked[1]), min(len(whole), int(asked[2] or len(whole)) + 1)
        if start >= len(whole):
            self.answer(name, 416, {"Content-Range": f"bytes */{len(whole)}"}, b"")
            return
        if fault == "other bytes":
            start, end = start + 1, end + 1
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
        self.answer(name, 206, headers, whole[start:end], fault)

    def answer(self, name: str, status: int, headers: dict[str, str], body: bytes, fault: str = "") -> None:
        sent = body[: len(body) // 2] if fault in ("cut", "short") else body
        stated = len(body) if fault != "short" else len(sent)
        with self.server.lock:
            asked = self.headers.get("Range"), self.headers.get("If-Range")
            self.server.requests.append((name, *asked, status))
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(stated)}.items():
            self.send_header(header, value)
        self.end_headers()
        try:
            self.wfile.write(sent)
        except ConnectionError:
            self.close_connection = True
            return
        with self.server.lock:
            self.server.sent_bytes += len(sent)
        if fault == "cut":
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def some_intervals(n: int, seed: int) -> np.ndarray:
    """Intervals with gaps, of random widths and float32 values, that fit into chr21."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.integers(20, 200, n))
    table = np.zeros(n, dtype=[("start", np.uint32), ("end", np.uint32), ("value", np.float32)])
    table["start"], table["end"], table["value"] = ends - random.integers(1, 20, n), ends, random.gamma(0.5, 2, n)
    return table


def bigwig_bytes(path: Path, tables: dict[str, np.ndarray], lengths: dict[str, int]) -> bytes:
    intervals = ((chrom, *row) for chrom, table in tables.items() for row in table.tolist())
    pybigtools.open(str(path), "w").write(lengths, intervals)
    return path.read_bytes()


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    sizes = {"chr1": 200_000, "chr2": 200_000, "chr21": 50_000, "chr10": 1_000, "chrX": 200_000}
    return {chrom: some_intervals(n, seed) for seed, (chrom, n) in enumerate(sorted(sizes.items()))}


@pytest.fixture(scope="module")
def bigwig(tables: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return bigwig_bytes(tmp_path_factory.mktemp("source") / "source.bigWig", tables, dict(HG19.chromosomes))


@pytest.fixture(scope="module")
def wig() -> bytes:
    values = np.random.default_rng(0).gamma(0.5, 2, 40_000)
    lines = "\n".join(f"{value:.3f}" for value in values)
    return gzip.compress(f"track type=wiggle_0\nfixedStep chrom=chr21 start=1 step=25 span=25\n{lines}\n".encode())


def chr21(server: Server, *tracks: tuple[str, str]) -> list[RemoteFile]:
    return locate(tracks or [("E003", "H3K4me3")], ("chr21",), Source.BIGWIG, server.url)


def wig_file(server: Server) -> RemoteFile:
    return locate([("E003", "H3K4me3")], ("chr21",), Source.CHROMIMPUTE, server.url)[0]


def intervals_of(path: Path) -> dict[str, np.ndarray]:
    with pybigtools.open(str(path)) as file:
        dtype = [("start", np.uint32), ("end", np.uint32), ("value", np.float32)]
        return {chrom: np.fromiter(file.records(chrom), dtype=dtype) for chrom in file.chroms()}


def assert_has_chr21(path: Path, tables: dict[str, np.ndarray]) -> None:
    found = intervals_of(path)
    assert list(found) == ["chr21"]
    np.testing.assert_array_equal(found["chr21"], tables["chr21"])


def unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if "partial" in path.name]


# One chromosome of a bigWig


def test_one_chromosome_costs_a_fraction(server, bigwig, tables, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    [file] = chr21(server)
    seen = []
    outcome = fetch_files([file], tmp_path, retry=AT_ONCE, on_bytes=seen.append)
    assert outcome.fetched == [file.name] == [f"{SIGNAL}.chr21.bigWig"]
    assert not outcome.failed
    assert_has_chr21(tmp_path / file.name, tables)
    with pybigtools.open(str(tmp_path / file.name)) as written:
        assert written.chroms() == {"chr21": HG19.length("chr21")}
    assert len(bigwig) > 5_000_000
    assert server.sent_bytes < len(bigwig) / 4
    entry = json.loads((tmp_path / "manifest.json").read_text())["files"][file.name]
    content = (tmp_path / file.name).read_bytes()
    assert entry["transferred_bytes"] == server.sent_bytes == sum(seen)
    assert entry["source_size"] == len(bigwig)
    assert entry["url"] == f"{server.url}{SIGNAL}.bigwig"
    assert entry["etag"] == f'"{hashlib.md5(bigwig).hexdigest()}"'
    assert entry["last_modified"] == formatdate(len(bigwig), usegmt=True)
    assert entry["chromosomes"] == ["chr21"]
    assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert not unfinished(tmp_path)


def test_several_chromosomes_and_one_without_values(server, bigwig, tables, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    [file] = locate([("E003", "H3K4me3")], ("chr2", "chr3", "chr10", "chr21"), Source.BIGWIG, server.url)
    assert not fetch_files([file], tmp_path, retry=AT_ONCE).failed
    found = intervals_of(tmp_path / f"{SIGNAL}.chr2_chr3_chr10_chr21.bigWig")
    assert list(found) == ["chr10", "chr2", "chr21"]  # sorted, as other programs look them up
    for chrom, table in found.items():
        np.testing.assert_array_equal(table, tables[chrom])


def test_whole_bigwig_is_downloaded_as_it_is(server, bigwig, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    files = locate([("E003", "H3K4me3")], select_chromosomes(["all"]), Source.BIGWIG, server.url)
    assert not fetch_files(files, tmp_path, retry=AT_ONCE).failed
    assert (tmp_path / f"{SIGNAL}.bigwig").read_bytes() == bigwig
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["files"][f"{SIGNAL}.bigwig"]["chromosomes"] == "all"


@pytest.mark.parametrize("fault", ["cut", "short", "503", "other bytes"])
def test_a_fault_is_mended_by_another_try(server, bigwig, tables, tmp_path, fault):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    server.faults[f"{SIGNAL}.bigwig"] = ["", fault, fault]  # the second block comes at the third try
    [file] = chr21(server)
    assert not fetch_files([file], tmp_path, retry=AT_ONCE).failed
    assert_has_chr21(tmp_path / file.name, tables)
    asked = [range_ for range_, _, _ in server.asked_for(f"{SIGNAL}.bigwig")]
    assert asked[1] == asked[2] == asked[3]
    assert len(set(asked)) == len(asked) - 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "3 tries"),
        ("short", "3 tries: the server sent"),
        ("503", "3 tries: .*HTTP 503"),
        ("other bytes", "bytes 1-"),
    ],
)
def test_a_fault_that_stays_is_named_after_the_last_try(server, bigwig, tmp_path, fault, said):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    server.always[f"{SIGNAL}.bigwig"] = fault
    [file] = chr21(server)
    outcome = fetch_files([file], tmp_path, retry=AT_ONCE)
    assert re.search(said, outcome.failed[file.name])
    assert f"{server.url}{SIGNAL}.bigwig" in outcome.failed[file.name]
    assert len(server.requests) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_fault_inside_the_data_is_not_hidden_by_the_parser(server, bigwig, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    server.faults[f"{SIGNAL}.bigwig"] = ["", "", "", "403"]
    [file] = chr21(server)
    outcome = fetch_files([file], tmp_path, retry=AT_ONCE)
    assert outcome.failed == {
        file.name: f"{server.url}{SIGNAL}.bigwig could not be fetched: the server answered HTTP 403 Forbidden."
    }
    assert list(tmp_path.iterdir()) == []


def test_pauses_double(server, tmp_path, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("training.data.download.time.sleep", pauses.append)
    server.files[f"{SIGNAL}.bigwig"] = b"x"
    server.always[f"{SIGNAL}.bigwig"] = "503"
    fetch_files(chr21(server), tmp_path, retry=Retry(attempts=4, first_pause_s=0.5))
    assert pauses == [0.5, 1.0, 2.0]


def test_a_missing_file_is_named_and_the_others_are_fetched(server, bigwig, tables, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    files = chr21(server, ("E999", "H3K4me3"), ("E003", "H3K4me3"))
    outcome = fetch_files(files, tmp_path, jobs=1, retry=AT_ONCE)
    missing = "E999-H3K4me3.pval.signal"
    assert outcome.failed == {
        f"{missing}.chr21.bigWig": f"{server.url}{missing}.bigwig could not be fetched:"
        " the server answered HTTP 404 Not Found."
    }
    assert len(server.asked_for(f"{missing}.bigwig")) == 1  # it would be missing again
    assert_has_chr21(tmp_path / f"{SIGNAL}.chr21.bigWig", tables)
    server.files[f"{missing}.bigwig"] = bigwig
    outcome = fetch_files(files, tmp_path, retry=AT_ONCE)
    assert outcome.fetched == [f"{missing}.chr21.bigWig"]
    assert outcome.kept == [f"{SIGNAL}.chr21.bigWig"]


def test_a_server_without_ranges_is_refused_before_its_body_is_read(server, bigwig, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    server.always[f"{SIGNAL}.bigwig"] = "ignore Range"
    seen = []
    outcome = fetch_files(chr21(server), tmp_path, retry=AT_ONCE, on_bytes=seen.append)
    assert "ignores range requests" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]
    assert "--chromosome all" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_not_mixed(server, bigwig, tmp_path):
    name = f"{SIGNAL}.bigwig"
    server.files[name] = bigwig

    def change(asked: str) -> None:
        if len(server.requests) == 3:  # same size, another last byte
            server.files[name] = bigwig[:-1] + b"x"

    server.before_answer = change
    outcome = fetch_files(chr21(server), tmp_path, retry=AT_ONCE)
    assert "changed on the server" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]
    assert len(server.requests) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_noticed_without_validators(server, bigwig, tmp_path):
    name = f"{SIGNAL}.bigwig"
    server.files[name] = bigwig
    server.without_validators = True

    def grow(asked: str) -> None:
        if len(server.requests) == 3:
            server.files[name] = bigwig + b"x"

    server.before_answer = grow
    outcome = fetch_files(chr21(server), tmp_path, retry=AT_ONCE)
    assert "changed on the server" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]


@pytest.mark.parametrize("content", [b"<html>" * 1000, b"\x26\xfc\x8f\x88" + bytes(500), b"x"])
def test_what_is_no_bigwig_is_named(server, tmp_path, content):
    server.files[f"{SIGNAL}.bigwig"] = content
    files = [*chr21(server), *locate([("E003", "H3K4me3")], (), Source.BIGWIG, server.url)]
    outcome = fetch_files(files, tmp_path, retry=AT_ONCE)
    assert "cannot be read as a bigWig" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]
    assert f"{SIGNAL}.bigwig" in outcome.failed[f"{SIGNAL}.bigwig"]
    assert list(tmp_path.iterdir()) == []


def test_a_parser_panic_is_an_ordinary_failure(server, bigwig, tmp_path, monkeypatch):
    class PanicException(BaseException):  # as pybigtools' own
        pass

    def panic(*args: object) -> None:
        raise PanicException("index out of bounds")

    server.files[f"{SIGNAL}.bigwig"] = bigwig
    monkeypatch.setattr("training.data.intervals.pybigtools.open", panic)
    outcome = fetch_files(chr21(server), tmp_path, retry=AT_ONCE)
    assert "cannot be read as a bigWig: index out of bounds" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]


def test_another_assembly_and_an_empty_chromosome_are_named(server, tmp_path):
    table = {"chr1": some_intervals(10, 0)}
    server.files["E001-DNase.pval.signal.bigwig"] = bigwig_bytes(tmp_path / "a.bigWig", table, {"chr1": 248_956_422})
    server.files["E002-DNase.pval.signal.bigwig"] = bigwig_bytes(tmp_path / "b.bigWig", table, {"chr1": 249_250_621})
    outcome = fetch_files(chr21(server, ("E001", "DNase"), ("E002", "DNase")), tmp_path / "out", retry=AT_ONCE)
    assert "hg38" in outcome.failed["E001-DNase.pval.signal.chr21.bigWig"]
    assert "has no values on chr21" in outcome.failed["E002-DNase.pval.signal.chr21.bigWig"]


def test_intervals_that_cannot_be_written_leave_nothing(server, bigwig, tmp_path, monkeypatch):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    overlapping = some_intervals(10, 0)
    overlapping["end"] += 100
    monkeypatch.setattr("training.data.fetch.read_intervals", lambda *args: {"chr21": overlapping})
    outcome = fetch_files(chr21(server), tmp_path, retry=AT_ONCE)
    assert "cannot be written" in outcome.failed[f"{SIGNAL}.chr21.bigWig"]
    assert list(tmp_path.iterdir()) == []


def test_what_reads_back_otherwise_is_refused(tmp_path, monkeypatch):
    table = some_intervals(10, 0)
    real = pybigtools.open

    class FullDisk:
        def __init__(self, path: str) -> None:
            self.path = path

        def write(self, lengths: object, intervals: Iterator[object]) -> None:
            real(self.path, "w").write(lengths, list(intervals)[:-1])

    monkeypatch.setattr(
        "training.data.intervals.pybigtools.open", lambda path, mode="r": FullDisk(path) if mode == "w" else real(path)
    )
    with pytest.raises(FetchFailed, match="did not read back"):
        write_intervals({"chr21": table}, tmp_path / "x.bigWig")


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 400),
    block_bytes=st.integers(1, 64),
    blocks_kept=st.integers(1, 4),
    reads=st.lists(st.tuples(st.integers(0, 450), st.integers(-1, 120)), max_size=12),
)
def test_an_http_file_reads_like_a_file(size, block_bytes, blocks_kept, reads):
    content = np.random.default_rng(size).bytes(size)

    def answer(request: httpx2.Request) -> httpx2.Response:
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        headers = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{size}"}
        return httpx2.Response(206, headers=headers, stream=httpx2.ByteStream(part))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        file = HttpFile(client, "http://x/", ONE_TRY, lambda n: None, block_bytes=block_bytes, blocks_kept=blocks_kept)
        for offset, n_bytes in reads:
            assert file.seek(offset) == offset
            assert file.read(n_bytes) == (content[offset:] if n_bytes < 0 else content[offset : offset + n_bytes])
            assert file.tell() == max(offset, min(size, offset + n_bytes if n_bytes >= 0 else size))
            assert len(file._blocks) <= blocks_kept
        assert file.seek(-1, os.SEEK_END) == size - 1
        assert file.read() == content[-1:]


# Whole files: ChromImpute's wig.gz


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_wig_is_resumed_within_a_run(server, wig, tmp_path, fault):
    file = wig_file(server)
    assert file.name == "chr21_E003-H3K4me3.pval.signal.bedGraph.wig.gz"
    server.files[file.name] = wig
    server.faults[file.name] = ["cut", fault]
    assert not fetch_files([file], tmp_path, retry=AT_ONCE).failed
    assert (tmp_path / file.name).read_bytes() == wig
    first, second, third = server.asked_for(file.name)
    etag = f'"{hashlib.md5(wig).hexdigest()}"'
    assert first == (None, None, 200)
    assert second == (f"bytes={len(wig) // 2}-", etag, 206)
    assert third[1:] == (etag, 206)
    assert server.sent_bytes == len(wig)  # nothing came twice
    assert [path.name for path in tmp_path.iterdir() if path.name != "manifest.json"] == [file.name]


def cut_in_the_middle(server: Server, file: RemoteFile, content: bytes, folder: Path) -> int:
    """A first run that breaks off; returns how many bytes it left."""
    server.files[file.name] = content
    server.faults[file.name] = ["cut"]
    assert file.name in fetch_files([file], folder, retry=ONE_TRY).failed
    assert not (folder / file.name).exists()
    have = (folder / f"{file.name}.partial").stat().st_size
    assert have == len(content) // 2
    server.requests.clear()
    server.sent_bytes = 0
    return have


def test_wig_is_resumed_by_the_next_run(server, wig, tmp_path):
    file = wig_file(server)
    have = cut_in_the_middle(server, file, wig, tmp_path)
    assert fetch_files([file], tmp_path, retry=ONE_TRY).fetched == [file.name]
    assert (tmp_path / file.name).read_bytes() == wig
    assert server.asked_for(file.name) == [(f"bytes={have}-", f'"{hashlib.md5(wig).hexdigest()}"', 206)]
    assert server.sent_bytes == len(wig) - have
    entry = json.loads((tmp_path / "manifest.json").read_text())["files"][file.name]
    assert entry["transferred_bytes"] == len(wig) - have
    assert entry["source_size"] == entry["size"] == len(wig)
    assert not unfinished(tmp_path)


def test_a_download_that_was_complete_but_unnamed_costs_nothing(server, wig, tmp_path):
    file = wig_file(server)
    cut_in_the_middle(server, file, wig, tmp_path)
    (tmp_path / f"{file.name}.partial").write_bytes(wig)
    assert fetch_files([file], tmp_path, retry=ONE_TRY).fetched == [file.name]
    assert server.requests == []
    assert (tmp_path / file.name).read_bytes() == wig
    assert not unfinished(tmp_path)


@pytest.mark.parametrize(("fault", "tries"), [("", 1), ("ignore If-Range", 2)])
@pytest.mark.parametrize("longer", [0, 100])
def test_a_changed_wig_is_not_joined_to_the_old_half(server, wig, tmp_path, fault, tries, longer):
    text = gzip.decompress(wig)
    wig, other = gzip.compress(text, mtime=1), gzip.compress(text + bytes(longer), mtime=2)
    assert (len(wig) == len(other)) == (not longer)
    file = wig_file(server)
    cut_in_the_middle(server, file, wig, tmp_path)
    server.files[file.name] = other
    server.always[file.name] = fault
    assert fetch_files([file], tmp_path, retry=AT_ONCE).fetched == [file.name]
    assert (tmp_path / file.name).read_bytes() == other
    assert len(server.requests) == tries


def test_a_wig_that_became_shorter_than_its_half_begins_anew(server, wig, tmp_path):
    file = wig_file(server)
    cut_in_the_middle(server, file, wig, tmp_path)
    server.files[file.name] = short = gzip.compress(b"short")
    server.always[file.name] = "ignore If-Range"
    assert fetch_files([file], tmp_path, retry=AT_ONCE).fetched == [file.name]
    assert (tmp_path / file.name).read_bytes() == short
    assert [status for _, _, status in server.asked_for(file.name)] == [416, 200]


def test_without_a_validator_the_download_begins_anew(server, wig, tmp_path):
    server.without_validators = True
    file = wig_file(server)
    cut_in_the_middle(server, file, wig, tmp_path)
    assert fetch_files([file], tmp_path, retry=ONE_TRY).fetched == [file.name]
    assert server.asked_for(file.name) == [(None, None, 200)]
    assert (tmp_path / file.name).read_bytes() == wig


@pytest.mark.parametrize("damage", ["byte", "tail", "text", "empty"])
def test_a_damaged_gzip_is_not_published(server, wig, tmp_path, damage):
    file = wig_file(server)
    middle = len(wig) // 2
    server.files[file.name] = {
        "byte": wig[:middle] + bytes([wig[middle] ^ 255]) + wig[middle + 1 :],
        "tail": wig[:-5],
        "text": b"<html>moved</html>",
        "empty": b"",
    }[damage]
    outcome = fetch_files([file], tmp_path, retry=AT_ONCE)
    assert re.search("empty" if damage == "empty" else "damaged gzip", outcome.failed[file.name])
    assert list(tmp_path.iterdir()) == []
    server.files[file.name] = wig
    assert fetch_files([file], tmp_path, retry=AT_ONCE).fetched == [file.name]
    assert (tmp_path / file.name).read_bytes() == wig


def test_a_short_body_with_a_fitting_length_is_found(server, wig, tmp_path):
    file = wig_file(server)
    server.files[file.name] = wig
    server.faults[file.name] = ["short"]  # says, wrongly, that half of it is all
    outcome = fetch_files([file], tmp_path, retry=AT_ONCE)
    assert "damaged gzip" in outcome.failed[file.name]
    assert not (tmp_path / file.name).exists()


# The folder and its manifest


def test_a_second_run_asks_for_nothing(server, bigwig, wig, tmp_path):
    files = [*chr21(server), wig_file(server)]
    server.files.update({f"{SIGNAL}.bigwig": bigwig, files[1].name: wig})
    assert len(fetch_files(files, tmp_path, retry=AT_ONCE).fetched) == 2
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    server.requests.clear()
    outcome = fetch_files(files, tmp_path, retry=AT_ONCE)
    assert sorted(outcome.kept) == sorted(file.name for file in files)
    assert not outcome.fetched
    assert server.requests == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("damage", ["byte", "tail", "gone"])
def test_a_damaged_file_alone_is_fetched_again(server, bigwig, wig, tmp_path, damage):
    files = [*chr21(server), wig_file(server)]
    server.files.update({f"{SIGNAL}.bigwig": bigwig, files[1].name: wig})
    fetch_files(files, tmp_path, retry=AT_ONCE)
    victim = tmp_path / files[1].name
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(wig[:-1] + (bytes([wig[-1] ^ 1]) if damage == "byte" else b""))
    server.requests.clear()
    outcome = fetch_files(files, tmp_path, retry=AT_ONCE)
    assert (outcome.fetched, outcome.kept) == ([files[1].name], [files[0].name])
    assert victim.read_bytes() == wig
    assert server.asked_for(files[1].name) == [(None, None, 200)]
    assert len(server.requests) == 1


def test_a_file_from_another_address_is_fetched_again(server, wig, tmp_path):
    file = wig_file(server)
    server.files.update({file.name: wig, f"mirror/{file.name}": wig})
    fetch_files([file], tmp_path, retry=AT_ONCE)
    [mirrored] = locate([("E003", "H3K4me3")], ("chr21",), Source.CHROMIMPUTE, f"{server.url}mirror")
    assert fetch_files([mirrored], tmp_path, retry=AT_ONCE).fetched == [file.name]


def test_files_are_fetched_at_the_same_time(server, bigwig, tables, tmp_path):
    tracks = [(sample, "DNase") for sample in ("E001", "E002", "E003", "E004")]
    files = chr21(server, *tracks)
    server.files.update({f"{sample}-{mark}.pval.signal.bigwig": bigwig for sample, mark in tracks})
    together = threading.Barrier(len(files))
    met: set[str] = set()

    def meet(name: str) -> None:
        if name not in met:
            met.add(name)
            together.wait(timeout=20)  # breaks, and fails the test, unless all are under way

    server.before_answer = meet
    outcome = fetch_files(files, tmp_path, jobs=len(files), retry=AT_ONCE)
    assert not together.broken
    assert sorted(outcome.fetched) == sorted(file.name for file in files)
    for file in files:
        assert_has_chr21(tmp_path / file.name, tables)
    assert sorted(json.loads((tmp_path / "manifest.json").read_text())["files"]) == sorted(outcome.fetched)


def test_an_interrupt_ends_the_running_downloads(server, wig, tmp_path, monkeypatch):
    first = wig_file(server)
    slow = RemoteFile(f"{server.url}slow.wig.gz", "slow.wig.gz", ("chr21",), by_range=False)
    last = RemoteFile(f"{server.url}last.wig.gz", "last.wig.gz", ("chr21",), by_range=False)
    server.files.update(dict.fromkeys([first.name, slow.name, last.name], wig))
    slow_is_under_way, stopped = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == slow.name:
            slow_is_under_way.set()
            assert stopped.wait(20)
        elif name == first.name:
            assert slow_is_under_way.wait(20)

    class Stop(threading.Event):
        def set(self) -> None:
            super().set()
            stopped.set()

    def interrupt() -> None:
        raise KeyboardInterrupt

    server.before_answer = hold
    monkeypatch.setattr("training.data.fetch.threading", SimpleNamespace(Event=Stop))
    with pytest.raises(KeyboardInterrupt):
        fetch_files([first, slow, last], tmp_path, jobs=2, retry=AT_ONCE, on_file=interrupt)
    assert (tmp_path / first.name).exists()
    assert not (tmp_path / slow.name).exists()
    assert not (tmp_path / last.name).exists()


def test_a_folder_or_manifest_that_cannot_be_used_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchFailed, match="file' cannot be used"):
        fetch_files([], tmp_path / "file")
    (tmp_path / "manifest.json").write_text('{"files": ')
    with pytest.raises(FetchFailed, match=r"manifest\.json' is damaged"):
        fetch_files([], tmp_path)


# What is fetched


def test_presets_are_the_papers(tmp_path):
    numbers = (4, 5, 6, 7, 8, 17, 114, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127)
    train = [f"E{number:03}" for number in numbers]
    marks = ["H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3", "H3K27ac", "H3K9ac", "DNase"]
    assert select_tracks(Preset.TRAIN, (), ()) == [(sample, mark) for sample in train for mark in marks]
    assert select_tracks(Preset.TEST, (), ()) == [(sample, mark) for sample in ("E003", "E128") for mark in marks]
    missing = select_tracks(Preset.MISSING, (), ())
    absent = {("E020", "DNase"), ("E071", "H3K9ac"), ("E071", "DNase"), ("E092", "H3K9ac")}
    assert set(missing) == {(s, m) for s in ("E020", "E071", "E092") for m in marks} - absent
    everything = select_tracks(Preset.ALL, (), ())
    assert len(everything) == len(set(everything)) == 19 * 8 + 2 * 8 + 20
    assert select_tracks(Preset.TEST, ["E003", "E001"], ["dnase", "H3K4me2"]) == [
        (sample, mark) for sample in ("E003", "E128", "E001") for mark in ("DNase", "H3K4me2")
    ]


def test_default_addresses():
    [file] = locate([("E003", "DNase")], ("chr21",), Source.BIGWIG, None)
    assert file.url == (
        "https://egg2.wustl.edu/roadmap/data/byFileType/signal/consolidated/macs2signal/pval/"
        "E003-DNase.pval.signal.bigwig"
    )
    assert select_chromosomes(["22", "chr2", "chr22"]) == ("chr2", "chr22")


# The command

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(fetch.command)


def run(*arguments: str) -> tuple[str, EpifillError | None]:
    """The command's output, and the error that `python -m training` tells in one line."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, EpifillError):
        raise result.exception
    return result.output, result.exception


def test_command_fetches_then_keeps(server, bigwig, tables, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    arguments = ("--sample", "E003", "--mark", "H3K4me3", "--base-url", server.url, "--out", str(tmp_path))
    output, error = run(*arguments)
    assert error is None
    assert "1 files fetched, 0 were there already" in output
    assert_has_chr21(tmp_path / f"{SIGNAL}.chr21.bigWig", tables)
    assert "0 files fetched, 1 were there already" in run(*arguments)[0]


def test_command_names_what_failed(server, bigwig, tmp_path):
    server.files[f"{SIGNAL}.bigwig"] = bigwig
    output, error = run(
        *("--sample", "E003", "--mark", "H3K4me3", "--mark", "DNase"),
        *("--base-url", server.url, "--out", str(tmp_path)),
    )
    assert str(error) == "1 of 2 files failed; run it again to fetch them."
    assert f"{server.url}E003-DNase.pval.signal.bigwig could not be fetched: the server answered HTTP 404" in output
    assert (tmp_path / f"{SIGNAL}.chr21.bigWig").exists()


def test_command_lists_without_fetching(tmp_path):
    output, error = run("--preset", "paper-missing", "--chromosome", "20", "--list", "--out", str(tmp_path / "out"))
    assert error is None
    lines = output.splitlines()
    assert len(lines) == 20
    assert all(f"\t{roadmap.ROADMAP_URL}E" in line and ".chr20.bigWig\t" in line for line in lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No sample is named"),
        (["--sample", "E3"], "'E3' is not a Roadmap sample"),
        (["--sample", "../x"], "is not a Roadmap sample"),
        (["--sample", "E003", "--mark", "../x"], "is not a mark"),
        (["--sample", "E020", "--mark", "DNase"], "never measured DNase of E020"),
        (["--sample", "E003", "--chromosome", "chrQ"], "'chrQ' is not a chromosome of hg19"),
        (["--sample", "E003", "--chromosome", "all", "--chromosome", "chr1"], "'all' is not a chromosome"),
        (["--sample", "E003", "--base-url", "ftp://x/"], "is not a base URL"),
        (["--sample", "E003", "--base-url", "http://[x"], "is not a base URL"),
        (["--sample", "E003", "--source", "chromimpute"], "--base-url"),
        (
            ["--sample", "E003", "--source", "chromimpute", "--base-url", "http://x", "--chromosome", "all"],
            "one file per chromosome",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, said, tmp_path):
    _, error = run(*arguments, "--out", str(tmp_path / "out"))
    assert isinstance(error, BadSelection)
    assert said in str(error)
    assert "\n" not in str(error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--preset", "x"], ["--jobs", "0"], ["--source", "x"]])
def test_bad_options_end_with_status_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_help_names_the_options():
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in ("preset", "sample", "mark", "chromosome", "source", "base-url", "out", "jobs", "list"):
        assert f"--{option}" in output


def test_failures_end_with_lines_and_status_2(server, tmp_path, monkeypatch, capsys):

    chosen = ["--sample", "E003", "--mark", "DNase", "--base-url", server.url, "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["training", "fetch", *chosen])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "HTTP 404 Not Found.\n" in said
    assert "1 of 1 files failed; run it again to fetch them.\n" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["fetch", "prepare", "counts", "simulate"])
def test_getting_data_does_not_wait_for_torch(command):
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['training', '{command}', '--help']\n"
        "try:\n"
        "    runpy.run_module('training', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "print('torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"training {command} [OPTIONS]" in run.stdout
    assert run.stdout.splitlines()[-1] == "False"


def test_every_command_is_in_the_help():
    output = CliRunner().invoke(command_line(), ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for name in COMMANDS:
        assert f" {name} " in output
