"""The losses of a worker: what becomes of jobs outside of their handlers' processes, and its record.

Celery tells of a death, an operator of a cancel; the comparison of what the ledger says that this worker runs
with what it has in hand finds what nobody told.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Connection

from worker.catalog import Catalog
from worker.contract.states import State
from worker.ledger import leases, transitions
from worker.ledger.records import Held, Outcome
from worker.runtime import verdict
from worker.runtime.metrics import Metrics
from worker.runtime.runner import Incarnation

Transaction = Callable[[], AbstractContextManager[Connection]]


class News(msgspec.Struct, frozen=True):
    """What happened to a job outside of its handler's process."""

    cancelled_by: str | None = None
    died_of: str | None = None  # why its process is gone, if it is
    overran: bool = False  # that was its deadline's doing

    def and_before(self, told: "News") -> "News":
        """All that was told: a cancelled job's process may die next."""
        return News(
            self.cancelled_by or told.cancelled_by,
            self.died_of or told.died_of,
            self.overran or told.overran,
        )


class Losses:
    """Hears of what happened, from any thread, and records it on the lease's."""

    def __init__(
        self,
        transaction: Transaction,
        statement: Transaction,
        incarnation: Incarnation,
        *,
        catalog: Catalog,
        metrics: Metrics,
        known: Callable[[], Collection[UUID]],
        cap: int,
    ) -> None:
        """Make it.

        Args:
            transaction: of the lease's connection.
            statement: the same for one statement alone.
            incarnation: of the worker.
            catalog: of the jobs that it may hold.
            metrics: counts losses.
            known: the ids of the jobs whose messages this worker has in hand.
            cap: losses while alone after which a job ends failed.
        """
        self._transaction = transaction
        self._statement = statement
        self._incarnation = incarnation
        self._catalog = catalog
        self._metrics = metrics
        self._known = known
        self._cap = cap
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._news: dict[UUID, News] = {}
        self._missing: set[UUID] = set()
        self.over = False  # the worker leaves, and records no more

    def hear(self, job_id: UUID, news: News) -> None:
        """Note what happened; never blocks."""
        self._news[job_id] = news.and_before(self._news.get(job_id, News()))

    def settle(self) -> None:
        """Record what was heard."""
        told = dict(list(self._news.items()))
        for job_id, news in told.items():
            if news.cancelled_by and not self.over:
                with self._transaction() as connection:
                    state = transitions.cancel(connection, job_id, news.cancelled_by)
                logger.info("job_revoked", job=str(job_id), state=state)
        died = {job_id: news for job_id, news in told.items() if news.died_of}
        if died and not self.over:
            self._record_deaths(died)
        for job_id, news in told.items():
            if self._news.get(job_id) is news and not self.over:
                del self._news[job_id]

    def compare(self) -> None:
        """Find what nobody told: jobs under this worker's name of which it knows nothing.

        A claim or an outcome may be on its way while we look, so only what is missing twice is lost.
        """
        held = {job.id: job for job in self._held()}
        missing = set(held) - set(self._known())
        for job_id in missing & self._missing:
            self._record_death(held[job_id], News(died_of="its process vanished"))
        self._missing = missing

    def overruns(self, held: Iterable[Held]) -> list[Outcome]:
        """The outcomes of those among them that overran their deadline."""
        return [
            verdict.of_overrun(self._catalog[job.kind], job, self._incarnation.name, self._rng)
            for job in held
            if job.overran or self._news.get(job.id, News()).overran
        ]

    def _record_deaths(self, died: Mapping[UUID, News]) -> None:
        # A job that is still in hand was claimed here again, and an older attempt of it died. Should only
        # a doubled message of it be in hand, the comparison finds the loss.
        lost = set(died) - set(self._known())
        for job in self._held() if lost else ():
            if job.id in lost and not self.over:
                self._record_death(job, died[job.id])

    def _held(self) -> list[Held]:
        with self._statement() as connection:
            return leases.held_by(connection, self._incarnation.id)

    def _record_death(self, job: Held, news: News) -> None:
        reason = news.died_of or ""
        outcomes = self._intended(job)
        with self._transaction() as connection:
            state: State | None
            if outcomes:
                if news.overran:  # for dispatch, which lets it share no bundle
                    transitions.mark_overrun(connection, job.id, job.token)
                state = transitions.finish(connection, outcomes).get(job.id)
            else:
                state = transitions.lose(connection, job.id, job.token, reason, self._cap)
                self._metrics.lost(job.kind, state)
        logger.warning("job_lost", job=str(job.id), kind=job.kind, reason=reason, state=state)

    def _intended(self, job: Held) -> list[Outcome]:
        """The outcome of a job whose process was ended on purpose."""
        if job.cancel_requested:
            return [verdict.of_cancel(job, self._incarnation.name)]
        return self.overruns([job])
