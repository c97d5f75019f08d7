"""Lists: the newest first, some at a time, in short rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol, Self, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from app.api.addresses import SelfLink
from app.api.links import Links
from app.api.schemas import ImputationStatus, ModelName, Progress, TrackStatus
from app.store.lists import Place
from app.store.tables import ImputationJob, Sample, Track


def _after(
    after: Annotated[str, Query(max_length=100, description="`next` of the answer before; empty = the newest")] = "",
) -> Place | None:
    return Place.read(after)


After = Annotated[Place | None, Depends(_after)]
Limit = Annotated[int, Query(ge=1, le=500, description="Most rows in one answer")]
PLAIN = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters, of which PostgreSQL refuses some."""

Name = Annotated[
    str, Query(max_length=200, pattern=PLAIN, description="Only where the sample's name holds this, in any case")
]
Status = Annotated[ImputationStatus | None, Query(description="Only those with this status")]
Next = Annotated[str | None, Field(description="Give it as `after` to get the older ones; null at the end")]


class _Row(Protocol):
    id: str
    created: datetime


_T = TypeVar("_T", bound=_Row)


def page_of(rows: Sequence[_T], limit: int) -> tuple[Sequence[_T], str | None]:
    """Up to `limit` rows, and where the next page begins if one more was found."""
    shown = rows[:limit]
    return shown, Place.of(shown[-1]).token() if len(rows) > limit else None


class TrackRow(BaseModel):
    """A track in a list; its own address has its quality and warnings."""

    id: str
    mark: str = Field(examples=["H3K4me3"])
    status: TrackStatus
    file_name: str
    bytes: int
    created: datetime
    links: SelfLink

    @classmethod
    def of(cls, track: Track, links: Links) -> Self:
        """A stored track, for JSON."""
        own = {name: getattr(track, name) for name in ("id", "mark", "status", "file_name", "bytes", "created")}
        return cls(**own, links=SelfLink.model_validate(links.track(track)))


class SampleRow(BaseModel):
    """A sample in a list."""

    id: str
    name: str
    assembly: str | None
    temporary: bool = Field(description="Whether it is deleted together with the last of its imputations")
    created: datetime
    expires: datetime = Field(description="When it is deleted with its tracks; a new track puts it off")
    tracks: list[TrackRow]
    links: SelfLink

    @classmethod
    def of(cls, sample: Sample, tracks: Sequence[Track], expires: datetime, links: Links) -> Self:
        """A stored sample, for JSON."""
        rows = [TrackRow.of(track, links) for track in tracks]
        own = SelfLink.model_validate(links.sample(sample))
        return cls(**sample.model_dump(exclude={"owner"}), expires=expires, tracks=rows, links=own)


class SamplePage(BaseModel):
    """Some of your samples, the newest first."""

    samples: list[SampleRow]
    next: Next


class ImputationRow(BaseModel):
    """An imputation in a list; its own address has scores, trust, warnings and links to the result."""

    id: str
    sample: str
    sample_name: str = Field(examples=["liver, donor 3"])
    status: ImputationStatus
    reason: str | None = Field(description="Why it failed, or does not go on")
    model: ModelName
    targets: list[str]
    progress: Progress
    created: datetime
    started: datetime | None
    ended: datetime | None
    expires: datetime | None = Field(description="When it is deleted with its result")
    links: SelfLink

    @classmethod
    def of(cls, row: ImputationJob, links: Links) -> Self:
        """A stored imputation, for JSON."""
        same = ("id", "sample_name", "status", "reason", "created", "started", "ended", "expires")
        return cls(
            **{name: getattr(row, name) for name in same},
            sample=row.sample_id,
            model=row.request["model"],
            targets=row.request["targets"],
            progress=Progress.of(row),
            links=SelfLink.model_validate(links.imputation(row)),
        )


class ImputationPage(BaseModel):
    """Some of your imputations, the newest first."""

    imputations: list[ImputationRow]
    next: Next
