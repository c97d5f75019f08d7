"""The application: settings in, FastAPI app out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.api import health, imputations, impute, models, pages, region, results, samples, tracks
from app.api.access import Gate
from app.api.catalogue import load_catalogue
from app.api.errors import install_handlers
from app.api.faults import Faults
from app.api.formats import RESULT_HEADER
from app.api.limits import BodyLimit, Patience
from app.api.links import Signer, shared_secret
from app.api.middleware import Compression, HeadAsGet, Prefix, SecurityHeaders
from app.api.openapi import describe
from app.core.errors import DataInUse
from app.jobs.engine import Engine
from app.jobs.runner import Runner
from app.settings import Settings
from app.store.database import open_database
from app.store.files import DataFolder
from app.store.imputations import Imputations
from app.store.keys import Keys
from app.store.samples import Samples

_INGESTS_AT_ONCE = 2

_CORS_ACCEPTED = [
    "Authorization", "Content-Type", "Content-Disposition", "Content-Digest", "X-Checksum-SHA256", "Prefer",
    "Idempotency-Key", "Range", "If-Range", "If-None-Match", "Last-Event-ID", "Cache-Control",
]  # fmt: skip
_CORS_EXPOSED = [
    "Accept-Ranges", "Content-Range", "Content-Length", "Content-Encoding", "Content-Disposition", "ETag", "Location",
    "Retry-After", RESULT_HEADER,
]  # fmt: skip
"""Headers that other origins' pages may send, and read; genome browsers need those on ranges."""

_DESCRIPTION = """
Epifill fills in the missing marks of an epigenome. Upload the bigWig tracks that a sample has (-log10 p-value), and
get the marks that it lacks.

**First try:** open `POST /v1/impute`, choose the files, name a region, and execute. A mark that you *mask* is
imputed as if it were missing, and scored against your file.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service.

    Raises
    ------
    BadModel
        A model is missing, broken or was tampered with; the service does not start then.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="Epifill",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.catalogue = load_catalogue(settings)
    data = DataFolder(settings.data)
    if settings.database.drivername == "sqlite" and not data.alone:
        data.close()
        raise DataInUse(
            "Another server is running on this data folder; give this one a folder of its own (EPIFILL_DATA), or let"
            " both use one PostgreSQL database (EPIFILL_DATABASE_URL)."
        )
    engine = open_database(settings.database)
    app.state.engine, app.state.data = engine, data
    app.state.samples = Samples(engine, data, settings.keep_samples_days)
    app.state.keys = Keys(engine)
    secret = settings.link_secret.get_secret_value().encode() or shared_secret(settings.data)
    app.state.signer = Signer(secret, settings.link_hours)
    app.state.jobs = Imputations(engine, data, settings.keep_results_days)
    data.started()
    workplace = Engine(settings.engine, settings.engine_workers, settings.resources)
    app.state.runner = Runner(
        app.state.jobs, app.state.samples, app.state.catalogue.get, workplace, settings.jobs_at_once
    )
    app.state.tasks = set()
    app.state.leaving = Event()
    app.state.ingests = asyncio.Semaphore(_INGESTS_AT_ONCE)
    app.state.uploads = asyncio.Semaphore(settings.max_uploads_at_once)
    app.state.imputations = asyncio.Semaphore(settings.max_imputations_at_once)
    install_handlers(app)
    app.add_middleware(Patience, stall_seconds=settings.stall_seconds)
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes)
    if settings.api_keys_required:
        app.add_middleware(Gate, keys=app.state.keys, signer=app.state.signer)
    app.add_middleware(Faults)
    app.add_middleware(Compression)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins.split(","),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=_CORS_ACCEPTED,
            expose_headers=_CORS_EXPOSED,
            max_age=3600,
        )
    app.add_middleware(Prefix, prefix=settings.root_path, trust_header=settings.trust_forwarded_prefix)
    for room in (impute, samples, tracks, region, imputations, results, models, health, pages):
        app.include_router(room.router)
    app.mount("/static", pages.OwnFiles(directory=pages.WEB), name="static")
    describe(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Work on long imputations; at the end, stop the uploads that are under way and leave no file of theirs."""
    app.state.runner.start()
    yield
    await run_in_threadpool(app.state.runner.stop)
    for task in app.state.tasks:
        task.cancel()
    await asyncio.gather(*app.state.tasks, return_exceptions=True)
    app.state.data.close()
    app.state.engine.dispose()
