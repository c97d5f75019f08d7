"""The results of a job, into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import TaskID

from app.client.terminal import INTERRUPTED, at, bytes_bar, messages

if TYPE_CHECKING:
    from app.client.server import Server


def fetch(service: "Server", job_id: str, out: Path) -> None:
    """Download everything; manifest.json is written last, so where it is, all is."""
    from app.client.results import download, results

    manifest, files = results(service, service.job(job_id))
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
    partial = out / "manifest.json.partial"
    partial.write_bytes(manifest)
    partial.replace(out / "manifest.json")
    messages.print(f"Wrote {len(files) + 1} files into {out}", soft_wrap=True)
