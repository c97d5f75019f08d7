"""The client's side of long imputations: uploads, jobs, their events and results, over HTTP that may break off."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.client.answers import Created, Job, JobFailed, JobPage, Result, ResultManifest
from app.core.errors import EpifillError

_T = TypeVar("_T")

Told = Callable[[int, int | None], None]
"""Called with the bytes that are through and their total, where it is known."""

PATIENCE_S = 60.0
"""How long a connection may stay broken."""

_PAUSE_S = 0.5
_PIECE_BYTES = 2**18
_TIMEOUT = httpx2.Timeout(30, connect=10)
_CHECKING_S = 1800
"""An upload is answered when it has been checked."""

_RETRIED_STATUSES = {502, 503, 504}
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class Unreachable(EpifillError):
    """No answer from the server, or one that stands for a server that is away."""


class Refused(EpifillError):
    """An answer that says no; `status` is its HTTP status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class BadServer(EpifillError):
    """An address or a key that no server can have."""


class BadResult(EpifillError):
    """A result that did not arrive as the server made it, or cannot be stored."""


class _Patience:
    """Waits between tries, and gives up when the connection has been broken for PATIENCE_S."""

    def __init__(self) -> None:
        self._broken: float | None = None

    def mended(self) -> None:
        self._broken = None

    def broken(self, error: Unreachable) -> None:
        """Pause, or raise the error."""
        now = time.monotonic()
        self._broken = now if self._broken is None else self._broken
        if now - self._broken >= PATIENCE_S:
            raise error
        time.sleep(_PAUSE_S)


