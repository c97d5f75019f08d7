"""`epifill samples`: tracks that stay on a server: upload, list, show, delete."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.client.sending import name_of, send
from app.client.terminal import (
    DEFAULT_SERVER,
    INTERRUPTED,
    ApiKey,
    AsJson,
    BadCommand,
    ServerUrl,
    at,
    check_tracks,
    connected,
    console,
    local,
    messages,
    plain_table,
    print_json,
    printable,
    show,
)
from app.client.tracks import TRACK_HELP
from app.core.errors import EpifillError

if TYPE_CHECKING:
    from app.client.answers import Sample, Track
    from app.client.server import Server

samples = typer.Typer(help="Samples on a server: tracks to impute from.", no_args_is_help=True)

SampleId = Annotated[str, typer.Argument(metavar="ID", help="Id of the sample, from `epifill samples list`.")]


@samples.command("list")
def list_samples(as_json: AsJson = False, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None) -> None:
    """List your samples on the server, the newest last.

    Where the output is no terminal, a line for each sample: id, name, assembly, marks, time of its start and of its
    end, with tabs between them.
    """
    with connected(server, key) as service:
        found = sorted(service.samples(), key=lambda sample: sample.created)
    show(found, as_json, _table, _fields)


def _table(found: "Sequence[Sample]") -> Table:
    rows = [(one.id, one.name, one.assembly or "-", str(len(one.tracks)), local(one.expires)[:10]) for one in found]
    return plain_table(("id", "name", "assembly", "tracks", "deleted on"), rows, "name", ("tracks",))


def _fields(sample: "Sample") -> list[object]:
    marks = ",".join(track.mark for track in sample.tracks)
    times = [time.isoformat(timespec="seconds") for time in (sample.created, sample.expires)]
    return [sample.id, sample.name, sample.assembly, marks, *times]


@samples.command("show")
def show_sample(
    sample_id: SampleId, as_json: AsJson = False, server: ServerUrl = DEFAULT_SERVER, key: ApiKey = None
) -> None:
    """Show a sample, its tracks, and what is odd about them.

    Where the output is no terminal, a line for each track: mark, status, file, bytes, share of the assembly that it
    covers, SHA-256, with tabs between them.
    """
    with connected(server, key) as service:
        sample = service.sample(sample_id)
    if as_json:
        print_json(sample.model_dump(mode="json", exclude_unset=True))
        return
    on_terminal = sys.stdout.isatty()
    if on_terminal:
        assembly = f"in {sample.assembly}" if sample.assembly else "without a track yet"
        kept = f"made {local(sample.created)}, deleted on {local(sample.expires)[:10]}"
        console.print(f"{printable(sample.name)}, {assembly}; {kept}")
    show(sample.tracks, False, _track_table, _track_fields)
    for track in sample.tracks if on_terminal else ():
        refused = [f"The last upload was refused: {track.problem.detail}"] if track.problem else []
        for said in (*track.warnings, *refused):
            console.print(f"{track.mark}: {printable(said)}")


def _track_table(tracks: "Sequence[Track]") -> Table:
    rows = []
    for track in tracks:
        covered = track.quality and track.quality.covered_fraction
        share = "-" if covered is None else f"{covered:.2%}"
        size = "-" if track.bytes is None else f"{track.bytes / 1e6:,.1f}"
        rows.append((track.mark, track.status, share, size, track.file_name or "-"))
    return plain_table(("mark", "status", "covers", "MB", "file"), rows, "file", ("covers", "MB"))


def _track_fields(track: "Track") -> list[object]:
    covered = track.quality and track.quality.covered_fraction
    return [track.mark, track.status, track.file_name, track.bytes, covered, track.sha256]


@samples.command("delete")
def delete_samples(
    sample_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of samples, from `epifill samples list`.")
    ],
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Delete samples and their tracks; jobs of theirs, and their results, stay."""
    with connected(server, key) as service:
        for sample_id in sample_ids:
            service.delete_sample(sample_id)
            typer.echo(f"Deleted {sample_id}")


@samples.command("upload")
def upload(
    track: Annotated[list[str], typer.Option(help=TRACK_HELP)],
    sample: Annotated[
        str | None, typer.Option(help="Id of a sample that is on the server (default: a new sample).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new sample (default: of its first file, up to the mark).")
    ] = None,
    assembly: Annotated[
        str | None, typer.Option(help="Assembly of the new sample, such as hg19 (default: as its first track tells).")
    ] = None,
    server: ServerUrl = DEFAULT_SERVER,
    key: ApiKey = None,
) -> None:
    """Upload tracks into a new sample, or into one that is there; prints the sample's id.

    A track takes the place of the sample's track of the same mark; the same file is not sent twice, so a command that
    was stopped can be given again with --sample.
    """
    tracks = check_tracks(track)
    if sample and (name or assembly):
        raise BadCommand("A sample that is on the server has its name and assembly; leave --name and --assembly out.")
    with connected(server, key) as service:
        if sample:
            there = _ready(service, sample)
            sample_id = sample
        else:
            there = {}
            sample_id = service.create_sample(name or name_of(tracks), assembly)
        try:
            send(service, sample_id, tracks, there)
        except BaseException as error:
            _tell_rest(service, sample_id, new=not sample)
            if isinstance(error, KeyboardInterrupt):
                raise typer.Exit(INTERRUPTED) from None
            raise
    typer.echo(sample_id)


def _ready(service: "Server", sample: str) -> dict[str, str | None]:
    """SHA-256 of the sample's tracks that are ready, by mark."""
    return {track.mark: track.sha256 for track in service.sample(sample).tracks if track.status == "ready"}


def _tell_rest(service: "Server", sample: str, new: bool) -> None:
    """After an upload that did not go through: say what arrived; a new sample without a track is deleted."""
    with suppress(EpifillError):
        arrived = _ready(service, sample)
        if new and not arrived:
            service.delete_sample(sample)
            return
    again = f"epifill samples upload --sample {sample}{at(service)}"
    messages.print(f"What has arrived is kept; go on with `{again}` and the same tracks.", soft_wrap=True)
