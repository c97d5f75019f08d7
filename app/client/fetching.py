"""The results of a job, into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import TaskID

from app.client.terminal import INTERRUPTED, at, bytes_bar, messages
from app.core.errors import EpifillError

if TYPE_CHECKING:
    from app.client.server import Server

MANIFEST = "manifest.json"
_PARTS = ("imputed", "lower", "upper")


class OtherResults(EpifillError):
    """A folder that holds the results of another job, or of a run without a server."""


def fetch(service: "Server", job_id: str, out: Path, *, force: bool = False) -> None:
    """Download everything; manifest.json is written last, so where it is, all is.

    Raises
    ------
    OtherResults
        The folder holds another's results, which `force` replaces.
    """
    from app.client.results import download, results

    manifest, files = results(service, service.job(job_id))
    names = {result.name for result in files}
    kept = out / MANIFEST
    others = [path for part in _PARTS for path in out.glob(f"*.{part}.bigWig") if path.name not in names]
    if others or (kept.exists() and kept.read_bytes() != manifest):
        if not force:
            raise OtherResults(
                f"'{out}' holds the results of another job; give another folder, or replace them with --force."
            )
        for other in (kept, *others):
            other.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with bytes_bar() as bar:
            for result in files:
                task = bar.add_task(result.name, total=None)

                def told(done: int, total: int | None, task: TaskID = task) -> None:
                    bar.update(task, completed=done, total=total)

                download(service, result, out, told)
                size = (out / result.name).stat().st_size
                bar.update(task, completed=size, total=size)
    except KeyboardInterrupt:
        again = f"epifill jobs fetch {job_id} --out {out}{at(service)}"
        messages.print(f"Stopped; `{again}` goes on from what is there.", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    partial = kept.with_name(f"{MANIFEST}.partial")
    partial.write_bytes(manifest)
    partial.replace(kept)
    messages.print(f"Wrote {len(files) + 1} files into {out}", soft_wrap=True)
