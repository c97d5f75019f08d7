"""A job on the terminal: its progress until it has ended, its scores, its warnings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from app.client.terminal import INTERRUPTED, at, console, messages

if TYPE_CHECKING:
    from app.client.answers import Figures, Job
    from app.client.server import Server


def watch(service: "Server", job_id: str) -> None:
    """Show a job until it has ended, then its scores and warnings; raises JobFailed if it has no result."""
    from app.client.connection import Unreachable

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
        again = f"epifill jobs watch {job_id}{at(service)}"
        messages.print(f"The job goes on without you; see it again with `{again}`.", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    except Unreachable as error:
        raise Unreachable(f"{str(error).rstrip('.')}; the job {job_id} may well go on.") from None
    job.check_finished()
    if job.scores:
        console.print(_scores(job))
    for warning in job.warnings:
        typer.secho(f"Warning: {warning}", fg="yellow", err=True)


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
        table.add_row(mark, model_of(job), *_figures(scores.model))
        if scores.panel_mean:
            table.add_row("", "panel mean", *_figures(scores.panel_mean))
        table.add_section()
    return table


def _figures(figures: "Figures") -> list[str]:
    values = (figures.pearson, figures.pearson_arcsinh, figures.spearman, figures.mse_arcsinh)
    return [*("-" if value is None else f"{value:.3f}" for value in values), f"{figures.bins:,}"]


def model_of(job: "Job") -> str:
    """Name and version of a job's model."""
    return f"{job.model.name} {job.model.version}"
