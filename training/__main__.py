"""`python -m training ...`: the trainer's commands."""

import sys

import typer

from app.core.errors import EpifillError
from training import counts, evaluate, export, fetch, leave_one_out, prepare, search, simulate, train
from training.benchmark.command import command as benchmark
from training.epifill.export import command as export_epifill
from training.epifill.panel import command as panel
from training.epifill.train import command as train_epifill

app = typer.Typer(
    help="Epifill's trainer: get data, train, evaluate and export imputation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


app.command("fetch")(fetch.command)
app.command("prepare")(prepare.command)
app.command("counts")(counts.command)
app.command("simulate")(simulate.command)
app.command("train")(train.command)
app.command("train-epifill")(train_epifill)
app.command("panel")(panel)
app.command("export-epifill")(export_epifill)
app.command("search")(search.command)
app.command("evaluate")(evaluate.command)
app.command("leave-one-out")(leave_one_out.command)
app.command("benchmark")(benchmark)
app.command("export")(export.command)


def main() -> None:
    """Run one command; bad input ends with one line on standard error and exit status 2."""
    try:
        app()
    except EpifillError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)
    except OSError as error:
        typer.secho(f"{error.strerror}: '{error.filename}'.", fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
