"""Files that appear whole or not at all."""

import os
from pathlib import Path


def publish(partial: Path, target: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
