"""Record of the files in a folder: origin, version, and a hash that detects damage."""

import hashlib
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.common.publish import publish
from training.data.download import FetchFailed, Version
from training.data.roadmap import RemoteFile


class FetchedFiles:
    """The `manifest.json` of a folder, per file its origin, version, size, sha256 and cost; for all threads.

    Raises
    ------
    FetchFailed
        There is a manifest that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "manifest.json"
        self._lock = threading.Lock()
        self._files: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            try:
                self._files = {name: dict(entry) for name, entry in json.loads(self._path.read_text())["files"].items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                raise FetchFailed(f"'{self._path}' is damaged; remove it to fetch its files again.") from None

    def holds(self, file: RemoteFile) -> bool:
        """Whether the folder has this file, whole and unchanged since it was fetched from the same address."""
        entry = self._files.get(file.name)
        path = self._folder / file.name
        return (
            entry is not None
            and entry.get("url") == file.url
            and path.is_file()
            and path.stat().st_size == entry.get("size")
            and _sha256(path) == entry.get("sha256")
        )

    def add(self, file: RemoteFile, version: Version, transferred_bytes: int) -> None:
        """Enter a file that has just been fetched, and write the manifest."""
        path = self._folder / file.name
        entry = {
            "url": file.url,
            "source_size": version.size,
            "etag": version.etag,
            "last_modified": version.last_modified,
            "chromosomes": list(file.chromosomes) or "all",
            "transferred_bytes": transferred_bytes,
            "size": path.stat().st_size,
            "sha256": _sha256(path),
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._lock:
            self._files[file.name] = entry
            partial = self._path.with_name("manifest.json.partial")
            partial.write_text(json.dumps({"files": dict(sorted(self._files.items()))}, indent=1) + "\n")
            publish(partial, self._path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
