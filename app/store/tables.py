"""The database: what is stored of keys, samples, tracks and imputations."""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

LOCAL = "local"
"""Owner of everything while API keys are off."""


def new_id() -> str:
    """An id that cannot be guessed: 128 random bits."""
    return secrets.token_hex(16)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the zone."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def _time() -> Any:
    return Field(default_factory=now, sa_type=UtcTime)


class ApiKey(SQLModel, table=True):
    """A key that opens what its owner has; the secret itself is not stored."""

    __tablename__ = "api_key"

    id: str = Field(default_factory=new_id, primary_key=True)
    owner: str = Field(index=True)
    secret_sha256: str
    created: datetime = _time()
    revoked: datetime | None = Field(default=None, sa_type=UtcTime)


class Sample(SQLModel, table=True):
    """A biosample, to hang tracks on. Its assembly is known once it was given, or a track has arrived.

    A temporary one was made for an imputation, and goes with the last that is of it.
    """

    __table_args__ = (Index("ix_sample_newest", "owner", "created", "id"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    owner: str = Field(index=True)
    name: str
    assembly: str | None = None
    temporary: bool = False
    created: datetime = _time()


class Track(SQLModel, table=True):
    """A mark's track of a sample.

    Attributes
    ----------
    status
        `checking`, `ready` or `refused`.
    sha256, bytes
        Of the file as it came; with its binned form, in the data folder under sha256 and assembly, it takes
        `stored_bytes`.
    quality, warnings, problem
        What ingest found: figures, sentences, or why it refused.
    """

    __table_args__ = (UniqueConstraint("sample_id", "mark"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    sample_id: str = Field(foreign_key="sample.id", index=True, ondelete="CASCADE")
    mark: str
    status: str
    file_name: str
    sha256: str = Field(index=True)
    bytes: int = Field(sa_type=BigInteger)
    stored_bytes: int = Field(default=0, sa_type=BigInteger)
    assembly: str | None = None
    quality: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    warnings: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    created: datetime = _time()


class ImputationJob(SQLModel, table=True):
    """A long imputation. What it is made of stands in its folder, `work.json`; here is what changes.

    Attributes
    ----------
    sample_id, sample_name
        Of the sample, which may be gone since.
    idempotency_key, request_sha256
        What the caller sent to ask for it once, and what was asked.
    status
        `queued`, `running`, `finished`, `failed` or `cancelled`; the latter three never change.
    reason
        Why it failed, or does not go on.
    request
        Model, marks, regions and bin size, as they are shown.
    bins_done, bins_total, bins_per_second
        Progress.
    runner, lease
        The server that sees to it, and until when it may.
    expires
        When it and its result are deleted.
    """

    __tablename__ = "imputation"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key"),
        Index("ix_imputation_newest", "owner", "created", "id"),
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    owner: str = Field(index=True)
    sample_id: str = Field(index=True)
    sample_name: str
    idempotency_key: str | None = None
    request_sha256: str
    status: str = Field(default="queued", index=True)
    reason: str | None = None
    request: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    scores: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    trust: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    warnings: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    bins_done: int = Field(default=0, sa_type=BigInteger)
    bins_total: int = Field(sa_type=BigInteger)
    bins_per_second: float | None = None
    runner: str | None = None
    lease: datetime | None = Field(default=None, sa_type=UtcTime)
    created: datetime = _time()
    started: datetime | None = Field(default=None, sa_type=UtcTime)
    ended: datetime | None = Field(default=None, sa_type=UtcTime)
    expires: datetime | None = Field(default=None, sa_type=UtcTime)
