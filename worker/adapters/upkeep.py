"""Pruning the ledger and the storage of artifacts, by the retention of the settings."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from worker.contract import Retryable
from worker.contract.kind import Kind
from worker.contract.ports import Pruned
from worker.ledger import audit, partitions, retention
from worker.ledger.engines import Ledger
from worker.settings import Settings
from worker.storage import Storage

_BATCH = 500
_DAY = 86400.0
_DEFAULT = "jobs_default"  # holds what outlived its day, and the strays of a skewed clock
_FIRST = UUID(int=0)


class LedgerPruner:
    """Prunes the ledger first and then the storage, so that no record ever lacks its bytes.

    Args:
        ledger: what is pruned.
        storage: where the bytes of its artifacts are.
        settings: how long things are kept.
        kinds: those that may keep less of their jobs.
    """

    def __init__(
        self, ledger: Ledger, storage: Storage, settings: Settings, kinds: Iterable[Kind[..., Any]] = ()
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._settings = settings
        self._rules = _rules(settings, kinds)

    def prune(self, between: Callable[[Pruned], None]) -> Pruned:
        """See `worker.contract.ports.Pruner`."""
        total = Pruned()
        try:
            pruning = _Pruning(self._ledger, self._storage, self._settings, self._rules)
            for taken in pruning.batches():
                total = _sum(total, taken)
                between(total)
        except DBAPIError as error:
            raise Retryable(f"the ledger: {type(error.orig).__name__}") from error
        if pruning.in_use:
            raise Retryable(f"in use for too long: {', '.join(pruning.in_use)}")
        return total


class _Pruning:
    """One run, as a row of batches: each is committed before the next one begins."""

    def __init__(
        self, ledger: Ledger, storage: Storage, settings: Settings, rules: Sequence[retention.Rule]
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        self._settings = settings
        self._rules = rules
        self._in_batches = [_DEFAULT]
        with ledger.write() as connection:
            self._cutoff = retention.begin(connection, settings.retention)
            self._today = retention.begin(connection).astimezone(UTC).date()
            self._days = partitions.days_before(connection, self._cutoff)
            parted = _partition(self._cutoff.astimezone(UTC).date())
            # A day that is not wholly past soon will be; but not where hours count.
            if settings.retention < _DAY and partitions.exists(connection, parted):
                self._in_batches.append(parted)
        self.in_use: list[str] = []

    def batches(self) -> Iterator[Pruned]:
        self._make_ahead()
        for day in self._days:
            yield from self._whole_day(day)
        yield from self._left_artifacts()
        for partition in self._in_batches:
            yield from self._jobs_of(partition)
        for partition in self._with_clearable():
            yield from self._clear(partition)
        yield from self._uploads()
        yield from self._strays()
        yield from self._forgotten()

    def _make_ahead(self) -> None:
        try:
            with self._ledger.write() as connection:
                retention.begin(connection)
                partitions.make_ahead(connection, self._today)
        except OperationalError as error:
            self._put_off("the partitions of the days ahead", error)

    def _whole_day(self, day: date) -> Iterator[Pruned]:
        with self._ledger.write() as connection:
            since = retention.begin(connection)
            kept = retention.survivors(connection, day, self._cutoff)
            jobs = retention.count(connection, day)
        if kept is None:
            self._in_batches.append(_partition(day))
            return
        if self._drop(day, kept, since):
            yield Pruned(jobs=jobs - len(kept), days=1)

    def _left_artifacts(self) -> Iterator[Pruned]:
        for artifacts in self._delete_files(
            lambda connection: retention.delete_left_artifacts(connection, self._cutoff, _BATCH)
        ):
            yield Pruned(artifacts=artifacts)

    def _drop(self, day: date, kept: list[UUID], since: datetime) -> bool:
        try:
            with self._ledger.write() as connection:
                retention.begin(connection)
                return retention.drop_day(connection, day, kept, since)
        except OperationalError as error:
            self._put_off(f"the partitions of {day}", error)
            return False

    def _jobs_of(self, partition: str) -> Iterator[Pruned]:
        for jobs, artifacts in self._taken(
            lambda connection, after: retention.ended_before(
                connection, partition, self._cutoff, after, _BATCH
            ),
            retention.delete_jobs,
        ):
            yield Pruned(jobs=jobs, artifacts=artifacts)

    def _with_clearable(self) -> Iterator[str]:
        """The partitions of jobs old enough for a rule; those past the retention are gone by now."""
        if not self._rules:
            return
        with self._ledger.write() as connection:
            newest = retention.begin(connection, min(rule.age for rule in self._rules))
            days = partitions.days_before(connection, newest + timedelta(days=1))
        yield from (_partition(day) for day in days)
        yield _DEFAULT

    def _clear(self, partition: str) -> Iterator[Pruned]:
        for cleared, artifacts in self._taken(
            lambda connection, after: retention.clearable(connection, partition, self._rules, after, _BATCH),
            retention.clear_jobs,
        ):
            yield Pruned(cleared=cleared, artifacts=artifacts)

    def _taken(
        self,
        find: Callable[[Connection, UUID], list[UUID]],
        take: Callable[[Connection, list[UUID]], list[UUID]],
    ) -> Iterator[tuple[int, int]]:
        """Batch by batch, how many jobs were taken, and how many artifacts with them."""
        after = _FIRST
        while True:
            with self._ledger.write() as connection:
                retention.begin(connection)
                ids = find(connection, after)
                artifacts = take(connection, ids)
            self._delete_bytes(artifacts)
            if not ids:
                return
            after = ids[-1]
            yield len(ids), len(artifacts)

    def _uploads(self) -> Iterator[Pruned]:
        with self._ledger.write() as connection:
            retention.begin(connection)
            wanted = retention.wanted_uploads(connection, self._cutoff)
        for uploads in self._delete_files(
            lambda connection: retention.delete_uploads(connection, self._cutoff, wanted, _BATCH)
        ):
            yield Pruned(uploads=uploads)

    def _strays(self) -> Iterator[Pruned]:
        # A file gets its record with the outcome of its attempt, and no attempt runs for a day.
        old = self._storage.older_than(_DAY)
        while ids := list(islice(old, _BATCH)):
            with self._ledger.write() as connection:
                known = retention.known_artifacts(connection, ids)
            strays = [artifact_id for artifact_id in ids if artifact_id not in known]
            self._delete_bytes(strays)
            yield Pruned(strays=len(strays))

    def _forgotten(self) -> Iterator[Pruned]:
        with self._ledger.write() as connection:
            keys_before = retention.begin(connection, self._settings.idempotency_retention)
        while keys := self._delete(retention.forget_idempotency_keys, keys_before):
            yield Pruned(idempotency_keys=keys)
        while firings := self._delete(retention.forget_firings, self._cutoff):
            yield Pruned(firings=firings)
        while batches := self._delete(retention.forget_batches, self._cutoff):
            yield Pruned(batches=batches)
        while keys := self._delete(retention.forget_unique_keys, self._cutoff):
            yield Pruned(unique_keys=keys)
        with self._ledger.write() as connection:
            audit_before = retention.begin(connection, self._settings.audit_retention)
        while entries := self._delete(audit.forget, audit_before):
            yield Pruned(audit_entries=entries)

    def _delete(self, forget: Callable[[Connection, datetime, int], int], cutoff: datetime) -> int:
        with self._ledger.write() as connection:
            retention.begin(connection)
            return forget(connection, cutoff, _BATCH)

    def _delete_files(self, delete: Callable[[Connection], list[UUID]]) -> Iterator[int]:
        while True:
            with self._ledger.write() as connection:
                retention.begin(connection)
                ids = delete(connection)
            self._delete_bytes(ids)
            if not ids:
                return
            yield len(ids)

    def _delete_bytes(self, artifacts: list[UUID]) -> None:
        for artifact_id in artifacts:
            self._storage.delete(artifact_id)

    def _put_off(self, what: str, error: OperationalError) -> None:
        if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
            raise error
        self.in_use.append(what)


def _rules(settings: Settings, kinds: Iterable[Kind[..., Any]]) -> list[retention.Rule]:
    """What is kept for less than the jobs themselves; where two rules fit a job, the shorter one holds."""
    states = {
        "succeeded": settings.retention_succeeded,
        "failed": settings.retention_failed,
        "cancelled": settings.retention_cancelled,
    }
    rules = [retention.Rule(age, state=state) for state, age in states.items() if age is not None]
    rules += [retention.Rule(kind.retention, kind=kind.name) for kind in kinds if kind.retention is not None]
    return [rule for rule in rules if rule.age < settings.retention]


def _partition(day: date) -> str:
    return f"jobs_{day:%Y%m%d}"


def _sum(total: Pruned, taken: Pruned) -> Pruned:
    return Pruned(
        **{name: getattr(total, name) + getattr(taken, name) for name in msgspec.structs.asdict(total)}
    )
