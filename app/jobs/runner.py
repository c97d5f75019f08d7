"""See long imputations through: start, go on after a crash, count tries, note progress, end."""

import logging
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson

from app.core.errors import EngineLost, EpifillError, WriteFailed
from app.core.model import Model
from app.jobs.chunks import assemble, impute_chunk, judge_tracks, noted, probe
from app.jobs.engine import Engine, State, Task
from app.jobs.publish import MANIFEST, publish
from app.jobs.work import JUDGED, Folder, Work
from app.store.imputations import Imputations
from app.store.samples import Samples
from app.store.tables import ImputationJob, new_id

MOST_TRIES = 3
"""A piece of work that ended its worker so often fails its imputation."""

_RENEW_SECONDS, _NOTE_SECONDS, _EXPIRE_SECONDS, _REST_SECONDS = 3.0, 1.0, 60.0, 0.5
_RATE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between tries to have an engine that cannot be had; each is twice as long as the one before."""

log = logging.getLogger("epifill.jobs")


@dataclass(frozen=True)
class Piece:
    """A piece of work: a function of `app.jobs` and what it is given after the folder; what it is, in words."""

    do: Callable[..., None]
    given: tuple[Any, ...]
    what: str
    bins: int = 0


@dataclass
class Job:
    """An imputation that this server sees to."""

    id: str
    folder: Folder
    work: Work
    parts: tuple[str, ...]
    bin_size_bp: int
    todo: deque[Piece] = field(default_factory=deque)
    running: dict[Task, Piece] = field(default_factory=dict)
    tries: Counter[Piece] = field(default_factory=Counter)
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    done: int = 0
    noted: float = 0.0
    failure: str = ""
    waits_for: str | None = None

    def missing(self) -> list[Piece]:
        """What is to be done next, as the files tell: the pieces that lack of the first stage that lacks any."""
        for stage in (self._judging, self._chunks, self._assembling, self._publishing):
            if pieces := list(stage()):
                return pieces
        return []

    def _judging(self) -> Iterator[Piece]:
        if not (self.folder.path / JUDGED).exists() and not self.folder.result.exists():
            yield Piece(judge_tracks, (), "judging the tracks")

    def _chunks(self) -> Iterator[Piece]:
        if self.folder.result.exists():
            return
        for number, region in enumerate(self.work.pieces):
            if not self.folder.chunk(number).exists():
                yield Piece(impute_chunk, (number,), f"imputing {region}", region.n_bins(self.bin_size_bp))
        for number in range(len(self.work.probes)):
            for mark in self.work.observed:
                if not self.folder.probe(number, mark).exists():
                    yield Piece(probe, (number, mark), f"hiding {mark}")

    def _assembling(self) -> Iterator[Piece]:
        if not self.folder.result.exists():
            for mark in self.work.targets:
                for part in self.parts:
                    if not noted(self.folder, mark, part).exists():
                        yield Piece(assemble, (mark, part), f"writing {mark}.{part}.bigWig")

    def _publishing(self) -> Iterator[Piece]:
        if not self.folder.result.exists():
            yield Piece(publish, (), "putting the result together")

    def count_done(self) -> None:
        """Count the bins of the chunks that are there."""
        published = self.folder.result.exists()
        there = (r for n, r in enumerate(self.work.pieces) if published or self.folder.chunk(n).exists())
        self.done = sum(region.n_bins(self.bin_size_bp) for region in there)
        self.marks.clear()
        self.marks.append((time.monotonic(), self.done))

    def rate(self) -> float | None:
        """Bins per second over the last half minute; None when all are done."""
        if self.done >= self.work.bins(self.bin_size_bp):
            return None
        self.marks.append((time.monotonic(), self.done))
        while len(self.marks) > 2 and self.marks[-1][0] - self.marks[1][0] > _RATE_SECONDS:
            self.marks.popleft()
        seconds, bins = self.marks[-1][0] - self.marks[0][0], self.marks[-1][1] - self.marks[0][1]
        return bins / seconds if seconds > 0 and bins else None


class Runner:
    """A thread of a server that sees its share of imputations through.

    Parameters
    ----------
    models
        Finds a loaded model by its name.
    at_once
        Imputations that are worked on at once; others wait.
    """

    def __init__(
        self, imputations: Imputations, samples: Samples, models: Callable[[str], Model], engine: Engine, at_once: int
    ) -> None:
        self.id = new_id()
        self._imputations, self._samples = imputations, samples
        self._models, self._engine, self._at_once = models, engine, at_once
        self._jobs: dict[str, Job] = {}
        self._wake, self._stopping = Event(), Event()
        self._threads = [Thread(target=self._run, daemon=True), Thread(target=self._keep, daemon=True)]
        self._expired = 0.0
        self._trouble: str | None = None
        self._pause, self._again = _FIRST_PAUSE_SECONDS, 0.0

    @property
    def trouble(self) -> str | None:
        """Why the engine cannot work now, in one sentence; None if it can, for all that is known."""
        return self._trouble

    def start(self) -> None:
        """Begin to look for imputations."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at once: there is a new imputation, or one was cancelled."""
        self._wake.set()

    def stop(self) -> None:
        """Let go of everything; what has not ended goes on at the next start, or at another server."""
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self._imputations.release(self.id)

    def _keep(self) -> None:
        """Say now and then that this server is there, however busy it is."""
        while not self._stopping.wait(_RENEW_SECONDS):
            try:
                self._imputations.renew(self.id)
            except Exception as error:
                log.error("the database could not be told that this server is there: %s", told(error))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception as error:
                log.error("imputations could not be seen to: %s", told(error))
                self._stopping.wait(1)
            self._wake.wait(_REST_SECONDS)
            self._wake.clear()
        self._engine.close()  # here, as its processes die with the thread that started them

    def _turn(self) -> None:
        held = {row.id: row for row in self._imputations.held(self.id)}
        for gone in self._jobs.keys() - held.keys():
            self._drop(self._jobs.pop(gone))
        if len(self._jobs) < self._at_once:
            held |= {row.id: row for row in self._imputations.claim(self.id, self._at_once - len(self._jobs))}
        for row in held.values():
            with self._alone("an imputation could not be seen to"):
                self._see_to(row)
        if time.monotonic() - self._expired > _EXPIRE_SECONDS:
            self._expired = time.monotonic()
            with self._alone("what has expired could not be deleted"):
                for expired in self._imputations.expire():
                    self._samples.leave(expired.owner, expired.sample_id)
                self._samples.expire()
        if time.monotonic() >= self._again:
            self._try_engine()

    def _try_engine(self) -> None:
        """Give the engine work; where it cannot be had, say so in every job that waits for it, and try later."""
        try:
            if not self._hand_out():
                return
        except EngineLost as error:
            log.warning("%s Next try in %d s.", error, self._pause)
            self._again = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            trouble: str | None = str(error)
        else:
            self._pause, trouble = _FIRST_PAUSE_SECONDS, None
        waiting = [job for job in self._jobs.values() if job.waits_for != trouble]
        self._trouble = trouble
        for job in waiting:
            job.waits_for = trouble
            self._imputations.wait(job.id, self.id, trouble)

    @contextmanager
    def _alone(self, fault: str) -> Iterator[None]:
        """Keep what goes wrong with one from the others."""
        try:
            yield
        except Exception as error:
            log.error("%s: %s", fault, told(error))

    def _see_to(self, row: ImputationJob) -> None:
        if row.id not in self._jobs:
            self._take(row)
        if row.id in self._jobs:
            self._collect(self._jobs[row.id])

    def _take(self, row: ImputationJob) -> None:
        folder = Folder(self._imputations.folder(row))
        try:
            work = folder.work()
            model = self._models(work.model)
        except (EpifillError, ValueError) as error:
            reason = str(error) if isinstance(error, EpifillError) else "what it is made of cannot be read."
            self._imputations.fail(row.id, self.id, f"It cannot go on: {reason}")
            return
        job = Job(row.id, folder, work, tuple(model.manifest.outputs), model.manifest.bin_size_bp)
        job.count_done()
        self._jobs[row.id] = job

    def _collect(self, job: Job) -> None:
        """Look at what was handed out; note progress; go on to the next stage, or end."""
        if job.failure:
            self._fail(job, job.failure)
            return
        for task, piece in list(job.running.items()):
            outcome = self._engine.outcome(task)
            if outcome.state is State.WAITING:
                continue
            del job.running[task]
            if outcome.state is State.DONE:
                job.done += piece.bins
            elif outcome.state is State.LOST:
                job.todo.appendleft(piece)
            elif isinstance(outcome.error, EpifillError) and not isinstance(outcome.error, WriteFailed):
                self._fail(job, str(outcome.error))
                return
            else:
                job.tries[piece] += 1
                log.warning("%s failed, try %d: %s", piece.what, job.tries[piece], told(outcome.error))
                if job.tries[piece] >= MOST_TRIES:
                    self._fail(job, _reason(piece, outcome.state))
                    return
                job.todo.appendleft(piece)
        if time.monotonic() - job.noted > _NOTE_SECONDS:
            job.noted = time.monotonic()
            self._imputations.progress(job.id, self.id, job.done, job.rate())
        if not job.todo and not job.running:
            missing = job.missing()
            job.todo.extend(missing)
            if not missing:
                self._finish(job)

    def _hand_out(self) -> bool:
        """Give the engine as much as it can do at once, in turns; False if it was not asked anything.

        A piece that failed before is tried with nothing else under way, so that no other is taken for its fault.
        """
        waiting = [job for job in self._jobs.values() if job.todo]
        running = [(job, piece) for job in self._jobs.values() for piece in job.running.values()]
        if not waiting or any(job.tries[piece] for job, piece in running):
            return False
        suspects = [job for job in waiting if job.tries[job.todo[0]]]
        if suspects:
            if not running:
                self._submit(suspects[0])
            return not running
        room = self._engine.width() - len(running)
        while room > 0 and waiting:
            for job in waiting[:room]:
                self._submit(job)
            room -= len(waiting)
            waiting = [job for job in waiting if job.todo]
        return True

    def _submit(self, job: Job) -> None:
        piece = job.todo.popleft()
        try:
            task = self._engine.submit(piece.do, str(job.folder.path), *piece.given)
        except EngineLost:
            job.todo.appendleft(piece)
            raise
        job.running[task] = piece
        self._engine.when_done(task, self._wake.set)

    def _finish(self, job: Job) -> None:
        manifest = orjson.loads((job.folder.result / MANIFEST).read_bytes())
        found = {"scores": manifest["hidden_scores"] or None, "trust": manifest["trust"]}
        self._imputations.finish(job.id, self.id, {**found, "warnings": manifest["warnings"]})
        job.folder.tidy()
        del self._jobs[job.id]

    def _fail(self, job: Job, reason: str) -> None:
        """End a job; again at the next turn if the database cannot take it, on a full disk for one."""
        job.failure = reason
        self._drop(job)
        self._imputations.fail(job.id, self.id, reason)
        del self._jobs[job.id]

    def _drop(self, job: Job) -> None:
        # Nothing stops libBigWig while it closes a genome's file, which takes many seconds.
        self._engine.end([task for task, piece in job.running.items() if piece.do is assemble])
        for task in job.running:
            self._engine.drop(task)
        job.running.clear()
        job.todo.clear()


def told(error: BaseException | None) -> str:
    """What a log may hold of an error: its kind and where it arose, not its words, which may name files and values."""
    if isinstance(error, EpifillError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__) if error else None
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _reason(piece: Piece, state: State) -> str:
    if state is State.KILLED:
        return (
            f"Its worker died {MOST_TRIES} times while {piece.what}; ask whoever runs the service whether workers run"
            " out of memory, or impute fewer regions."
        )
    return f"It failed {MOST_TRIES} times while {piece.what}; whoever runs the service finds the error in its log."
