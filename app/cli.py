"""`epifill`: serve, impute without a server, list models, show a demonstration."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from app import __version__
from app.client.jobs import jobs
from app.client.samples import samples
from app.client.tracks import TRACK_HELP, read_tracks
from app.core.errors import EpifillError
from app.jobs import QUIET
from app.settings import Settings

if TYPE_CHECKING:
    from app.offline import Result
    from app.store.keys import Keys

console = Console()
cli = typer.Typer(
    help="Fill in the missing marks of an epigenome.", no_args_is_help=True, pretty_exceptions_enable=False
)

ModelsFolder = Annotated[
    Path | None, typer.Option("--models", help="Folder of models (default: EPIFILL_MODELS, or those that came along).")
]


_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class BadOption(EpifillError):
    """An option that cannot be used."""


@cli.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        console.print(f"epifill {__version__}", highlight=False)
        raise typer.Exit


@cli.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen at (default: EPIFILL_HOST, or 127.0.0.1).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at (default: EPIFILL_PORT, or 8000).")] = None,
    models: ModelsFolder = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Let other machines call without an API key.")] = False,
) -> None:
    """Run the web service."""
    import uvicorn

    _check_dask()
    from app.main import create_app
    from app.server import Server, WithoutSignatures, patient_protocol

    settings = _settings(host=host, port=port, models=models, insecure=insecure or None)
    if settings.host not in _LOOPBACK and not (settings.api_keys_required or settings.insecure):
        raise BadOption(
            f"Listening at {settings.host} would let other machines in without a key; set EPIFILL_API_KEYS_REQUIRED=1"
            " and make keys with `epifill keys create`, or say --insecure."
        )
    app = create_app(settings)
    shown = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    url = f"http://[{shown}]:{settings.port}" if ":" in shown else f"http://{shown}:{settings.port}"
    console.print(f"Epifill {__version__}\n  page  {url}/\n  API   {url}/docs", highlight=False)
    protocol = patient_protocol(settings.stall_seconds)
    config = uvicorn.Config(app, host=settings.host, port=settings.port, http=protocol, server_header=False)
    logging.getLogger("uvicorn.access").addFilter(WithoutSignatures())
    Server(config, app.state.leaving.set).run()


@cli.command("models")
def show_models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show the figures of this model's card.")] = None,
    models: ModelsFolder = None,
) -> None:
    """List the installed models; with a NAME, show that model's accuracy by mark, beside other methods, and more."""
    from app.cards import card, overview
    from app.core.model import Model, find_models, load_model

    settings = _settings(models=models)
    if name:
        for part in card(load_model(settings.models, name, threads=1).manifest):
            console.print(part, markup=False, highlight=False)
        return
    manifests = [Model(path, threads=1).manifest for path in find_models(settings.models)]
    if not manifests:
        raise BadOption(f"'{settings.models}' holds no model; give a folder of models with --models.")
    console.print(overview(manifests))
    console.print("`epifill models NAME` shows a model's figures.", highlight=False)


@cli.command()
def impute(
    track: Annotated[list[str], typer.Option(help=TRACK_HELP)],
    out: Annotated[
        Path, typer.Option(help="Folder for MARK.imputed.bigWig and manifest.json (MARK.lower.bigWig, .upper).")
    ],
    mask: Annotated[list[str] | None, typer.Option(help="Hide this mark's track and score against it.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Impute this mark (default: all that are missing).")] = None,
    region: Annotated[
        str | None, typer.Option(help="chr21 or chr21:33,746,325-35,442,375 (default: all that the tracks cover).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    models: ModelsFolder = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another run's results in the folder.")] = False,
) -> None:
    """Impute tracks without a server; of any size, in bounded memory. A run that was stopped goes on."""
    from app.core.model import load_model
    from app.offline import Request, impute_files
    from app.store.ingest import Limits

    settings = _settings(models=models)
    loaded = load_model(settings.models, model or settings.default_model, settings.threads)
    named = read_tracks(track, loaded.marks)
    try:
        result = impute_files(
            loaded,
            settings.models,
            Request(named, mask or [], target or [], region),
            out,
            console,
            force=force,
            threads=settings.threads,
            chunk_bins=settings.chunk_bins,
            limits=Limits(memory_bytes=settings.ingest_memory_bytes),
        )
    except KeyboardInterrupt:
        typer.secho("Stopped; the same command goes on from here.", err=True)
        raise typer.Exit(130) from None
    console.print(_imputed(result, out))
    for warning in result.warnings:
        typer.secho(f"Warning: {warning}", fg="yellow", err=True)


