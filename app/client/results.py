"""The files of a finished job: which there are, and how they come here whole, over a connection that may break off."""

import hashlib
import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx2

from app.client.answers import Job, JobFailed, Result, ResultManifest
from app.client.connection import Patience, Refused, Unreachable, persist
from app.client.server import Server, Told
from app.core.errors import EpifillError

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class BadResult(EpifillError):
    """A result that did not arrive as the server made it, or cannot be stored."""


def results(server: Server, job: Job) -> tuple[bytes, list[Result]]:
    """The manifest of a finished job, and its other files; raises JobFailed if there are none."""
    job.check_finished()
    if not job.links.manifest:
        raise JobFailed(f"The results of job {job.id} are no longer on the server; submit it again.")
    manifest = persist(lambda: server.send("GET", server.own(job.links.manifest or ""))).content
    outputs = server.read(ResultManifest, manifest).outputs
    results = []
    for mark, parts in job.links.tracks.items():
        for part, link in parts.items():
            if link:
                name = _file_name(f"{mark}.{part}.bigWig")
                if name not in outputs:
                    raise BadResult(f"The manifest of job {job.id} has no hash of {name}; it cannot be checked.")
                results.append(Result(name, server.own(link), outputs[name].sha256))
    if hub := job.links.hub:
        folder = server.own(hub).rpartition("/")[0] + "/"
        renamed = tuple((result.link.removeprefix(folder), result.name) for result in results)
        results.append(Result("hub.txt", server.own(hub), renamed=renamed))
    if picture := job.links.scores_picture:
        results.append(Result(_file_name(PurePosixPath(urlsplit(picture).path).name), server.own(picture)))
    return manifest, results


def download(server: Server, result: Result, folder: Path, told: Told) -> None:
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
            content = persist(lambda: server.send("GET", result.link)).content
            for place, name in result.renamed:
                content = content.replace(f"bigDataUrl {place}\n".encode(), f"bigDataUrl {name}\n".encode())
            partial.write_bytes(content)
        elif path.is_file() and _sha256(path) == result.sha256:
            partial.unlink(missing_ok=True)
            return
        else:
            _complete(server, result, partial, told)
        partial.replace(path)
    except OSError as error:
        raise BadResult(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None


def _complete(server: Server, result: Result, partial: Path, told: Told) -> None:
    """Complete a partial file; what turns out to be of another file is fetched anew, once."""
    for _ in range(2):
        _go_on(server, result.link, partial, told)
        if partial.is_file() and _sha256(partial) == result.sha256:
            return
        partial.unlink(missing_ok=True)
    raise BadResult(f"{result.name} did not arrive as the server made it; its SHA-256 is not the manifest's.")


def _go_on(server: Server, link: str, partial: Path, told: Told) -> None:
    """Append what is missing, across broken connections."""
    patience = Patience()
    while True:
        done = partial.stat().st_size if partial.is_file() else 0
        headers = {"Range": f"bytes={done}-"} if done else {}
        try:
            with server.stream("GET", link, headers=headers) as response:
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


def _file_name(name: str) -> str:
    """A name that stays in its folder; raises Refused."""
    if not _FILE_NAME.fullmatch(name):
        raise Refused(f"The server gave the file name '{name}', which cannot be used.")
    return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