class Server:
    """An Epifill server.

    Parameters
    ----------
    url
        Such as http://127.0.0.1:8000; a path in it goes before every call's.
    key
        API key; it goes into the requests' header and nowhere else.

    Raises
    ------
    BadServer
        The address or the key cannot be right. Every call raises Unreachable or Refused.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        key = (key or "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise BadServer("The API key has characters that no key has; it looks like epf_....")
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL:
            address = httpx2.URL()
        if address.scheme not in ("http", "https") or not address.host:
            raise BadServer(f"'{url}' is not the address of a server; write it like http://127.0.0.1:8000.")
        self.url = str(address.copy_with(userinfo=b"")).rstrip("/")
        self._path = address.path.rstrip("/")
        # A transfer encoding would make lengths and ranges those of other bytes than the file's.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._client = httpx2.Client(base_url=address, headers=headers, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def create_sample(self, name: str) -> str:
        """The id of a new sample."""
        return self._read(Created, self._send("POST", "/v1/samples", json={"name": name}).text).id

    def check_sample(self, sample: str) -> None:
        """Raise Refused if there is no such sample."""
        self._send("GET", f"/v1/samples/{_part(sample)}")

    def delete_sample(self, sample: str) -> None:
        """Delete a sample and its tracks."""
        self._send("DELETE", f"/v1/samples/{_part(sample)}")

    def upload(self, sample: str, mark: str, path: Path, told: Told) -> None:
        """Send a track from the disk, and wait until the server has checked it."""
        size = path.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        timeout = httpx2.Timeout(30, connect=10, read=_CHECKING_S)

        def attempt() -> None:
            url = f"/v1/samples/{_part(sample)}/tracks/{_part(mark)}"
            self._send("PUT", url, content=_pieces(path, size, told), headers=headers, timeout=timeout)

        _persist(attempt)

    def start(self, sample: str, wanted: dict[str, Any]) -> Job:
        """Start one imputation, however often the request must be sent."""
        url, headers = f"/v1/samples/{_part(sample)}/imputations", {"Idempotency-Key": secrets.token_hex(16)}
        return _persist(lambda: self._read(Job, self._send("POST", url, json=wanted, headers=headers).text))

    def jobs(self) -> Iterator[Job]:
        """Every job, page by page."""
        after: str | None = ""
        while after is not None:
            asked = {"limit": "100"} | ({"after": after} if after else {})
            page = self._read(JobPage, self._send("GET", "/v1/imputations", params=asked).text)
            yield from page.imputations
            after = page.next if page.next != after else None

    def job(self, job_id: str) -> Job:
        """A job as it is now."""
        return self._read(Job, self._send("GET", f"/v1/imputations/{_part(job_id)}").text)

    def cancel(self, job_id: str) -> None:
        """Stop a job; one that has ended meanwhile stays, and the server's refusal says so."""
        self._send("DELETE", f"/v1/imputations/{_part(job_id)}?only_cancel=true")

    def events(self, job_id: str) -> Iterator[Job]:
        """A job whenever it has changed, until it has ended; reconnects while the server is away."""
        patience = _Patience()
        while True:
            try:
                with self._stream("GET", f"/v1/imputations/{_part(job_id)}/events") as response:
                    patience.mended()
                    for event in httpx2.EventSource(response):
                        job = self._read(Job, event.data)
                        yield job
                        if job.ended:
                            return
                raise self._unreachable()
            except Unreachable as error:
                patience.broken(error)

    def results(self, job: Job) -> tuple[bytes, list[Result]]:
        """The manifest of a finished job, and its other files; raises JobFailed if there are none."""
        job.check_finished()
        if not job.links.manifest:
            raise JobFailed(f"The results of job {job.id} are no longer on the server; submit it again.")
        manifest = _persist(lambda: self._send("GET", self._own(job.links.manifest or ""))).content
        outputs = self._read(ResultManifest, manifest).outputs
        results = []
        for mark, parts in job.links.tracks.items():
            for part, link in parts.items():
                if link:
                    name = _file_name(f"{mark}.{part}.bigWig")
                    if name not in outputs:
                        raise BadResult(f"The manifest of job {job.id} has no hash of {name}; it cannot be checked.")
                    results.append(Result(name, self._own(link), outputs[name].sha256))
        if hub := job.links.hub:
            folder = self._own(hub).rpartition("/")[0] + "/"
            renamed = tuple((result.link.removeprefix(folder), result.name) for result in results)
            results.append(Result("hub.txt", self._own(hub), renamed=renamed))
        if picture := job.links.scores_picture:
            results.append(Result(_file_name(PurePosixPath(urlsplit(picture).path).name), self._own(picture)))
        return manifest, results

    def download(self, result: Result, folder: Path, told: Told) -> None:
        """Fetch a file into a folder, going on from NAME.partial; what is there already is not fetched again.

        Raises
        ------
        BadResult
            The bytes are not those of the manifest, even when they are all fetched anew, or cannot be stored.
        """
        path = folder / result.name
        partial = path.with_name(f"{path.name}.partial")
        try:
            if result.sha256 is None:
                content = _persist(lambda: self._send("GET", result.link)).content
                for place, name in result.renamed:
                    content = content.replace(f"bigDataUrl {place}\n".encode(), f"bigDataUrl {name}\n".encode())
                partial.write_bytes(content)
            elif path.is_file() and _sha256(path) == result.sha256:
                partial.unlink(missing_ok=True)
                return
            else:
                self._fetch(result, partial, told)
            partial.replace(path)
        except OSError as error:
            raise BadResult(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None

    def _fetch(self, result: Result, partial: Path, told: Told) -> None:
        """Complete a partial file; what turns out to be of another file is fetched anew, once."""
        for _ in range(2):
            self._go_on(result.link, partial, told)
            if partial.is_file() and _sha256(partial) == result.sha256:
                return
            partial.unlink(missing_ok=True)
        raise BadResult(f"{result.name} did not arrive as the server made it; its SHA-256 is not the manifest's.")

    def _go_on(self, link: str, partial: Path, told: Told) -> None:
        """Append what is missing, across broken connections."""
        patience = _Patience()
        while True:
            done = partial.stat().st_size if partial.is_file() else 0
            headers = {"Range": f"bytes={done}-"} if done else {}
            try:
                with self._stream("GET", link, headers=headers) as response:
                    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
                        done = 0
                    length = response.headers.get("Content-Length")
                    total = done + int(length) if length else None
                    with partial.open("ab" if done else "wb") as file:
                        for piece in response.iter_raw():
                            done += file.write(piece)
                            told(done, total)
                            patience.mended()
                return
            except Unreachable as error:
                patience.broken(error)
            except Refused as error:
                if error.status != httpx2.codes.RANGE_NOT_SATISFIABLE:
                    raise
                return  # nothing is missing, or it is another file's; the hash tells

    def _own(self, link: str) -> str:
        """A link as this client's calls are written: without the path of the server's address."""
        own = _own(link)
        return own.removeprefix(self._path) if own.startswith(f"{self._path}/") else own

    def _send(self, method: str, url: str, **options: Any) -> httpx2.Response:
        with self._stream(method, url, **options) as response:
            response.read()
            return response

    @contextmanager
    def _stream(self, method: str, url: str, **options: Any) -> Iterator[httpx2.Response]:
        """An answer whose body has yet to be read; raises Refused, and Unreachable while it is read, too."""
        try:
            with self._client.stream(method, url, **options) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                yield response
        except httpx2.RequestError:  # its text may hold what was sent
            raise self._unreachable() from None

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            f"The server at {self.url} cannot be reached; check that it runs and that --server is right."
        )

    def _refusal(self, response: httpx2.Response) -> EpifillError:
        status = response.status_code
        try:
            detail = TypeAdapter(dict[str, Any]).validate_json(response.content)["detail"]
        except (ValidationError, KeyError):
            detail = f"The server at {self.url} answered {status} {response.reason_phrase}".rstrip() + "."
        return Unreachable(str(detail)) if status in _RETRIED_STATUSES else Refused(str(detail), status)

    def _read(self, kind: type["_Model"], text: str | bytes) -> "_Model":
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            raise Refused(f"What answers at {self.url} is not this version of Epifill; check --server.") from None


_Model = TypeVar("_Model", bound=BaseModel)


def _persist(attempt: Callable[[], _T]) -> _T:
    """The result of `attempt`, called again while the server is away."""
    patience = _Patience()
    while True:
        try:
            return attempt()
        except Unreachable as error:
            patience.broken(error)


def _pieces(path: Path, size: int, told: Told) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
            told(file.tell(), size)


def _part(text: str) -> str:
    """One part of a path, whatever the user wrote; raises Refused for what no part can be."""
    if not text.strip("."):
        raise Refused(f"There is nothing called '{text}'; give an id that the server gave.")
    return quote(text, safe="")


def _own(link: str) -> str:
    """A link that leads to the same server, as the key goes along; raises Refused for another."""
    if not link.startswith("/") or link.startswith("//"):
        raise Refused(f"The server gave the link '{link}', which leads elsewhere; it is not followed.")
    return link


def _file_name(name: str) -> str:
    """A name that stays in its folder; raises Refused."""
    if not _FILE_NAME.fullmatch(name):
        raise Refused(f"The server gave the file name '{name}', which cannot be used.")
    return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
