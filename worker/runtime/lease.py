"""The lease of a worker: its heartbeat, and the rounds in which its losses are recorded.

Runs on a native thread of the main process with a connection of its own, so that no handler, pool or
statement of somebody else delays it.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from uuid import UUID

from loguru import logger
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError

from worker.catalog import Catalog
from worker.contract.queues import ISOLATION
from worker.ledger import leases, messages, transitions
from worker.ledger.engines import at_once, lease_args, writing_url
from worker.ledger.gate import Gate
from worker.runtime import forking, native
from worker.runtime.losses import Losses, News
from worker.runtime.metrics import Metrics
from worker.runtime.patience import Patience
from worker.runtime.runner import Incarnation
from worker.settings import Settings

_COMPARE_EVERY = 2  # heartbeats
_PAUSE = 0.5  # seconds before another try while the ledger is away
_LATER = 1.0  # seconds after the server itself should have given up, that it may be silent
_LAST_ROUND = 2.0  # seconds that a round under way gets before the lease is given up


class LeaseKeeper:
    """Renews one lease, lets losses be recorded, and ends."""

    def __init__(
        self,
        settings: Settings,
        incarnation: Incarnation,
        queues: Callable[[], Collection[str]],
        *,
        catalog: Catalog,
        metrics: Metrics,
        known: Callable[[], Collection[UUID]],
        forks: bool,
        beat: Callable[[], None],
    ) -> None:
        """Make a keeper.

        Args:
            settings: with the ledger's URL.
            incarnation: whose lease it is.
            queues: that the worker consumes now.
            catalog: of the jobs that it may hold.
            metrics: counts losses.
            known: the ids of the jobs whose messages this worker has in hand.
            forks: this process forks children while the lease's thread runs.
            beat: called with every round, whether the ledger is there or not.
        """
        self._settings = settings
        self._incarnation = incarnation
        self._queues = queues
        self._beat = beat
        self._bell = native.Bell()
        self._left = native.Bell()
        self._losses = Losses(
            self._transaction,
            self._statement,
            incarnation,
            catalog=catalog,
            metrics=metrics,
            known=known,
            cap=settings.loss_cap,
        )
        self._beats = 0
        self._next_beat = 0.0
        self._started = self._leaving = self._away = False
        self._patience = Patience(settings.heartbeat + _LATER)
        self._calm = forking.exclusion("lease") if forks else contextlib.nullcontext()
        self._engine = create_engine(
            writing_url(settings),
            pool_size=1,  # kept: where the server has no connection left for others, this worker goes on
            max_overflow=1,  # for the watchdog's question
            hide_parameters=True,
            connect_args=lease_args(settings),
        )
        Gate().guard(self._engine)

    def take(self) -> None:
        """Take the lease, as soon as the ledger lets us; claims of a worker without one would be rescued."""
        self._patience.start()
        while True:
            self._beat()
            try:
                return self._renew()
            except SQLAlchemyError as error:
                self._rest_without_ledger(error)

    def start(self) -> None:
        """Keep the lease, on a native thread."""
        self._started = True
        native.start(self._run, "lease")

    def disown(self) -> None:
        """Forget, in a child of the pool, the inherited connection: it is the main process's."""
        self._engine.dispose(close=False)

    def lost(self, job_id: UUID, reason: str) -> None:
        """Record soon that the process of a job died; never blocks."""
        self._tell(job_id, News(died_of=reason))

    def overran(self, job_id: UUID, reason: str) -> None:
        """Record soon that the process of a job was ended at its deadline; never blocks."""
        self._tell(job_id, News(died_of=reason, overran=True))

    def cancel(self, job_id: UUID, actor: str) -> None:
        """Cancel a job soon; never blocks."""
        self._tell(job_id, News(cancelled_by=actor))

    def release(self, ids: Collection[UUID]) -> None:
        """Note that the messages of these jobs are gone, so that dispatch publishes them again."""
        with self._transaction() as connection:
            messages.unpublish(connection, list(ids))

    def claimable(self, lanes: Collection[str]) -> bool:
        """Whether the ledger has a job that a message of these queues of the broker may stand for."""
        with self._transaction() as connection:
            return messages.claimable_in(connection, lanes, ISOLATION.name)

    def fall_silent(self) -> None:
        """Renew no more and record no more losses: whoever dies from now on was told to."""
        self._leaving = self._losses.over = True
        self._bell.ring()
        if self._started and not self._left.wait(_LAST_ROUND):
            logger.warning("lease_round_unfinished")

    def end(self, delay: float) -> int:
        """Give back, unspent, every job that still runs under this worker's name, and the lease with them.

        Args:
            delay: seconds during which what cannot be stopped may still run.

        Returns:
            How many jobs were given back.
        """
        self.fall_silent()
        with self._transaction() as connection:
            held = leases.held_by(connection, self._incarnation.id)
            overrun = self._losses.overruns(held)
            ended = {outcome.job_id for outcome in overrun}
            rest = [(job.id, job.token) for job in held if job.id not in ended]
            if overrun:
                transitions.finish(connection, overrun)
            if rest:
                transitions.hand_back(connection, rest, self._incarnation.name, delay)
            leases.end(connection, self._incarnation.id)
        self._patience.stop()
        self._engine.dispose()
        return len(rest)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._connection() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _statement(self) -> Iterator[Connection]:
        """For one statement: what every worker asks again and again, idle or not."""
        with self._connection() as connection, at_once(connection):
            yield connection

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection, with which no child is forked: so it waits for no server that says nothing."""
        with self._calm, self._engine.connect() as connection, self._patience.limit(connection):
            yield connection

    def _run(self) -> None:
        while not self._leaving:
            if self._bell.wait(max(0.0, self._next_beat - time.monotonic())):
                self._bell.clear()
            self._beat()
            try:
                self._round()
            except SQLAlchemyError as error:
                self._rest_without_ledger(error)
            except Exception as error:  # noqa: BLE001 - without this thread every job here would be taken away
                logger.opt(exception=error).error("lease_round_failed")
                time.sleep(_PAUSE)
        self._left.ring()

    def _round(self) -> None:
        """Between two heartbeats only what was told is settled, however often the bell rings."""
        beat = time.monotonic() >= self._next_beat and not self._leaving
        if beat:
            self._renew()
            self._next_beat = time.monotonic() + self._settings.heartbeat
            self._beats += 1
        self._losses.settle()
        if beat and self._beats % _COMPARE_EVERY == 0:
            self._losses.compare()

    def _renew(self) -> None:
        with self._statement() as connection:
            leases.renew(
                connection,
                self._incarnation.id,
                name=self._incarnation.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._queues(),
            )
        if self._away:
            self._away = False
            logger.info("lease_with_ledger")

    def _rest_without_ledger(self, error: SQLAlchemyError) -> None:
        """Pause; an outage is logged when it begins, and when it is over."""
        if not self._away:
            self._away = True
            logger.warning("lease_without_ledger", error=type(error).__name__)
        time.sleep(_PAUSE)

    def _tell(self, job_id: UUID, news: News) -> None:
        self._losses.hear(job_id, news)
        self._bell.ring()
