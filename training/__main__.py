"""`python -m training ...`: the trainer's commands."""

import sys
from collections.abc import Iterable
from importlib import import_module

import typer

from app.core.errors import EpifillError

COMMANDS = {
    "fetch": "training.data.fetch",
    "prepare": "training.data.prepare",
    "counts": "training.data.counts",
    "simulate": "training.simulate.command",
    "train": "training.paper.train",
    "train-epifill": "training.epifill.train",
    "panel": "training.epifill.panel",
    "export-epifill": "training.epifill.export",
    "search": "training.paper.search",
    "evaluate": "training.paper.evaluate",
    "leave-one-out": "training.paper.leave_one_out",
    "benchmark": "training.benchmark.command",
    "export": "training.paper.export",
}
"""Every command, in the order of the help, and the module whose function `command` it is."""


def command_line(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The named commands, or all; the modules of the others are not imported."""
    app = typer.Typer(
        help="Epifill's trainer: get data, train, evaluate and export imputation models.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_options)
    for name in names:
        app.command(name)(import_module(COMMANDS[name]).command)
    return app


def _no_options() -> None:
    """Take no options: a callback keeps the command's name on the command line even if there is only one command."""


def main() -> None:
    """Run one command; bad input ends with one line on standard error and exit status 2."""
    wanted = [name for name in sys.argv[1:2] if name in COMMANDS]  # so that fetching does not wait for torch
    try:
        command_line(wanted or COMMANDS)()
    except EpifillError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)
    except OSError as error:
        typer.secho(f"{error.strerror}: '{error.filename}'.", fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
