"""`epifill jobs`: long imputations on a server: submit, list, watch, fetch, cancel."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from app.client.tracks import TRACK_HELP, read_tracks
from app.core.errors import EpifillError

if TYPE_CHECKING:
    from app.client.answers import Figures, Job
    from app.client.server import Server

DEFAULT_SERVER = "http://127.0.0.1:8000"
_INTERRUPTED = 130

console = Console(markup=False, highlight=False)
messages = Console(markup=False, highlight=False, stderr=True)
jobs = typer.Typer(help="Long imputations on a server.", no_args_is_help=True)

ServerUrl = Annotated[str, typer.Option("--server", envvar="EPIFILL_SERVER", help="Address of the server.")]
ApiKey = Annotated[
    str | None, typer.Option("--key", envvar="EPIFILL_API_KEY", help="API key, where the server asks for one.")
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, from `epifill jobs list`.")]


class BadJob(EpifillError):
    """A job that cannot be asked for like that."""


@jobs.command()
def submit(
    track: Annotated[list[str] | None, typer.Option(help=TRACK_HELP)] = None,
    sample: Annotated[
        str | None, typer.Option(help="Id of a sample that is on the server, in place of tracks.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new sample (default: of its first file, up to the mark).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model (default: the server's).")] = None,
    mask: Annotated[list[str] | None, typer.Option(help="Hide this mark's track and score against it.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Impute this mark (default: all that are missing).")] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Impute this region, such as chr21 (default: all that the tracks cover).")
    ] = None,
    no_score: Annotated[
        bool, typer.Option("--no-score", help="Do not hide each mark in turn to see how well it is imputed.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show the progress until the job has ended.")] = False,
    out: Annotated[Path | None, typer.Option(help="Wait, and fetch the results into this folder.")] = None,
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Upload tracks, or take a sample, and start its imputation; prints the job's id."""
    tracks = _tracks(track or [])
    if bool(tracks) == bool(sample):
        raise BadJob("Give either tracks with --track MARK=FILE, or a sample with --sample ID.")
    if sample and name:
        raise BadJob("A sample that is on the server has its name; leave --name out.")
    asked = {"model": model, "targets": target, "mask": mask, "regions": region}
    wanted = {"score": not no_score} | {field: value for field, value in asked.items() if value}
    with _server(server, key) as service:
        if sample:
            service.check_sample(sample)
            job = service.start(sample, wanted)
        else:
            job = _submit_tracks(service, name, tracks, wanted)
        typer.echo(job.id)
        if watch or out:
            _watch(service, job.id)
        if out:
            _fetch(service, job.id, out)


