"""Gathering: submissions that come while others are being committed go to the ledger together.

A transaction costs its round trips and a wait for the disk; who comes meanwhile shares the next one. Nobody
waits for company: where nothing is in flight, a submission goes alone and at once. And nobody pays for
another's fault: what cannot go with others goes alone, where it meets its own.
"""

import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import cooperation
from api.errors import Problem
from api.idempotency import IdempotencyKey
from api.live_jobs import Admit, Cap
from worker.ledger import idempotency, transitions
from worker.ledger.engines import Ledger
from worker.ledger.idempotency import Wish
from worker.ledger.records import Accepted, NewJob

_BREATHS = 4  # before a transaction: who sent a request by now comes along, and takes some on the way here
_MOST = 100  # submissions in one transaction
_HEAVIEST = 1024 * 1024  # bytes of payloads in one transaction
_KEY_PATIENCE = "100ms"  # that all of them have for a key which a transaction elsewhere holds
_SUSPICION = 10.0  # seconds for which the keys of those that had it go alone


class _Entry(msgspec.Struct, eq=False):
    """A submission, and the answer that it waits for: None where it must go alone."""

    job: NewJob
    key: IdempotencyKey | None
    answer: "Future[Accepted | None]" = msgspec.field(default_factory=Future)


class Gatherer:
    """Commits the submissions of one process, on a thread of its own (a greenlet, under gevent).

    Args:
        ledger: takes them.
        live_jobs: caps what a client has at once.
        patience: seconds that a submission waits for its transaction to begin.
    """

    def __init__(self, ledger: Ledger, live_jobs: Cap, patience: float) -> None:
        self._ledger = ledger
        self._live_jobs = live_jobs
        self._patience = patience
        self._waiting: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._suspects: dict[tuple[UUID, str], float] = {}  # until when (monotonic): one was held elsewhere
        threading.Thread(target=self._run, name="gatherer", daemon=True).start()

    def takes(self, job: NewJob) -> bool:
        """Whether a job can go with others: it asks nothing of the ledger but to be kept."""
        return not (job.after or job.unique_key) and len(job.payload) < _HEAVIEST

    def accept(self, job: NewJob, key: IdempotencyKey | None) -> Accepted | None:
        """Commit a job.

        Returns:
            None where it must go alone: its key stands for something already or may be held elsewhere, its
            client has too many jobs, it has expired, or something is wrong with one that went with it.

        Raises:
            SQLAlchemyError: the ledger is away, or went away before it said whether it has the job.
        """
        entry = _Entry(job, key)
        self._waiting.put(entry)
        with suppress(TimeoutError):
            return entry.answer.result(self._patience)
        if entry.answer.cancel():
            raise PoolTimeout("the ledger is busy with what came before")
        return entry.answer.result()

    def _run(self) -> None:
        while True:
            self._serve(self._gather())

    def _gather(self) -> list[_Entry]:
        entry = self._waiting.get()
        for _ in range(_BREATHS):
            cooperation.breathe()
        entries: list[_Entry] = []
        weight = 0
        with suppress(queue.Empty):
            while True:
                if entry.answer.set_running_or_notify_cancel():
                    entries.append(entry)
                    weight += len(entry.job.payload)
                if len(entries) >= _MOST or weight >= _HEAVIEST:
                    break
                entry = self._waiting.get_nowait()
        return entries

    def _serve(self, entries: Sequence[_Entry]) -> None:
        try:
            accepted = self._write(entries)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread serves the others
            if _blocked(error):
                self._suspect(entries)
            for entry in entries:
                _refuse(entry, error)
        else:
            for entry in entries:
                entry.answer.set_result(accepted.get(entry.job.id))

    def _write(self, entries: Iterable[_Entry]) -> Mapping[UUID, Accepted]:
        with self._live_jobs.admission() as admit, self._ledger.write() as connection:
            # Before it is known whose keys are new: a repetition counts until the jobs are counted again.
            passing = [
                entry for entry in entries if not self._is_suspect(entry) and _passes(admit, entry.job)
            ]
            jobs = _new(connection, passing)
            return transitions.enqueue(connection, jobs) if jobs else {}

    def _suspect(self, entries: Iterable[_Entry]) -> None:
        """Let their keys go alone: one is held elsewhere, and whoever repeats it would hold up all others."""
        now = time.monotonic()
        kept = {name: until for name, until in self._suspects.items() if until > now}
        self._suspects = kept | {name: now + _SUSPICION for name in map(_name, entries) if name}

    def _is_suspect(self, entry: _Entry) -> bool:
        name = _name(entry)
        return name is not None and self._suspects.get(name, 0.0) > time.monotonic()


def _name(entry: _Entry) -> tuple[UUID, str] | None:
    return (entry.job.client_id, entry.key.key) if entry.key else None


def _passes(admit: Admit, job: NewJob) -> bool:
    if job.expires_at and job.expires_at <= datetime.now(UTC):
        return False
    try:
        admit(job.client_id, 1)
    except Problem:
        return False
    return True


def _new(connection: Connection, entries: Sequence[_Entry]) -> list[NewJob]:
    """The jobs of those whose keys are new, or who have none."""
    wishes = {(wish.client_id, wish.key): wish for wish in map(_wish, entries) if wish}
    new = idempotency.remember_many(connection, list(wishes.values()), _KEY_PATIENCE) if wishes else set()
    return [entry.job for entry in entries if entry.key is None or entry.job.id in new]


def _wish(entry: _Entry) -> Wish | None:
    if entry.key is None:
        return None
    return Wish(
        client_id=entry.job.client_id,
        key=entry.key.key,
        fingerprint=entry.key.fingerprint,
        job_id=entry.job.id,
    )


def _refuse(entry: _Entry, error: Exception) -> None:
    if isinstance(error, DBAPIError | PoolTimeout) and not _of_one(error):
        entry.answer.set_exception(error)
    else:
        entry.answer.set_result(None)


def _of_one(error: SQLAlchemyError) -> bool:
    """Whether it may be the fault of one of them: the ledger is there, and took a dislike to something."""
    return _blocked(error) or isinstance(error, DataError | IntegrityError)


def _blocked(error: Exception) -> bool:
    """Whether somebody elsewhere held what one of them needs."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, DeadlockDetected | LockNotAvailable)
