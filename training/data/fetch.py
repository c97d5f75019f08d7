"""Fetch Roadmap's tracks by name: only the wanted chromosomes, several files at a time, with a manifest."""

import gzip
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.core.bigwig.validate import check_bigwig
from app.core.errors import EpifillError
from training.common.progress import console
from training.common.publish import publish
from training.data.download import PATIENT, FetchFailed, Retry, Version, download, make_client
from training.data.fetched import FetchedFiles
from training.data.intervals import read_intervals, write_intervals
from training.data.ranges import HttpFile
from training.data.roadmap import Preset, RemoteFile, Source, locate, select_chromosomes, select_tracks


@dataclass
class Outcome:
    """Files by name: fetched now, kept because they were there, or failed with the reason."""

    fetched: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def fetch_files(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    jobs: int = 4,
    retry: Retry = PATIENT,
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    on_file: Callable[[], None] = lambda: None,
) -> Outcome:
    """Fetch files into a folder; files that its manifest lists and that are unchanged are kept.

    Parameters
    ----------
    files
        What to fetch, as `locate` gives it.
    folder
        Where to; made if need be.
    jobs
        How many files are fetched at a time.
    retry
        How often each request is tried.
    on_bytes, on_file
        Called with the number of bytes of every piece that arrives, and after every file; by any thread.

    Returns
    -------
    Outcome
        A file that fails does not keep the others from being fetched.

    Raises
    ------
    FetchFailed
        The folder cannot be made, or its manifest is damaged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetched = FetchedFiles(folder)
    except OSError as error:
        raise FetchFailed(f"'{folder}' cannot be used: {error.strerror}; choose another --out.") from None
    outcome = Outcome()
    with make_client(jobs) as client, ThreadPoolExecutor(jobs) as pool:
        fetcher = _Fetcher(client, folder, fetched, retry, on_bytes)
        running = {pool.submit(fetcher.fetch, file): file.name for file in files}
        try:
            for done in as_completed(running):
                name = running[done]
                try:
                    (outcome.fetched if done.result() else outcome.kept).append(name)
                except EpifillError as error:
                    outcome.failed[name] = str(error)
                except OSError as error:
                    outcome.failed[name] = f"'{folder / name}' cannot be written: {error.strerror or error}."
                on_file()
        except BaseException:
            fetcher.stop.set()  # so that Ctrl-C need not wait for the running downloads
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


class _Fetcher:
    """Fetches single files into a folder, for many threads; setting `stop` cancels all running downloads."""

    def __init__(
        self,
        client: httpx2.Client,
        folder: Path,
        fetched: FetchedFiles,
        retry: Retry,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._client, self._folder, self._fetched, self._retry = client, folder, fetched, retry
        self._on_bytes = on_bytes
        self.stop = threading.Event()

    def fetch(self, file: RemoteFile) -> bool:
        """Fetch a file unless it is there; returns whether it was fetched."""
        transferred_bytes = 0

        def count(n_bytes: int) -> None:
            nonlocal transferred_bytes
            if self.stop.is_set():
                raise FetchFailed("stopped")
            transferred_bytes += n_bytes
            self._on_bytes(n_bytes)

        if self._fetched.holds(file):
            return False
        copy = _fetch_chromosomes if file.by_range else _fetch_whole
        version = copy(self._client, file, self._folder / file.name, self._retry, count)
        self._fetched.add(file, version, transferred_bytes)
        return True


def _fetch_whole(
    client: httpx2.Client, file: RemoteFile, target: Path, retry: Retry, on_bytes: Callable[[int], None]
) -> Version:
    """Download a file as it is; it is renamed once it has been checked."""
    partial = target.with_name(target.name + ".partial")
    version = download(client, file.url, partial, retry, on_bytes)
    try:
        if target.suffix == ".gz":
            check_gzip(partial, file.url)
        else:
            check_bigwig(partial, file.url)
    except EpifillError:
        partial.unlink()
        raise
    publish(partial, target)
    return version


def check_gzip(path: Path, name: str) -> None:
    """Unpack a gzip file to its end, whose checksum proves it whole; raises FetchFailed."""
    unpacked_bytes = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                unpacked_bytes += len(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FetchFailed(f"{name} is a damaged gzip file ({error}); fetch it again.") from None
    if not unpacked_bytes:
        raise FetchFailed(f"{name} is empty.")


def _fetch_chromosomes(
    client: httpx2.Client, file: RemoteFile, target: Path, retry: Retry, on_bytes: Callable[[int], None]
) -> Version:
    """Read chromosomes out of a bigWig on the server and write them as a bigWig of their own."""
    remote = HttpFile(client, file.url, retry, on_bytes)
    tables = read_intervals(remote, file.chromosomes)
    # The writer tells a bigWig from its suffix, and the dot hides it from whatever looks for tracks.
    partial = target.with_name(f".{target.stem}.partial.bigWig")
    try:
        write_intervals(tables, partial)
        publish(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return remote.version


def command(
    out: Annotated[Path, typer.Option(help="Folder of the files and their manifest.json.")] = Path("data/roadmap"),
    preset: Annotated[Preset | None, typer.Option(help="Samples that the paper names.")] = None,
    sample: Annotated[list[str] | None, typer.Option(help="A sample, such as E003 (repeatable).")] = None,
    mark: Annotated[
        list[str] | None, typer.Option(help="A mark, such as DNase (repeatable; default: the paper's eight).")
    ] = None,
    chromosome: Annotated[
        list[str] | None, typer.Option(help="A chromosome (repeatable; default: chr21), or 'all': whole bigWigs.")
    ] = None,
    source: Annotated[
        Source, typer.Option(help="Roadmap's bigWigs, or ChromImpute's 25-bp wig.gz files.")
    ] = Source.BIGWIG,
    base_url: Annotated[
        str | None, typer.Option(help="Folder of the files on the server (default: Roadmap's, for bigWigs).")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Files fetched at a time.", min=1, max=32)] = 4,
    list_only: Annotated[bool, typer.Option("--list", help="Print what would be fetched, and fetch nothing.")] = False,
) -> None:
    """Fetch Roadmap tracks: -log10 p-value, hg19. Run it again to fetch what is missing or damaged."""
    tracks = select_tracks(preset, sample or (), mark or ())
    files = locate(tracks, select_chromosomes(chromosome or ["chr21"]), source, base_url)
    if list_only:
        for file in files:
            typer.echo(f"{out / file.name}\t{file.url}")
        return
    received_bytes = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    with Progress(*columns, TextColumn("{task.fields[received]}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("Fetching", total=len(files), received="")
        lock = threading.Lock()

        def count(n_bytes: int) -> None:
            nonlocal received_bytes
            with lock:
                received_bytes += n_bytes
                bar.update(task, received=f"{received_bytes / 1e6:,.1f} MB")

        outcome = fetch_files(files, out, jobs=jobs, on_bytes=count, on_file=lambda: bar.advance(task))
    summary = f"{len(outcome.fetched)} files fetched, {len(outcome.kept)} were there already, in '{out}'"
    typer.echo(f"{summary} ({received_bytes / 1e6:,.1f} MB received).")
    if outcome.failed:
        for message in outcome.failed.values():
            typer.echo(message, err=True)
        raise FetchFailed(f"{len(outcome.failed)} of {len(files)} files failed; run it again to fetch them.")
