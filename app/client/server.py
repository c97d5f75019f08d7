"""The calls that the commands make: samples and their tracks, jobs and their events."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from app.client.answers import Created, Job, JobPage, Sample, SamplePage
from app.client.connection import Connection, Patience, Unreachable, part, persist

Told = Callable[[int, int | None], None]
"""Called with the bytes that are through and their total, where it is known."""

_PIECE_BYTES = 2**18
_CHECKING_S = 1800
"""An upload is answered when it has been checked."""


class Server(Connection):
    """An Epifill server: what the commands ask of it."""

    def create_sample(self, name: str, assembly: str | None = None, temporary: bool = False) -> str:
        """The id of a new sample; a temporary one goes with the last of its jobs."""
        new = {"name": name, "temporary": temporary} | ({"assembly": assembly} if assembly else {})
        return self.read(Created, self.send("POST", "/v1/samples", json=new).text).id

    def samples(self) -> Iterator[Sample]:
        """Every sample, page by page."""
        after: str | None = ""
        while after is not None:
            page = self.read(SamplePage, self.send("GET", "/v1/samples", params=_page(after)).text)
            yield from page.samples
            after = page.next if page.next != after else None

    def sample(self, sample: str) -> Sample:
        """A sample and its tracks."""
        return self.read(Sample, self.send("GET", f"/v1/samples/{part(sample)}").text)

    def delete_sample(self, sample: str) -> None:
        """Delete a sample and its tracks."""
        self.send("DELETE", f"/v1/samples/{part(sample)}")

    def upload(self, sample: str, mark: str, path: Path, told: Told) -> None:
        """Send a track from the disk, and wait until the server has checked it."""
        size = path.stat().st_size
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(_plain(path.name), safe='')}",
        }
        timeout = httpx2.Timeout(30, connect=10, read=_CHECKING_S)

        def attempt() -> None:
            url = f"/v1/samples/{part(sample)}/tracks/{part(mark)}"
            self.send("PUT", url, content=_pieces(path, size, told), headers=headers, timeout=timeout)

        persist(attempt)

    def start(self, sample: str, wanted: dict[str, Any]) -> Job:
        """Start one imputation, however often the request must be sent."""
        url, headers = f"/v1/samples/{part(sample)}/imputations", {"Idempotency-Key": secrets.token_hex(16)}
        return persist(lambda: self.read(Job, self.send("POST", url, json=wanted, headers=headers).text))

    def jobs(self) -> Iterator[Job]:
        """Every job, page by page."""
        after: str | None = ""
        while after is not None:
            page = self.read(JobPage, self.send("GET", "/v1/imputations", params=_page(after)).text)
            yield from page.imputations
            after = page.next if page.next != after else None

    def job(self, job_id: str) -> Job:
        """A job as it is now."""
        return self.read(Job, self.send("GET", f"/v1/imputations/{part(job_id)}").text)

    def cancel(self, job_id: str) -> None:
        """Stop a job; one that has ended meanwhile stays, and the server's refusal says so."""
        self.send("DELETE", f"/v1/imputations/{part(job_id)}?only_cancel=true")

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, with its result, and its sample if that was made for it."""
        self.send("DELETE", f"/v1/imputations/{part(job_id)}")

    def events(self, job_id: str) -> Iterator[Job]:
        """A job whenever it has changed, until it has ended; reconnects while the server is away."""
        patience = Patience()
        while True:
            try:
                with self.stream("GET", f"/v1/imputations/{part(job_id)}/events") as response:
                    patience.mended()
                    for event in httpx2.EventSource(response):
                        job = self.read(Job, event.data)
                        yield job
                        if job.ended:
                            return
                raise self.unreachable()
            except Unreachable as error:
                patience.broken(error)


def _page(after: str) -> dict[str, str]:
    return {"limit": "100"} | ({"after": after} if after else {})


def _plain(name: str) -> str:
    """A file's name without what is no text, which a file system may hold, and without line ends and the like."""
    return "".join(letter if letter.isprintable() else "_" for letter in name)


def _pieces(path: Path, size: int, told: Told) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
            told(file.tell(), size)
