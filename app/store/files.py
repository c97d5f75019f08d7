"""The data folder: uploads on their way in, and what was taken in, by content."""

import fcntl
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

ORIGINAL = "original.bigWig"
_LOCK = "lock"


DISK_FULL = "The service's disk is full, so nothing can be stored now; try again later."


class DataFolder:
    """Where files last.

    `incoming/SERVER/` holds one folder per upload that is under way at one server process; what a process left that is
    gone is removed at the next start. `tracks/AA/SHA256-ASSEMBLY/` holds the bytes of a file as they came, and its
    binned form, once, whoever uploaded it. `imputations/ID/` is the folder of a long imputation.
    """

    def __init__(self, root: Path) -> None:
        self._tracks = root / "tracks"
        self._imputations = root / "imputations"
        incoming = root / "incoming"
        for folder in (incoming, self._tracks, self._imputations):
            folder.mkdir(parents=True, exist_ok=True)
        self._starting = (root / _LOCK).open("w")
        fcntl.flock(self._starting, fcntl.LOCK_EX)  # until `started`: no other server starts meanwhile
        self.alone = not [left for left in incoming.iterdir() if not _remove_if_deserted(left)]
        self._incoming = Path(tempfile.mkdtemp(dir=incoming))
        self._lock = (self._incoming / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def started(self) -> None:
        """Let other servers start: what crashes have left is cleaned up."""
        self._starting.close()

    def close(self) -> None:
        """Remove this process's folder of uploads."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._starting.close()
        self._lock.close()

    def stored(self) -> list[tuple[str, str]]:
        """Every content that has a place: sha256 and assembly."""
        return [(path.name[:64], path.name[65:]) for path in self._tracks.glob("*/*-*")]

    def new_incoming(self) -> Path:
        """A new empty folder for one upload; whoever asked for it removes it."""
        return Path(tempfile.mkdtemp(dir=self._incoming))

    def track(self, sha256: str, assembly: str) -> Path:
        """Where a file's content and binned form lie."""
        return self._tracks / sha256[:2] / f"{sha256}-{assembly}"

    def publish(self, incoming: Path, sha256: str, assembly: str) -> Path:
        """Give an upload that was taken in its lasting place, all at once; keep the old if it is there already."""
        place = self.track(sha256, assembly)
        place.parent.mkdir(exist_ok=True)
        for path in incoming.iterdir():
            _sync(path)
        if place.exists():
            shutil.rmtree(incoming)
        else:
            incoming.rename(place)
            _sync(place.parent)
        return place

    def remove(self, sha256: str, assembly: str) -> None:
        """Remove a content that nothing refers to any more: first its name, then its files."""
        place = self.track(sha256, assembly)
        if place.exists():
            doomed = self.new_incoming() / "removed"
            place.rename(doomed)
            shutil.rmtree(doomed.parent)

    def imputation(self, imputation_id: str) -> Path:
        """The folder of an imputation."""
        return (self._imputations / imputation_id).absolute()

    def imputations(self) -> list[str]:
        """The ids of all imputations that have a folder."""
        return [path.name for path in self._imputations.iterdir()]

    def remove_imputation(self, imputation_id: str) -> None:
        """Remove an imputation's folder: first its name, so that whoever works on it stops."""
        doomed = self._incoming / f"removed-{secrets.token_hex(8)}"  # a new folder would need room
        with suppress(FileNotFoundError):
            self.imputation(imputation_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def link_binned(self, track: Path, place: Path) -> None:
        """Give a track's binned form another name, under which it stays when the track is deleted."""
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir()
        for path in track.iterdir():
            if path.name != ORIGINAL and path.suffix != ".partial":
                try:
                    os.link(path, place / path.name)
                except OSError:  # a file system without links
                    shutil.copy2(path, place / path.name)


def _sync(path: Path) -> None:
    """Make a file or folder last through a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_if_deserted(folder: Path) -> bool:
    """Remove the uploads of a server process that is gone; False if it lives."""
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # it died before it had its lock
    shutil.rmtree(folder, ignore_errors=True)
    return True
