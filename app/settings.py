"""Every setting, from the environment (prefix EPIFILL_) or passed in."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_CHECKOUT = Path(__file__).parents[1]


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
    threads
        Threads per model run; 0 takes every core.
    """

    model_config = SettingsConfigDict(env_prefix="EPIFILL_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    models: Path = _CHECKOUT / "models"
    default_model: str = "paper-core5"
    max_upload_bytes: int = Field(default=4 * 2**30, ge=1)
    max_region_bins: int = Field(default=2_000_000, ge=1)
    threads: int = Field(default=0, ge=0)
