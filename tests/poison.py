"""A piece of work that ends its worker, for samples that are named `poison`."""

import os
import signal
from pathlib import Path

from app.jobs.chunks import impute_chunk
from app.jobs.work import Folder


def poisoned_chunk(folder: str, number: int) -> None:
    if Folder(Path(folder)).work().sample == "poison" and number == 1:
        (Path(folder).parent.parent / "deaths").open("a").write("x")
        os.kill(os.getpid(), signal.SIGSEGV)
    impute_chunk(folder, number)
