"""What the commands against a server share: their options, and how they show things to people and to programs."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import orjson
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from app.client.tracks import read_tracks
from app.core.errors import EpifillError

if TYPE_CHECKING:
    from app.client.server import Server

DEFAULT_SERVER = "http://127.0.0.1:8000"
INTERRUPTED = 130
"""Exit status after Ctrl-C."""

console = Console(markup=False, highlight=False)
messages = Console(markup=False, highlight=False, stderr=True)

ServerUrl = Annotated[str, typer.Option("--server", envvar="EPIFILL_SERVER", help="Address of the server.")]
ApiKey = Annotated[
    str | None, typer.Option("--key", envvar="EPIFILL_API_KEY", help="API key, where the server asks for one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with all that the server says.")]

_Shown = TypeVar("_Shown", bound=BaseModel)


class BadCommand(EpifillError):
    """Something that cannot be asked for like that."""


@contextmanager
def connected(url: str, key: str | None) -> Iterator["Server"]:
    """The server."""
    from app.client.server import Server  # takes longer to import than `epifill --help` may

    with Server(url, key) as service:
        yield service


def at(service: "Server") -> str:
    """What a command needs to reach the same server."""
    return "" if service.url == DEFAULT_SERVER else f" --server {service.url}"


def check_tracks(options: Sequence[str]) -> dict[str, Path]:
    """The files by mark; raises BadCommand."""
    tracks: dict[str, Path] = {}
    for mark, file in read_tracks(options):
        if mark in tracks:
            raise BadCommand(f"The mark {mark} was given twice; give one track for each mark.")
        tracks[mark] = file
    return tracks


def show(
    found: Sequence[_Shown],
    as_json: bool,
    table: Callable[[Sequence[_Shown]], Table],
    fields: Callable[[_Shown], Sequence[object]],
) -> None:
    """Print what was found: as a table on a terminal, as tab-separated lines elsewhere, or as a JSON array.

    Parameters
    ----------
    fields
        What stands in a line, in order; None for what is not known.
    """
    if as_json:
        print_json([one.model_dump(mode="json", exclude_unset=True) for one in found])
    elif sys.stdout.isatty():
        console.print(table(found))
    else:
        for one in found:
            typer.echo("\t".join("" if field is None else printable(str(field)) for field in fields(one)))


def print_json(content: object) -> None:
    """Print JSON for programs."""
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def printable(text: str) -> str:
    """A text that stays within its cell and its line."""
    return "".join(character if character.isprintable() else " " for character in text)


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]], cut: str, right: Sequence[str] = ()) -> Table:
    """A table without lines, a line for each row.

    Parameters
    ----------
    cut
        The column that is cut where the terminal is too narrow, and no other.
    right
        Columns of numbers.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != cut, justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell), no_wrap=True, overflow="ellipsis") for cell in row))
    return table


def local(time: datetime) -> str:
    """A time for people, by their clock."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def bytes_bar() -> Progress:
    """A bar of bytes, on standard error."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeElapsedColumn(), console=messages)
