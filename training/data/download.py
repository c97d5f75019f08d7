"""Download files over HTTP: every answer is checked, and interrupted transfers are resumed."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import httpx2

from app.core.errors import EpifillError

_T = TypeVar("_T")
_RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}


class FetchFailed(EpifillError):
    """A file that could not be fetched, or is not what it should be."""


class BrokenOff(Exception):
    """A failure that another attempt may overcome."""


@dataclass(frozen=True)
class Retry:
    """How often a request is tried, and the pause before the second try; each further pause is twice as long."""

    attempts: int = 5
    first_pause_s: float = 1.0


PATIENT = Retry()


@dataclass(frozen=True)
class Version:
    """The version of a file on a server: its size in bytes, ETag and date."""

    size: int | None
    etag: str | None
    last_modified: str | None

    @property
    def validator(self) -> str | None:
        """What `If-Range` may carry: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.last_modified

    def agrees(self, other: "Version") -> bool:
        """Whether all that both state is equal; a partial answer may omit the date."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return all(mine is None or theirs is None or mine == theirs for mine, theirs in pairs)


def make_client(connections: int) -> httpx2.Client:
    """A client for that many threads, which asks for files as they are stored."""
    return httpx2.Client(
        follow_redirects=True,
        timeout=60,
        # A transfer encoding would make lengths and ranges those of other bytes than the file's.
        headers={"Accept-Encoding": "identity"},
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


def download(client: httpx2.Client, url: str, path: Path, retry: Retry, on_bytes: Callable[[int], None]) -> Version:
    """Download a whole file to `path`, resuming from the bytes that are there.

    `<path>.json` beside it keeps the version of those bytes. Without a validator from the server they cannot be
    told from another version's, and the download begins anew.

    Returns
    -------
    Version
        Of the file on the server, which `path` now holds completely and on the disk.

    Raises
    ------
    FetchFailed
        The server refuses, or no try reaches the end; what has arrived stays for the next call.
    """
    note = path.with_name(path.name + ".json")

    def attempt() -> Version:
        known, have = _unfinished(path, note)
        if known and have == known.size:
            return known
        headers = {"Range": f"bytes={have}-", "If-Range": known.validator or ""} if known and have else {}
        with client.stream("GET", url, headers=headers) as response:
            if known and have and response.status_code != httpx2.codes.OK:
                version = _continuation(response, url, known, have, note)
            else:
                version, have = _beginning(response, url), 0
            with path.open("ab" if have else "wb") as file:
                note.write_text(json.dumps(asdict(version)))
                for piece in response.iter_raw():
                    on_bytes(len(piece))
                    have += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        if version.size is not None and have != version.size:
            raise BrokenOff(f"{have:,} of {version.size:,} bytes came")
        return version

    version = with_retries(url, retry, attempt)
    note.unlink(missing_ok=True)
    return version


def _unfinished(path: Path, note: Path) -> tuple[Version | None, int]:
    """The version of an interrupted download and how many bytes of it there are."""
    try:
        known = Version(**json.loads(note.read_text()))
        have = path.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    if known.validator is None or known.size is None or have > known.size:
        return None, 0
    return known, have


def _beginning(response: httpx2.Response, url: str) -> Version:
    """The version of a file that is sent from its first byte on."""
    if response.status_code != httpx2.codes.OK:
        raise _refusal(response, url)
    length = response.headers.get("Content-Length")
    return _version(response, int(length) if length else None)


def _continuation(response: httpx2.Response, url: str, known: Version, have: int, note: Path) -> Version:
    """The version of a file that is sent from byte `have` on; if it is another one, the bytes are discarded."""
    if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
        note.unlink()
        raise BrokenOff("the server has another version than before")
    first, end, version = answered_range(response, url)
    if (first, end) != (have, known.size) or not known.agrees(version):
        note.unlink()
        raise BrokenOff("the server has another version than before")
    return known


def answered_range(response: httpx2.Response, url: str) -> tuple[int, int, Version]:
    """First byte and one past the last byte of a partial answer, and the version that it is a part of."""
    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
        raise _refusal(response, url)
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", header.strip(), re.ASCII)
    if not match:
        raise BrokenOff(f"the server does not say which bytes it sent (Content-Range: '{header[:80]}')")
    first, last, size = map(int, match.groups())
    return first, last + 1, _version(response, size)


def _version(response: httpx2.Response, size: int | None) -> Version:
    return Version(size, response.headers.get("ETag"), response.headers.get("Last-Modified"))


def _refusal(response: httpx2.Response, url: str) -> Exception:
    said = f"the server answered HTTP {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _RETRIED_STATUSES:
        return BrokenOff(said)
    return FetchFailed(f"{url} could not be fetched: {said}.")


def with_retries(url: str, retry: Retry, attempt: Callable[[], _T]) -> _T:
    """The result of `attempt`, called again after each interruption; raises FetchFailed after the last attempt."""
    for tried in range(1, retry.attempts + 1):
        try:
            return attempt()
        except (BrokenOff, httpx2.TransportError) as error:
            reason = str(error) or type(error).__name__
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchFailed(f"{url} could not be fetched: {error}.") from None
        if tried < retry.attempts:
            time.sleep(retry.first_pause_s * 2 ** (tried - 1))
    raise FetchFailed(f"{url} could not be fetched in {retry.attempts} tries: {reason}.")
