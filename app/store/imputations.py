"""Long imputations: rows that servers share, and who sees to which."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, and_, func, or_
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, col, delete, select, update

from app.core.errors import HasEnded, KeyReused, LimitReached, UnknownImputation
from app.store.files import DataFolder
from app.store.lists import Place, holds, newest_first
from app.store.tables import ImputationJob, new_id, now

LEASE_SECONDS = 12
"""A server that has not been heard of for so long has lost its imputations to whoever asks."""

_ID = re.compile(r"[0-9a-f]{32}")
OPEN = ("queued", "running")


class Imputations:
    """What owners have had imputed.

    Parameters
    ----------
    keep_days
        How long an imputation stays after its end.
    """

    def __init__(self, engine: Engine, folder: DataFolder, keep_days: float) -> None:
        self._engine = engine
        self._folder = folder
        self._keep = timedelta(days=keep_days)
        self._clean()

    def _clean(self) -> None:
        """After a crash of the only server: go on at once, and remove folders that no row names."""
        if not self._folder.alone:
            return
        with Session(self._engine) as session:
            session.exec(
                update(ImputationJob).where(col(ImputationJob.status) == "running").values(runner=None, lease=None)
            )
            session.commit()
            known = set(session.exec(select(ImputationJob.id)).all())
        for imputation_id in self._folder.imputations():
            if known and imputation_id not in known:
                self._folder.remove_imputation(imputation_id)

    def create(self, new: ImputationJob, fill: Callable[[Path], None], most_open: int) -> tuple[ImputationJob, bool]:
        """Accept an imputation, once for each key that the owner sends.

        Parameters
        ----------
        new
            The row; its id is given here.
        fill
            Makes the imputation's folder; it is there before the row is.
        most_open
            How many an owner may have that have not ended.

        Returns
        -------
        The imputation, and whether it is new.

        Raises
        ------
        KeyReused
            The key came before with another request.
        LimitReached
        """
        if found := self.by_key(new.owner, new.idempotency_key, new.request_sha256):
            return found, False
        with Session(self._engine) as session:
            query = select(func.count()).select_from(ImputationJob)
            query = query.where(ImputationJob.owner == new.owner, col(ImputationJob.status).in_(OPEN))
            if session.exec(query).one() >= most_open:
                raise LimitReached(f"You have {most_open} imputations waiting or running; wait until one has ended.")
        new.id = new_id()
        folder = self._folder.imputation(new.id)
        try:
            fill(folder)
            with Session(self._engine, expire_on_commit=False) as session:
                session.add(new)
                session.commit()
        except IntegrityError:
            self._folder.remove_imputation(new.id)
            if found := self.by_key(new.owner, new.idempotency_key, new.request_sha256):
                return found, False
            raise
        except BaseException:
            self._folder.remove_imputation(new.id)
            raise
        return new, True

    def by_key(self, owner: str, key: str | None, request_sha256: str) -> ImputationJob | None:
        """The imputation that a key has made; raises KeyReused if it was for another request."""
        if key is None:
            return None
        with Session(self._engine, expire_on_commit=False) as session:
            query = select(ImputationJob).where(ImputationJob.owner == owner, ImputationJob.idempotency_key == key)
            found = session.exec(query).first()
        if found and found.request_sha256 != request_sha256:
            raise KeyReused("This Idempotency-Key came before with another request; send a new key with a new request.")
        return found

    def get(self, owner: str, imputation_id: str) -> ImputationJob:
        """An imputation; raises UnknownImputation."""
        with Session(self._engine, expire_on_commit=False) as session:
            found = session.get(ImputationJob, imputation_id) if _ID.fullmatch(imputation_id) else None
            if found is None or found.owner != owner:
                raise UnknownImputation("There is no such imputation; GET /v1/imputations lists yours.")
            return found

    def find(self, imputation_id: str) -> ImputationJob:
        """An imputation, whoever's it is, for whom a signed link of it has let in; raises UnknownImputation."""
        with Session(self._engine, expire_on_commit=False) as session:
            if found := session.get(ImputationJob, imputation_id):
                return found
        raise UnknownImputation("There is no such imputation; it may have been deleted.")

    def page(
        self,
        owner: str,
        limit: int,
        after: Place | None = None,
        status: str | None = None,
        sample_id: str | None = None,
        sample_name: str = "",
    ) -> list[ImputationJob]:
        """Up to `limit` imputations, the newest first, behind a place.

        Parameters
        ----------
        status, sample_id
            Only those that have it; None = any.
        sample_name
            Only those whose sample's name holds it, in any case.
        """
        query = select(ImputationJob).where(ImputationJob.owner == owner)
        if status is not None:
            query = query.where(ImputationJob.status == status)
        if sample_id is not None:
            query = query.where(ImputationJob.sample_id == sample_id)
        if sample_name:
            query = query.where(holds(ImputationJob.sample_name, sample_name))
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.exec(newest_first(query, ImputationJob, limit, after)))

    def folder(self, imputation: ImputationJob) -> Path:
        """The folder of an imputation."""
        return self._folder.imputation(imputation.id)

    def cancel_or_delete(self, owner: str, imputation_id: str, only_cancel: bool = False) -> ImputationJob | None:
        """Cancel an imputation, or delete one that has ended (None); its files are gone at once.

        Raises
        ------
        HasEnded
            It has ended, and was only to be cancelled.
        """
        found = self.get(owner, imputation_id)
        if self._end(imputation_id, None, "cancelled", {}):
            self._folder.remove_imputation(imputation_id)
            return self.get(owner, imputation_id)
        if only_cancel:
            raise HasEnded("The imputation has ended already; its result was kept.")
        with Session(self._engine) as session:
            session.exec(delete(ImputationJob).where(col(ImputationJob.id) == found.id))
            session.commit()
        self._folder.remove_imputation(imputation_id)
        return None

    def claim(self, runner: str, most: int) -> list[ImputationJob]:
        """Take over up to `most` imputations that nobody sees to, the oldest first."""
        time = self._time()
        lapsed = and_(col(ImputationJob.lease) < time, col(ImputationJob.runner) != runner)
        free = or_(col(ImputationJob.runner).is_(None), lapsed)
        mine = []
        with Session(self._engine, expire_on_commit=False) as session:
            query = select(ImputationJob.id).where(col(ImputationJob.status).in_(OPEN), free)
            for found in session.exec(query.order_by(col(ImputationJob.created)).limit(most)).all():
                taken = session.exec(
                    update(ImputationJob)
                    .where(col(ImputationJob.id) == found, col(ImputationJob.status).in_(OPEN), free)
                    .values(
                        runner=runner,
                        status="running",
                        reason=None,
                        lease=time + timedelta(seconds=LEASE_SECONDS),
                        started=func.coalesce(ImputationJob.started, time),
                    )
                )
                session.commit()
                if taken.rowcount:
                    mine.append(session.get_one(ImputationJob, found, populate_existing=True))
        return mine

    def renew(self, runner: str) -> None:
        """Say that a server is there."""
        lease = self._time() + timedelta(seconds=LEASE_SECONDS)
        with Session(self._engine) as session:
            held = (col(ImputationJob.runner) == runner, col(ImputationJob.status) == "running")
            session.exec(update(ImputationJob).where(*held).values(lease=lease))
            session.commit()

    def _time(self) -> datetime:
        """The time that leases go by: the database's where servers share one, as their clocks may differ."""
        if self._engine.dialect.name != "postgresql":
            return now()
        with Session(self._engine) as session:
            return session.exec(select(func.now())).one()

    def release(self, runner: str) -> None:
        """Leave everything that a server sees to, to whoever comes next."""
        with Session(self._engine) as session:
            session.exec(
                update(ImputationJob).where(col(ImputationJob.runner) == runner).values(runner=None, lease=None)
            )
            session.commit()

    def held(self, runner: str) -> list[ImputationJob]:
        """The imputations that a server still sees to."""
        with Session(self._engine, expire_on_commit=False) as session:
            query = select(ImputationJob).where(ImputationJob.runner == runner, ImputationJob.status == "running")
            return list(session.exec(query))

    def progress(self, imputation_id: str, runner: str, bins_done: int, bins_per_second: float | None) -> None:
        """Note how far an imputation is."""
        self._set(imputation_id, runner, {"bins_done": bins_done, "bins_per_second": bins_per_second})

    def wait(self, imputation_id: str, runner: str, reason: str | None) -> None:
        """Note why an imputation does not go on; None = it does."""
        self._set(imputation_id, runner, {"reason": reason})

    def finish(self, imputation_id: str, runner: str, found: Mapping[str, Any]) -> bool:
        """End an imputation whose result is there; False if it was cancelled or taken over meanwhile.

        Parameters
        ----------
        found
            Its `scores`, `trust` and `warnings`, as the row keeps them.
        """
        return self._end(
            imputation_id, runner, "finished", {**found, "reason": None, "bins_done": ImputationJob.bins_total}
        )

    def fail(self, imputation_id: str, runner: str, reason: str) -> None:
        """End an imputation without a result, and remove its files; nothing happens if it is not the runner's any more.

        Where the database has no room, the files go first: the disk may be full, and the database on it.
        """
        values = {"reason": reason}
        try:
            mine = self._end(imputation_id, runner, "failed", values)
        except OperationalError:
            if imputation_id not in {row.id for row in self.held(runner)}:
                return
            self._folder.remove_imputation(imputation_id)
            mine = self._end(imputation_id, runner, "failed", values)
        if mine:
            self._folder.remove_imputation(imputation_id)

    def _end(self, imputation_id: str, runner: str | None, status: str, values: dict[str, Any]) -> bool:
        time = now()
        values = {**values, "status": status, "ended": time, "expires": time + self._keep, "runner": None}
        return self._set(imputation_id, runner, {**values, "bins_per_second": None, "lease": None})

    def _set(self, imputation_id: str, runner: str | None, values: dict[str, Any]) -> bool:
        """Change an imputation that has not ended, and that the runner, if one is named, still sees to."""
        where = [col(ImputationJob.id) == imputation_id, col(ImputationJob.status).in_(OPEN)]
        if runner is not None:
            where.append(col(ImputationJob.runner) == runner)
        with Session(self._engine) as session:
            changed = session.exec(update(ImputationJob).where(*where).values(**values)).rowcount
            session.commit()
            return bool(changed)

    def expire(self) -> list[ImputationJob]:
        """Delete what has been kept for as long as was said, and tell what it was."""
        with Session(self._engine, expire_on_commit=False) as session:
            expired = session.exec(select(ImputationJob).where(col(ImputationJob.expires) < now())).all()
            for found in expired:
                session.delete(found)
                session.commit()
                self._folder.remove_imputation(found.id)
        return list(expired)
