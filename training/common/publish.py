"""Atomic writing of files."""

import os
from pathlib import Path


def publish(partial: Path, target: Path) -> None:
    """Rename a finished file, once its bytes are on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
