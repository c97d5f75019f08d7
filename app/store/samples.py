"""Samples and their tracks: rows and files kept in step."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from app.core.binned import BinnedTracks
from app.core.errors import AssemblyMismatch, LimitReached, TrackNotReady, UnknownSample, UnknownTrack
from app.store.files import ORIGINAL, DataFolder
from app.store.ingest import Taken
from app.store.lists import Place, holds, newest_first
from app.store.tables import ImputationJob, Sample, Track, now

_ID = re.compile(r"[0-9a-f]{32}")


class Samples:
    """What owners have stored. Every method looks only at what belongs to the owner it is given.

    Parameters
    ----------
    keep_days
        How long a sample stays after it was made and its last track came.
    """

    def __init__(self, engine: Engine, folder: DataFolder, keep_days: float) -> None:
        self._engine = engine
        self._folder = folder
        self._keep = timedelta(days=keep_days)
        self._contents = Lock()  # one change at a time: a content must not be removed while a track takes it up
        self._clean()

    def _clean(self) -> None:
        """After a crash: uploads that were under way are lost, and contents that no row names are removed."""
        if not self._folder.alone:
            return
        with Session(self._engine) as session:
            for track in session.exec(select(Track).where(Track.status == "checking")):
                track.status = "refused"
                track.problem = {"detail": "The service stopped while it checked this file; upload it again."}
                session.add(track)
            session.commit()
            if session.exec(select(Track.id)).first() is None:
                return  # perhaps another database was meant: what it knows of must not be removed
            for sha256, assembly in self._folder.stored():
                self._remove_if_unused(session, sha256, assembly)

    def create(self, owner: str, name: str, assembly: str | None, most: int, temporary: bool = False) -> Sample:
        """Make an empty sample; raises LimitReached beyond `most` samples."""
        with Session(self._engine, expire_on_commit=False) as session:
            count = session.exec(select(func.count()).select_from(Sample).where(Sample.owner == owner)).one()
            if count >= most:
                raise LimitReached(f"You have {count} samples, the most that this service keeps; delete one first.")
            sample = Sample(owner=owner, name=name, assembly=assembly, temporary=temporary)
            session.add(sample)
            session.commit()
            return sample

    def page(
        self, owner: str, limit: int, after: Place | None = None, name: str = ""
    ) -> list[tuple[Sample, list[Track]]]:
        """Up to `limit` samples whose names hold `name` in any case, the newest first, with their tracks."""
        with Session(self._engine, expire_on_commit=False) as session:
            query = select(Sample).where(Sample.owner == owner)
            if name:
                query = query.where(holds(Sample.name, name))
            samples = session.exec(newest_first(query, Sample, limit, after)).all()
            tracks: dict[str, list[Track]] = {sample.id: [] for sample in samples}
            for track in session.exec(select(Track).where(col(Track.sample_id).in_(tracks)).order_by(col(Track.mark))):
                tracks[track.sample_id].append(track)
            return [(sample, tracks[sample.id]) for sample in samples]

    def get(self, owner: str, sample_id: str) -> tuple[Sample, list[Track]]:
        """A sample and its tracks; raises UnknownSample."""
        with Session(self._engine, expire_on_commit=False) as session:
            sample = self._find(session, owner, sample_id)
            return sample, self._tracks_of(session, sample.id)

    def delete(self, owner: str, sample_id: str) -> None:
        """Remove a sample, its tracks, and the files that nothing else refers to; raises UnknownSample."""
        with self._contents, Session(self._engine) as session:
            sample = self._find(session, owner, sample_id)
            contents = [(track.sha256, track.assembly) for track in self._tracks_of(session, sample.id)]
            session.delete(sample)
            session.commit()
            self._release(session, contents)

    def leave(self, owner: str, sample_id: str) -> None:
        """An imputation of the sample is gone: delete a temporary sample that no other is of."""
        with Session(self._engine) as session:
            sample = session.get(Sample, sample_id)
            query = select(ImputationJob.id).where(ImputationJob.sample_id == sample_id)
            if sample is None or not sample.temporary or session.exec(query).first():
                return
        with suppress(UnknownSample):  # somebody else was faster
            self.delete(owner, sample_id)

    def expires(self, sample: Sample, tracks: Iterable[Track]) -> datetime:
        """When a sample is deleted."""
        return max([sample.created, *(track.created for track in tracks)]) + self._keep

    def expire(self) -> None:
        """Delete the samples that have been kept for as long as was said."""
        with Session(self._engine, expire_on_commit=False) as session:
            old = session.exec(select(Sample).where(Sample.created < now() - self._keep)).all()
            ended = [s for s in old if self.expires(s, self._tracks_of(session, s.id)) < now()]
        for sample in ended:
            self.delete(sample.owner, sample.id)

    def track(self, owner: str, sample_id: str, mark: str) -> Track:
        """A track; raises UnknownSample or UnknownTrack."""
        with Session(self._engine, expire_on_commit=False) as session:
            return self._find_track(session, owner, sample_id, mark)

    def delete_track(self, owner: str, sample_id: str, mark: str) -> None:
        """Remove a track; raises UnknownSample or UnknownTrack."""
        with self._contents, Session(self._engine) as session:
            track = self._find_track(session, owner, sample_id, mark)
            content = (track.sha256, track.assembly)
            session.delete(track)
            session.commit()
            self._release(session, [content])

    def original(self, track: Track) -> Path:
        """The file of a track, as it came; raises TrackNotReady."""
        return self._place(track) / ORIGINAL

    def open(self, tracks: Iterable[Track]) -> BinnedTracks:
        """Open tracks that are ready; raises TrackNotReady."""
        try:
            return BinnedTracks({track.mark: self._place(track) for track in tracks})
        except FileNotFoundError:
            raise TrackNotReady("A track of the sample has just been replaced; ask again.") from None

    def link(self, track: Track, place: Path) -> None:
        """Give a ready track's binned form another name, under which it stays; raises TrackNotReady."""
        with self._contents:
            try:
                self._folder.link_binned(self._place(track), place)
            except FileNotFoundError:
                raise TrackNotReady("A track of the sample has just been replaced; ask again.", track.mark) from None

    def check_room(self, owner: str, sample_id: str, mark: str, more: int, most_tracks: int, most_bytes: int) -> Sample:
        """The sample, if the owner may add `more` bytes to it; raises UnknownSample or LimitReached."""
        with Session(self._engine, expire_on_commit=False) as session:
            sample = self._find(session, owner, sample_id)
            marks = {track.mark for track in self._tracks_of(session, sample.id)}
            if len(marks | {mark}) > most_tracks:
                raise LimitReached(f"This sample has {len(marks)} tracks, the most that it may have; delete one first.")
            self._check_bytes(session, owner, more, most_bytes)
            return sample

    def _check_bytes(self, session: Session, owner: str, more: int, most_bytes: int) -> None:
        query = select(func.sum(Track.stored_bytes)).join(Sample).where(Sample.owner == owner)
        used = session.exec(query).one() or 0
        if used + more > most_bytes:
            raise LimitReached(
                f"Your tracks take {used:,} bytes; with {more:,} more they would pass the {most_bytes:,} that you"
                " may store; delete some first."
            )

    def begin(self, owner: str, sample_id: str, mark: str, file_name: str, sha256: str, size: int) -> tuple[str, bool]:
        """Note that a track is being checked; one that is ready stays until the new one is.

        Returns
        -------
        The track's id, and whether the mark had no track before.
        """
        with self._contents, Session(self._engine) as session:
            sample = self._find(session, owner, sample_id)
            query = select(Track).where(Track.sample_id == sample.id, Track.mark == mark)
            track = session.exec(query).first()
            new = track is None
            if track is None:
                track = Track(
                    sample_id=sample.id, mark=mark, status="checking", file_name=file_name, sha256=sha256, bytes=size
                )
            elif track.status == "checking":
                raise TrackNotReady(f"Another upload of {mark} is being checked; wait until it is done.", mark)
            elif track.status == "ready":
                track.problem = None
            else:
                track.status, track.problem = "checking", None
                track.file_name, track.sha256, track.bytes = file_name, sha256, size
            session.add(track)
            session.commit()
            return track.id, new

    def finish(
        self, track_id: str, incoming: Path, file_name: str, sha256: str, size: int, taken: Taken, most_bytes: int
    ) -> None:
        """Give a checked upload its place and make its track ready; drop it if the track was deleted meanwhile.

        Raises
        ------
        AssemblyMismatch
            Another track has settled the sample's assembly meanwhile.
        LimitReached
            With its binned form, the owner's files would take more than `most_bytes`.
        """
        with self._contents, Session(self._engine) as session:
            track = session.get(Track, track_id)
            sample = session.get(Sample, track.sample_id) if track else None
            if track is None or sample is None:
                return
            if sample.assembly not in (None, taken.assembly):
                raise AssemblyMismatch(
                    f"'{file_name}' is in assembly {taken.assembly}, but the sample is in {sample.assembly}.", file_name
                )
            stored = sum(path.stat().st_size for path in incoming.iterdir())
            self._check_bytes(session, sample.owner, stored - track.stored_bytes, most_bytes)
            before = (track.sha256, track.assembly)
            self._folder.publish(incoming, sha256, taken.assembly)
            track.status, track.problem = "ready", None
            track.file_name, track.sha256, track.bytes, track.stored_bytes = file_name, sha256, size, stored
            track.assembly, track.quality, track.warnings = taken.assembly, taken.quality, taken.warnings
            track.created = now()
            sample.assembly = taken.assembly
            session.add(sample)
            session.add(track)
            session.commit()
            if before[1] and before != (sha256, taken.assembly):
                self._remove_if_unused(session, *before)  # type: ignore[arg-type]

    def refuse(self, track_id: str, problem: dict[str, Any], forget: bool) -> None:
        """Note why an upload was refused; a ready track stays ready. `forget` removes one that never was."""
        with self._contents, Session(self._engine) as session:
            track = session.get(Track, track_id)
            if track is None:
                return
            if track.status == "checking" and forget:
                session.delete(track)
            else:
                track.status = "refused" if track.status == "checking" else track.status
                track.problem = None if forget else problem
                session.add(track)
            session.commit()

    def _place(self, track: Track) -> Path:
        if track.status != "ready" or track.assembly is None:
            raise TrackNotReady(f"The track {track.mark} is not ready: it is {track.status}.", track.mark)
        return self._folder.track(track.sha256, track.assembly)

    def _find(self, session: Session, owner: str, sample_id: str) -> Sample:
        sample = session.get(Sample, sample_id) if _ID.fullmatch(sample_id) else None
        if sample is None or sample.owner != owner:
            raise UnknownSample("There is no such sample; GET /v1/samples lists yours.")
        return sample

    def _find_track(self, session: Session, owner: str, sample_id: str, mark: str) -> Track:
        sample = self._find(session, owner, sample_id)
        tracks = self._tracks_of(session, sample.id)
        for track in tracks:
            if track.mark == mark:
                return track
        there = ", ".join(track.mark for track in tracks) or "none yet"
        raise UnknownTrack(f"The sample has no track of this mark; those that it has: {there}.", mark[:80])

    def _tracks_of(self, session: Session, sample_id: str) -> list[Track]:
        return list(session.exec(select(Track).where(Track.sample_id == sample_id).order_by(col(Track.mark))))

    def _release(self, session: Session, contents: list[tuple[str, str | None]]) -> None:
        for sha256, assembly in contents:
            if assembly:
                self._remove_if_unused(session, sha256, assembly)

    def _remove_if_unused(self, session: Session, sha256: str, assembly: str) -> None:
        used = select(Track.id).where(Track.sha256 == sha256, Track.assembly == assembly, Track.status == "ready")
        if session.exec(used).first() is None:
            self._folder.remove(sha256, assembly)
