"""`epifill jobs`: long imputations on a server: submit, list, watch, fetch, cancel, delete."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.client import watching
from app.client.fetching import fetch
from app.client.sending import name_of, send
from app.client.terminal import (
    DEFAULT_SERVER,
    ApiKey,
    AsJson,
    BadCommand,
    ServerUrl,
    check_tracks,
    connected,
    console,
    local,
    messages,
    plain_table,
    show,
)
from app.client.tracks import TRACK_HELP
from app.client.watching import model_of
from app.core.errors import EpifillError

if TYPE_CHECKING:
    from app.client.answers import Job
    from app.client.server import Server

_WIDE = 120
"""Columns of a terminal that has room for more than what tells one job from another."""

jobs = typer.Typer(help="Long imputations on a server.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, from `epifill jobs list`.")]


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
    """Upload tracks, or take a sample, and start its imputation; prints the job's id.

    Tracks that are uploaded here go with the job when it is deleted; `epifill samples upload` is for those that stay.
    """
    tracks = check_tracks(track or [])
    if bool(tracks) == bool(sample):
        raise BadCommand("Give either tracks with --track MARK=FILE, or a sample with --sample ID.")
    if sample and name:
        raise BadCommand("A sample that is on the server has its name; leave --name out.")
    asked = {"model": model, "targets": target, "mask": mask, "regions": region}
    wanted = {"score": not no_score} | {field: value for field, value in asked.items() if value}
    with connected(server, key) as service:
        if sample:
            service.sample(sample)
            job = service.start(sample, wanted)
        else:
            job = _submit_tracks(service, name, tracks, wanted)
        typer.echo(job.id)
        if watch or out:
            watching.watch(service, job.id)
        if out:
            fetch(service, job.id, out)


@jobs.command("list")
def list_jobs(as_json: AsJson = False, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """List your jobs on the server, the newest last.

    Where the output is no terminal, a line for each job: id, sample, status, share done, model, targets, time of its
    start, with tabs between them.
    """
    with connected(server, key) as service:
        found = sorted(service.jobs(), key=lambda job: job.created)
    show(found, as_json, _table, _fields)


def _table(found: "Sequence[Job]") -> Table:
    wide = console.width >= _WIDE
    rows = []
    for job in found:
        done = _share(job)
        status = f"{job.status} {done:.0%}" if done is not None and not job.ended else job.status
        more = (", ".join(job.targets), model_of(job)) if wide else ()
        rows.append((job.id, job.sample_name, status, local(job.created), *more))
    return plain_table(("id", "sample", "status", "submitted", *(("targets", "model") if wide else ())), rows, "sample")


def _fields(job: "Job") -> list[object]:
    done = _share(job)
    share = None if done is None else f"{done:.3f}"
    created = job.created.isoformat(timespec="seconds")
    return [job.id, job.sample_name, job.status, share, model_of(job), ",".join(job.targets), created]


def _share(job: "Job") -> float | None:
    """How much of it is done."""
    return job.progress.bins_done / job.progress.bins_total if job.progress.bins_total else None


@jobs.command("watch")
def watch_job(job_id: JobId, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """Show a job's progress until it has ended, and its scores."""
    with connected(server, key) as service:
        watching.watch(service, job_id)


@jobs.command("fetch")
def fetch_results(
    job_id: JobId,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    force: Annotated[bool, typer.Option("--force", help="Replace another job's results in the folder.")] = False,
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Download a finished job's tracks and manifest; goes on from what an earlier try has left."""
    with connected(server, key) as service:
        fetch(service, job_id, out, force=force)


@jobs.command("cancel")
def cancel_job(job_id: JobId, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """Stop a job that has not ended."""
    with connected(server, key) as service:
        job = service.job(job_id)
        if job.ended:
            raise BadCommand(f"The job {job_id} is {job.status}; there is nothing to cancel.")
        service.cancel(job_id)
    typer.echo(f"Cancelled {job_id}")


@jobs.command("delete")
def delete_jobs(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs, from `epifill jobs list`.")],
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Delete jobs that have ended, with their results, and with the tracks that were uploaded for them alone."""
    with connected(server, key) as service:
        for job_id in job_ids:
            job = service.job(job_id)
            if not job.ended:
                raise BadCommand(
                    f"The job {job_id} is {job.status}; stop it first with `epifill jobs cancel {job_id}`."
                )
            service.delete_job(job_id)
            typer.echo(f"Deleted {job_id}")


def _submit_tracks(service: "Server", name: str | None, tracks: dict[str, Path], wanted: dict[str, Any]) -> "Job":
    """Make a sample of the tracks and start its imputation; what failed on the way leaves no half of a sample."""
    sample = service.create_sample(name or name_of(tracks), temporary=True)
    try:
        send(service, sample, tracks, {})
    except BaseException:
        with suppress(EpifillError):
            service.delete_sample(sample)
        raise
    try:
        return service.start(sample, wanted)
    except BaseException:
        messages.print(f"The uploaded tracks are kept; go on with --sample {sample} for --track.", soft_wrap=True)
        raise
