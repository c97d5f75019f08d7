"""Tracks from the disk into a sample on a server."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import TaskID

from app.client.terminal import bytes_bar

if TYPE_CHECKING:
    from app.client.server import Server


def name_of(tracks: Mapping[str, Path]) -> str:
    """What to call a sample: its first file's name, up to the mark."""
    mark, path = next(iter(tracks.items()))
    return path.name.partition(mark)[0].rstrip(" ._-")[:200] or path.name[:200]


def send(service: "Server", sample: str, tracks: Mapping[str, Path], there: Mapping[str, str | None]) -> None:
    """Upload tracks, each of them again where the connection breaks, with a bar of its own.

    Parameters
    ----------
    there
        The SHA-256 of the sample's tracks by their marks; what is there already is not sent again.
    """
    with bytes_bar() as bar:
        for mark, path in tracks.items():
            size = path.stat().st_size
            task = bar.add_task(f"Uploading {mark}", total=size)

            def told(done: int, total: int | None, task: TaskID = task, mark: str = mark) -> None:
                bar.update(task, completed=done, description=f"{'Checking' if done == total else 'Uploading'} {mark}")

            if mark in there and there[mark] == _sha256(path):
                bar.update(task, completed=size, description=f"{mark} is there already")
                continue
            service.upload(sample, mark, path, told)
            bar.update(task, description=f"Uploaded {mark}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
