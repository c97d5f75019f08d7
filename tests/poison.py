"""A piece of work that ends its worker, for samples that are named `poison`."""

import os
import signal
from pathlib import Path

from app.jobs.chunks import assemble, impute_chunk
from app.jobs.work import Folder


def poisoned_chunk(folder: str, number: int) -> None:
    if Folder(Path(folder)).work().sample == "poison" and number == 1:
        (Path(folder).parent.parent / "deaths").open("a").write("x")
        os.kill(os.getpid(), signal.SIGSEGV)
    impute_chunk(folder, number)


def endless_assembly(folder: str, mark: str, part: str) -> None:
    """It looks at nothing, as libBigWig does while it closes a file."""
    while Folder(Path(folder)).work().sample == "poison":
        (Path(folder).parent.parent / "assembling").touch()
        for _ in range(10**10):
            pass
    assemble(folder, mark, part)
