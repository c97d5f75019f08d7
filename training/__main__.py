"""`python -m training ...`: the trainer's commands."""

import sys

import typer

from app.core.errors import EpifillError
from training import prepare, train

app = typer.Typer(
    help="Epifill's trainer: get data, train, evaluate and export imputation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keep the commands apart even where there is one alone."""


app.command("prepare")(prepare.command)
app.command("train")(train.command)


def main() -> None:
    """Run one command; bad input ends with one line on standard error and exit status 2."""
    try:
        app()
    except EpifillError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