def _imputed(result: "Result", out: Path) -> Table:
    """What was imputed, the accuracy to expect, and the scores of what was masked."""
    measures = ("Pearson", "of arcsinh", "Spearman", "MSE of arcsinh") if result.scores else ()
    table = Table("mark", "bins", "expected on a new sample", *measures, title=f"Imputed into {out}")
    for mark, bins in result.bins.items():
        row = [mark, f"{bins:,}", result.trust[mark].expected()]
        if result.scores:
            score = result.scores.get(mark)
            figures = (score.pearson, score.pearson_arcsinh, score.spearman, score.mse_arcsinh) if score else [None] * 4
            row += ["-" if value is None else f"{value:.3f}" for value in figures]
        table.add_row(*row)
    return table


@cli.command()
def demo(
    sample: Annotated[
        Path | None, typer.Option(help="Folder of tracks named like E116-H3K4me1.pval.signal.bigWig.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Sample to take from the folder (default: E116, or the first).")
    ] = None,
    hide: Annotated[str, typer.Option(help="Mark to hide and impute.")] = "H3K4me1",
    region: Annotated[str, typer.Option(help="Region to impute.")] = "chr21:33,746,325-35,442,375",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
) -> None:
    """Show the whole way: start the service, upload a sample with one mark hidden, get it back, compare."""
    from app.demo import run_demo

    run_demo(sample, name, hide, region, out, _settings(), console)


@cli.command()
def worker(
    scheduler: Annotated[str, typer.Argument(help="Address of a Dask scheduler, such as tcp://scheduler:8786.")],
    workers: Annotated[int, typer.Option(help="Worker processes (default: one per core).", min=0)] = 0,
    resource: Annotated[
        list[str] | None,
        typer.Option(help="What each worker has, such as GPU=1 (repeatable); see EPIFILL_ENGINE_RESOURCES."),
    ] = None,
) -> None:
    """Work on long imputations for a server whose EPIFILL_ENGINE is this scheduler, until it ends."""
    import asyncio

    os.environ.update(QUIET)  # before Dask is imported
    _check_dask()
    from app.jobs.process import read_resources
    from app.jobs.process import workers as run_workers

    try:
        resources = read_resources(resource or [])
    except ValueError:
        raise BadOption(f"'{', '.join(resource or [])}' is no list of resources; write GPU=1.") from None
    console.print(f"Working for {scheduler}", highlight=False)
    asyncio.run(run_workers(scheduler, workers or len(os.sched_getaffinity(0)), resources))


def _check_dask() -> None:
    """Raise BadOption if Dask's settings cannot be read, which it does when it is imported."""
    try:
        import dask.config  # noqa: F401
    except Exception as error:
        reason = f"{type(error).__name__} in what lies in ~/.config/dask, /etc/dask or DASK_CONFIG"
        raise BadOption(f"Dask's settings on this machine cannot be read ({reason}); mend or remove them.") from None


keys = typer.Typer(help="API keys of the service.", no_args_is_help=True)
cli.add_typer(keys, name="keys")
cli.add_typer(jobs, name="jobs")
cli.add_typer(samples, name="samples")


@keys.command("create")
def create_key(
    owner: Annotated[str, typer.Argument(help="Whose key it is; keys of one owner open the same samples.")],
) -> None:
    """Make a key and print it; it is shown this once."""
    if not owner.strip() or len(owner) > 100 or not owner.isprintable():
        raise BadOption("An owner's name has 1 to 100 printable characters.")
    typer.echo(_keys().create(owner))


@keys.command("list")
def list_keys() -> None:
    """List the keys: ids and owners, not the secrets."""
    table = Table("id", "owner", "created", "revoked")
    for key in _keys().every():
        revoked = f"{key.revoked:%Y-%m-%d %H:%M}" if key.revoked else ""
        table.add_row(key.id, key.owner, f"{key.created:%Y-%m-%d %H:%M}", revoked)
    console.print(table)


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="Id of the key, from `epifill keys list`.")]) -> None:
    """Make a key open nothing from now on."""
    _keys().revoke(key_id)
    typer.echo(f"Revoked {key_id}")


def _keys() -> "Keys":
    from app.store.database import open_database
    from app.store.keys import Keys

    return Keys(open_database(_settings().database))


def _settings(**given: str | int | Path | None) -> Settings:
    """The settings, with those that were given on the command line; raises BadOption."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # a sentence of our own
            raise BadOption(str(first["ctx"]["error"])) from None
        raise BadOption(f"The setting '{first['loc'][0]}' is wrong: {first['msg'].lower()}.") from None


def main() -> None:
    """Run one command; bad input ends with one line on standard error and exit status 2."""
    try:
        cli()
    except EpifillError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)
    except OSError as error:
        typer.secho(f"{error.strerror}: '{error.filename}'.", fg="red", err=True)
        sys.exit(2)
