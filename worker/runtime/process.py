"""The parts of a worker, process by process: the main one, and the ones that run handlers.

Engines and threads are made after the fork, in the process that uses them.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
from celery.worker import state as celery_state

from worker.broker import Broker
from worker.catalog import Catalog
from worker.contract.queues import QUEUES
from worker.ledger.engines import Ledger
from worker.message import jobs_in
from worker.notices import Notices
from worker.pulse import Pulse
from worker.runtime import forking, native, orphans
from worker.runtime.attendant import Attendant
from worker.runtime.bookkeeping import Bookkeeper, LedgerLine
from worker.runtime.checkpoints import Checkpoints
from worker.runtime.combiner import Combiner
from worker.runtime.lease import LeaseKeeper
from worker.runtime.metrics import Metrics
from worker.runtime.runner import Incarnation, Runner
from worker.runtime.shutdown import Stopper
from worker.runtime.watchdog import Watchdog
from worker.settings import Settings
from worker.storage import Storage
from worker.stores import storage_of


class Resources(msgspec.Struct, frozen=True):
    """What an adapter may be made of."""

    settings: Settings
    ledger: Ledger
    storage: Storage


_STALLED = os.EX_TEMPFAIL  # the exit status: try again, says sysexits.h

Adapters = Mapping[type, Callable[[Resources], Any]]


class Worker:
    """One worker: what its main process keeps, and how a process becomes one that runs handlers."""

    def __init__(
        self, settings: Settings, catalog: Catalog, adapters: Adapters, metrics: Metrics, pulse: Pulse
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._adapters = adapters
        self._metrics = metrics
        self._pulse = pulse
        self._main_pid = 0
        self._incarnation: Incarnation | None = None
        self._forked = True
        self._runner: Runner | None = None
        self._told_to_stop = native.Bell()  # heard in the children too, for it is a pipe
        self.lease: LeaseKeeper | None = None
        self.stopper: Stopper | None = None
        self.watchdog: Watchdog | None = None
        self.ready = False  # it takes messages

    @property
    def runner(self) -> Runner:
        """The runner of this process."""
        if self._runner is None:
            raise RuntimeError("no handler runs in this process")
        return self._runner

    def begin(
        self,
        name: str,
        queues: Callable[[], Collection[str]],
        *,
        forked: bool,
        hungry: Callable[[], Collection[str]],
    ) -> None:
        """Become the main process: take the lease.

        Args:
            name: of the worker.
            queues: that it consumes now; an operator may change them.
            forked: handlers run in children; otherwise here.
            hungry: the queues of which a message could be taken now.
        """
        self._main_pid = os.getpid()
        self._incarnation = Incarnation(uuid4(), name)
        self._forked = forked
        self._metrics.expect(queues())
        self.lease = LeaseKeeper(
            self._settings,
            self._incarnation,
            queues,
            catalog=self._catalog,
            metrics=self._metrics,
            known=self._in_hand,
            forks=forked,
            beat=self._pulse.beat,
        )
        self.stopper = Stopper(
            grace=max(QUEUES[queue].grace for queue in queues()),
            lease=self.lease,
            unclaimed=self._unclaimed,
            hopeless=self._hopeless,
            forked=forked,
        )
        self.watchdog = Watchdog(
            patience=self._settings.stall,
            hungry=hungry,
            depths=self._depths(),
            claimable=self.lease.claimable,
            stalled=self._give_up,
        )
        self.lease.take()
        if not forked:
            self._runner = self._make_runner(alone=False)

    def keep(self) -> None:
        """Keep the lease from now on, and be ready to stop."""
        if self.lease is not None and self.stopper is not None and self.watchdog is not None:
            self.lease.start()
            self.stopper.start()
            self.watchdog.start()
            self.ready = True

    def begin_child(self) -> None:
        """Become a process of the pool."""
        orphans.die_with_parent(self._main_pid)
        if self.lease is not None:
            self.lease.disown()
        self._runner = self._make_runner(alone=True)

    def cancel(self, job_id: UUID, actor: str) -> None:
        """Cancel a job, wherever it is; never blocks."""
        if self.lease is not None:
            self.lease.cancel(job_id, actor)

    def hear(self) -> None:
        """Note that a message reached this worker."""
        if self.watchdog is not None:
            self.watchdog.heard()

    def stop(self, exit_status: int = 0) -> None:
        """Claim nothing more; callable from a signal handler."""
        self.ready = False
        self._told_to_stop.ring()
        if self.watchdog is not None:
            self.watchdog.stop()
        if self._runner is not None:
            self._runner.stopping = True
        if self.stopper is not None:
            self.stopper.begin(exit_status)

    def end(self) -> None:
        """The pool is empty: leave nothing held."""
        if self.stopper is not None:
            self.stopper.finish()

    def _give_up(self) -> None:
        """Stop as ever, but with a status that says that something was wrong."""
        self.stop(_STALLED)
        # What SIGTERM sets; a loop that hangs is cut off by the stopper.
        celery_state.should_stop = _STALLED  # type: ignore[assignment]  # None at first

    def _depths(self) -> Callable[[Collection[str]], Mapping[str, int]]:
        """Asks the broker, over a connection that belongs to the watchdog's thread."""
        assert self._settings.broker_url is not None  # noqa: S101 - the app was made with it
        broker = Broker(self._settings.broker_url)
        calm = forking.exclusion("watchdog") if self._forked else contextlib.nullcontext()

        def depths(lanes: Collection[str]) -> Mapping[str, int]:
            with calm:
                return broker.depths(lanes)

        return depths

    def _make_runner(self, *, alone: bool) -> Runner:
        assert self._incarnation is not None  # noqa: S101 - begin() came first
        ledger = self._open_ledger()
        connections = self._settings.database_pool_size + self._settings.database_pool_overflow
        storage = storage_of(self._settings)
        resources = Resources(self._settings, ledger, storage)
        name = self._incarnation.name
        line = LedgerLine(
            ledger,
            self._notices(),
            name,
            give_up=lambda: self.runner.stopping,
            written=self._metrics.written,
        )
        bookkeeper: Bookkeeper = line if alone else Combiner(line)
        return Runner(
            incarnation=self._incarnation,
            alone=alone,
            catalog=self._catalog,
            ports={port: make(resources) for port, make in self._adapters.items()},
            ledger=ledger,
            storage=storage,
            checkpoints=Checkpoints(ledger, turns=max(1, connections // 2)),
            bookkeeper=bookkeeper,
            attendant=Attendant(ledger, alone=alone, worker=name),
            metrics=self._metrics,
            told_to_stop=lambda: self._told_to_stop.wait(0.0),
        )

    def _open_ledger(self) -> Ledger:
        ledger = Ledger.open(self._settings, "worker")
        if not native.under_gevent():  # a gauge has one lock, which native threads and greenlets cannot share
            self._metrics.connections.watch(ledger, self._settings)
        return ledger

    def _notices(self) -> Notices:
        assert self._settings.broker_url is not None  # noqa: S101 - the app was made with it
        return Notices(self._settings.broker_url)

    def _hopeless(self) -> bool:
        if self._runner is None:
            return False
        # Before the ledger knows, an overrun would be given back unspent.
        overrun = {attempt.job.id for attempt in self._runner.attendant.running() if attempt.marked}
        return bool(overrun) and self._runner.in_hand() <= overrun  # an outcome under way is in hand too

    def _in_hand(self) -> set[UUID]:
        """The jobs that this worker runs, or whose messages it holds."""
        if self._runner is not None:
            return self._runner.in_hand()
        return _jobs_of(_reserved() | _active())

    def _unclaimed(self) -> set[UUID]:
        """The jobs whose messages were received and came to nothing."""
        turned_away = self._runner.turned_away if self._runner else ()
        return (_jobs_of(_reserved()) - _jobs_of(_active())) | set(turned_away)


def _reserved() -> set[Any]:
    """What Celery holds of the messages in hand."""
    return set(celery_state.requests.values())


def _active() -> set[Any]:
    """Of these, what the pool accepted."""
    while True:
        # Celery's thread adds to the set while this one looks; it knows no lock.
        with contextlib.suppress(RuntimeError):
            return set(celery_state.active_requests)


def _jobs_of(requests: Collection[Any]) -> set[UUID]:
    return {job.id for request in requests for job in jobs_in(request.request_dict)}
