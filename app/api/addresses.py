"""The links of answers, as they are described; `links` makes them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


def left_out(description: str | None = None) -> Any:
    """A field that is left out where there is nothing to say."""
    return Field(default=None, exclude_if=lambda value: value is None, description=description)


class SelfLink(BaseModel):
    """Where it is to be had itself."""

    self: str


class TrackLinks(SelfLink):
    """Addresses of a track."""

    file: str | None = left_out("The file as it came, once it is ready")


class SampleLinks(SelfLink):
    """Addresses of a sample, its tracks and imputations."""

    tracks: str
    region: str
    imputations: str


class ResultLinks(BaseModel):
    """Addresses of an imputation's result."""

    manifest: str
    hub: str
    scores_picture: str | None = left_out("Only where marks were hidden and scored")
    tracks: dict[str, dict[str, str]] = Field(description="By mark, then by part: imputed, lower, upper")


class SignedLinks(ResultLinks):
    """The same, which open without a key for a time: for genome browsers."""

    expires: datetime


class ImputationLinks(SelfLink):
    """Addresses of an imputation and, once it has finished, of its result."""

    events: str
    manifest: str | None = left_out()
    hub: str | None = left_out()
    scores_picture: str | None = left_out("Only where marks were hidden and scored")
    tracks: dict[str, dict[str, str]] | None = left_out("By mark, then by part: imputed, lower, upper")
    signed: SignedLinks | None = left_out("The same without a key, where keys are asked for")
