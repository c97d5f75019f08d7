"""Open the database and bring its tables up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, event
from sqlalchemy.exc import OperationalError
from sqlmodel import create_engine

from app.core.errors import EpifillError


class DatabaseUnreachable(EpifillError):
    """A database that does not answer, or lets nobody in."""


def open_database(url: URL | str) -> Engine:
    """Connect to SQLite (in WAL mode) or PostgreSQL, and migrate to the newest tables; raises DatabaseUnreachable."""
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    config = Config()
    scripts = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", scripts.replace("%", "%%"))  # it would be filled in
    try:
        engine.connect().close()
    except OperationalError:  # its text may name the user
        engine.dispose()
        where = engine.url.host or "the data folder"
        raise DatabaseUnreachable(
            f"The database at {where} cannot be opened; check that it runs, and what EPIFILL_DATABASE_URL says of host,"
            " port, user and password."
        ) from None
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return engine


def _prepare_sqlite(connection, _) -> None:  # type: ignore[no-untyped-def]
    connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows ASCII alone
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
