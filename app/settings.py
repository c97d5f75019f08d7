"""Every setting, from the environment (prefix EPIFILL_) or passed in."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_CHECKOUT = Path(__file__).parents[1]


_ORIGIN = re.compile(r"https?://[^,\s/*]+")
_LEAST_SECRET = 32

_DRIVERS = {
    "sqlite": "sqlite",
    **dict.fromkeys(("postgres", "postgresql", "postgresql+psycopg"), "postgresql+psycopg"),
}

_BAD_DATABASE = (
    "EPIFILL_DATABASE_URL is not the address of a database; write it like postgresql://user:password@host/epifill, with"
    " @, / and % in the password written as %40, %2F and %25, or leave it out for SQLite in the data folder."
)


class Settings(BaseSettings):
    """The service's settings; `EPIFILL_PORT=9000` sets `port`, and so on.

    Attributes
    ----------
    models, default_model
        Folder of model folders, and the model that is used where none is named.
    max_upload_bytes
        Largest body of a request, all its files together.
    max_region_bins
        Most bins that one answer may hold per mark. The default admits chr21 in 25-bp bins.
    max_tracks_per_sample, max_samples_per_owner, max_bytes_per_owner
        What may be stored.
    max_imputations_at_once, max_uploads_at_once
        More are answered 429. An imputation uses every core as it is; an upload counts until it has been checked.
    stall_seconds
        A client that sends or takes nothing for that long is cut off.
    threads
        Threads per model run; 0 takes every core.
    data, database_url
        Folder of uploads; default database: SQLite in it.
    api_keys_required, insecure
        Whether callers need a key (`epifill keys`); whether other machines may call without one.
    ingest_memory_bytes
        Memory of the process that checks an upload.
    engine, engine_workers, engine_resources
        Where long imputations are worked on: address of a Dask scheduler, such as tcp://scheduler:8786; by default
        workers of this machine, one per core unless told otherwise. Resources, such as GPU=1, that a worker must have.
    chunk_bins
        Bins that a worker imputes in one piece: what is lost when it dies. In steps of 4096.
    jobs_at_once, max_jobs_per_owner
        Long imputations that are worked on at once, and that an owner may have waiting and running.
    cors_origins
        Origins whose pages may call from a browser: https://lab.example,https://other.example, or *; none by default.
    root_path, trust_forwarded_prefix
        Path below which a proxy shows the service, such as /epifill; or believe the proxy's `X-Forwarded-Prefix`.
    link_hours, link_secret
        With keys: how long signed links to results work at least; what signs them (default: made in the data folder).
    contact_email
        Whom track hubs name.
    keep_results_days, keep_samples_days
        When an ended imputation, and a sample without a new track, is deleted.
    """

    model_config = SettingsConfigDict(env_prefix="EPIFILL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    models: Path = _CHECKOUT / "models"
    default_model: str = "epifill-core5"
    max_upload_bytes: int = Field(default=4 * 2**30, ge=1)
    max_region_bins: int = Field(default=2_000_000, ge=1)
    max_tracks_per_sample: int = Field(default=64, ge=1)
    max_samples_per_owner: int = Field(default=1000, ge=1)
    max_bytes_per_owner: int = Field(default=200 * 2**30, ge=1)
    max_imputations_at_once: int = Field(default=4, ge=1)
    max_uploads_at_once: int = Field(default=16, ge=1)
    stall_seconds: float = Field(default=20, gt=0)
    threads: int = Field(default=0, ge=0)
    data: Path = Path("epifill-data")
    database_url: str = ""
    api_keys_required: bool = False
    insecure: bool = False
    ingest_memory_bytes: int = Field(default=2 * 2**30, ge=2**28)
    engine: str = ""
    engine_workers: int = Field(default=0, ge=0)
    engine_resources: str = Field(default="", pattern=r"^(\w+=\d+(\.\d+)?(,\w+=\d+(\.\d+)?)*)?$")
    chunk_bins: int = Field(default=64 * 4096, ge=4096, multiple_of=4096)
    jobs_at_once: int = Field(default=4, ge=1)
    max_jobs_per_owner: int = Field(default=100, ge=1)
    cors_origins: str = ""
    root_path: str = Field(default="", pattern=r"^((/[A-Za-z0-9._~-]+)+)?$")
    trust_forwarded_prefix: bool = False
    link_hours: float = Field(default=7 * 24, gt=0)
    link_secret: SecretStr = SecretStr("")
    contact_email: str = Field(default="", pattern=r"^([!-?A-\[\]-~]+@[!-?A-\[\]-~]+)?$")
    keep_results_days: float = Field(default=30, gt=0)
    keep_samples_days: float = Field(default=90, gt=0)

    @property
    def resources(self) -> dict[str, float]:
        """What a worker must have."""
        pairs = (text.split("=") for text in self.engine_resources.split(",") if text)
        return {name: float(amount) for name, amount in pairs}

    @property
    def database(self) -> URL:
        """The database: SQLite in the data folder, or what `database_url` says, with the driver that is installed."""
        if not self.database_url:  # from parts: a path may hold any character
            return URL.create("sqlite", database=str(self.data / "epifill.db"))
        url = make_url(self.database_url)
        return url.set(drivername=_DRIVERS[url.drivername])

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        origins = [origin.strip().removesuffix("/") for origin in text.split(",") if origin.strip()]
        if origins != ["*"] and not all(map(_ORIGIN.fullmatch, origins)):
            raise ValueError(
                "EPIFILL_CORS_ORIGINS is no list of origins; write it like https://lab.example,http://localhost:3000"
                " (scheme, host and port, without a path), or * for all."
            )
        return ",".join(origins)

    @field_validator("link_secret")
    @classmethod
    def _long(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < _LEAST_SECRET:
            raise ValueError(
                f"EPIFILL_LINK_SECRET is too short to sign anything; give {_LEAST_SECRET} characters or more, such as"
                " those of `openssl rand -hex 32`."
            )
        return secret

    @field_validator("database_url")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            known = not text or make_url(text).drivername in _DRIVERS
        except (ArgumentError, ValueError):
            known = False
        if not known:
            raise ValueError(_BAD_DATABASE)
        return text
