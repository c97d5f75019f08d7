"""Lists of rows: the newest first, some at a time."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_
from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from app.core.errors import BadPage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_ID_BYTES = 16


class _Row(Protocol):
    id: str
    created: datetime


_T = TypeVar("_T", bound=Any)


@dataclass(frozen=True)
class Place:
    """A place in a list: that of a row, whether it is still there or not."""

    created: datetime
    id: str

    @classmethod
    def of(cls, row: _Row) -> Self:
        """Where a row stands."""
        return cls(row.created, row.id)

    def token(self) -> str:
        """The place as callers hand it back."""
        ticks = (self.created - _EPOCH) // _TICK
        return base64.urlsafe_b64encode(ticks.to_bytes(8, "big") + bytes.fromhex(self.id)).decode()

    @classmethod
    def read(cls, token: str) -> Self | None:
        """The place that a token names; None for an empty one; raises BadPage."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            created = _EPOCH + int.from_bytes(raw[:8], "big") * _TICK
        except (UnicodeEncodeError, binascii.Error, OverflowError):
            raw = b""
        if len(raw) != 8 + _ID_BYTES:
            raise BadPage(
                "The value of after names no place in this list; give what the answer before says as its next.", "after"
            )
        return cls(created, raw[8:].hex())


def newest_first(query: SelectOfScalar[_T], table: type[_T], limit: int, after: Place | None) -> SelectOfScalar[_T]:
    """A query for up to `limit` rows, the newest first, behind a place; rows that come meanwhile change no page."""
    created, row_id = col(table.created), col(table.id)
    if after:
        older = or_(created < after.created, and_(created == after.created, row_id < after.id))
        query = query.where(older)
    return query.order_by(created.desc(), row_id.desc()).limit(limit)


def holds(column: str, text: str) -> ColumnElement[bool]:
    """Whether a column's text has another in it, in any case and literally."""
    return func.lower(col(column)).contains(text.lower(), autoescape=True)