@jobs.command("list")
def list_jobs(server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """List your jobs on the server, the newest last."""
    table = Table("id", "status", "model", "targets", "progress", "created")
    table.columns[0].no_wrap = True
    table.columns[4].justify = "right"
    with _server(server, key) as service:
        for job in sorted(service.jobs(), key=lambda job: job.created):
            done, total = job.progress.bins_done, job.progress.bins_total
            share = f"{done / total:.0%}" if total else "-"
            created = f"{job.created.astimezone():%Y-%m-%d %H:%M}"
            table.add_row(job.id, job.status, _name(job), ", ".join(job.targets), share, created)
    console.print(table)


@jobs.command("watch")
def watch_job(job_id: JobId, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """Show a job's progress until it has ended, and its scores."""
    with _server(server, key) as service:
        _watch(service, job_id)


@jobs.command("fetch")
def fetch_results(
    job_id: JobId,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Download a finished job's tracks and manifest; goes on from what an earlier try has left."""
    with _server(server, key) as service:
        _fetch(service, job_id, out)


@jobs.command("cancel")
def cancel_job(job_id: JobId, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """Stop a job that has not ended."""
    with _server(server, key) as service:
        job = service.job(job_id)
        if job.ended:
            raise BadJob(f"The job {job_id} is {job.status}; there is nothing to cancel.")
        service.cancel(job_id)
    typer.echo(f"Cancelled {job_id}")


@contextmanager
def _server(url: str, key: str | None) -> Iterator["Server"]:
    from app.client.server import Server  # takes longer to import than `epifill --help` may

    with Server(url, key) as service:
        yield service


def _tracks(options: Sequence[str]) -> dict[str, Path]:
    """The files by mark; raises BadJob."""
    tracks: dict[str, Path] = {}
    for mark, file in read_tracks(options):
        if mark in tracks:
            raise BadJob(f"The mark {mark} was given twice; give one track for each mark.")
        tracks[mark] = file
    return tracks


def _submit_tracks(service: "Server", name: str | None, tracks: dict[str, Path], wanted: dict[str, Any]) -> "Job":
    """Make a sample of the tracks and start its imputation; what failed on the way leaves no half of a sample."""
    mark, path = next(iter(tracks.items()))
    sample = service.create_sample(name or path.name.partition(mark)[0].rstrip(" ._-")[:200] or path.name[:200])
    try:
        _upload(service, sample, tracks)
    except BaseException:
        with suppress(EpifillError):
            service.delete_sample(sample)
        raise
    try:
        return service.start(sample, wanted)
    except BaseException:
        messages.print(f"The uploaded tracks are kept; go on with --sample {sample} for --track.", soft_wrap=True)
        raise


def _upload(service: "Server", sample: str, tracks: dict[str, Path]) -> None:
    with _bytes_bar() as bar:
        for mark, path in tracks.items():
            task = bar.add_task(f"Uploading {mark}", total=path.stat().st_size)

            def told(done: int, total: int | None, task: TaskID = task, mark: str = mark) -> None:
                bar.update(task, completed=done, description=f"{'Checking' if done == total else 'Uploading'} {mark}")

            service.upload(sample, mark, path, told)
            bar.update(task, description=f"Uploaded {mark}")


def _watch(service: "Server", job_id: str) -> None:
    """Show a job until it has ended, then its scores and warnings; raises JobFailed if it has no result."""
    from app.client.server import Unreachable

    job = service.job(job_id)
    texts = (TextColumn(f"{{task.fields[{field}]}}", markup=False) for field in ("bins", "rate", "left"))
    try:
        with Progress(TextColumn("{task.description}"), BarColumn(), *texts, console=messages) as bar:
            task = bar.add_task("", total=None, **_texts(job))
            for now in _states(service, job):
                job = now
                done, total = job.progress.bins_done, job.progress.bins_total or None
                bar.update(task, description=job.status.capitalize(), completed=done, total=total, **_texts(job))
    except KeyboardInterrupt:
        again = f"epifill jobs watch {job_id}{_at(service)}"
        messages.print(f"The job goes on without you; see it again with `{again}`.", soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    except Unreachable as error:
        raise Unreachable(f"{str(error).rstrip('.')}; the job {job_id} may well go on.") from None
    job.check_finished()
    if job.scores:
        console.print(_scores(job))
    for warning in job.warnings:
        typer.secho(f"Warning: {warning}", fg="yellow", err=True)


def _at(service: "Server") -> str:
    """What a command needs to reach the same server."""
    return "" if service.url == DEFAULT_SERVER else f" --server {service.url}"


def _states(service: "Server", job: "Job") -> Iterator["Job"]:
    yield job
    if not job.ended:
        yield from service.events(job.id)


def _texts(job: "Job") -> dict[str, Any]:
    """What stands right of the bar."""
    progress = job.progress
    done, total, rate, left = progress.bins_done, progress.bins_total, progress.bins_per_second, progress.seconds_left
    return {
        "bins": f"{done:,}/{total:,} bins" if total else "",
        "rate": f"{rate:,.0f} bins/s" if rate and not job.ended else "",
        "left": f"{_duration(left)} left" if left is not None and not job.ended else "",
    }


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _scores(job: "Job") -> Table:
    """What the model makes of each hidden mark, beside the mean of its training samples."""
    columns = ("mark", "imputed by", "Pearson", "of arcsinh", "Spearman", "MSE of arcsinh", "bins")
    table = Table(*columns, title="Each mark hidden in turn, imputed from the others, and compared")
    for column in table.columns[2:]:
        column.justify = "right"
    for mark, scores in (job.scores or {}).items():
        table.add_row(mark, _name(job), *_figures(scores.model))
        if scores.panel_mean:
            table.add_row("", "panel mean", *_figures(scores.panel_mean))
        table.add_section()
    return table


def _figures(figures: "Figures") -> list[str]:
    values = (figures.pearson, figures.pearson_arcsinh, figures.spearman, figures.mse_arcsinh)
    return [*("-" if value is None else f"{value:.3f}" for value in values), f"{figures.bins:,}"]


def _name(job: "Job") -> str:
    return f"{job.model.name} {job.model.version}"


def _fetch(service: "Server", job_id: str, out: Path) -> None:
    """Download everything; manifest.json is written last, so where it is, all is."""
    manifest, results = service.results(service.job(job_id))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with _bytes_bar() as bar:
            for result in results:
                task = bar.add_task(result.name, total=None)

                def told(done: int, total: int | None, task: TaskID = task) -> None:
                    bar.update(task, completed=done, total=total)

                service.download(result, out, told)
                size = (out / result.name).stat().st_size
                bar.update(task, completed=size, total=size)
    except KeyboardInterrupt:
        again = f"epifill jobs fetch {job_id} --out {out}{_at(service)}"
        messages.print(f"Stopped; `{again}` goes on from what is there.", soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    partial = out / "manifest.json.partial"
    partial.write_bytes(manifest)
    partial.replace(out / "manifest.json")
    messages.print(f"Wrote {len(results) + 1} files into {out}", soft_wrap=True)


def _bytes_bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeElapsedColumn(), console=messages)
