"""Rescue: what a dead worker held goes back to the queue.

A worker counts as dead once its lease ran out. After a time without contact to the ledger nobody can tell
whether its workers were cut off too, so living ones get one full lease to renew before any is taken for
dead.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from loguru import logger

from schedules.metrics import Metrics
from worker.contract.states import FINAL
from worker.ledger import jobs, leases, transitions
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.settings import Settings


class Rescue:
    """The part that rescues.

    Args:
        ledger: where jobs and leases are.
        settings: their lease, heartbeat and cap of losses.
        metrics: counts what was rescued.
        clock: seconds that only grow.
    """

    name = "rescue"

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._lease = settings.lease
        self._loss_cap = settings.loss_cap
        self._metrics = metrics
        self._clock = clock
        # A shorter gap alone cannot make the last heartbeat of a living worker older than the lease.
        self._longest_gap = settings.lease - settings.heartbeat
        self._seen = float("-inf")
        self._seen_moment = datetime.min.replace(tzinfo=UTC)
        self._trusted_from = float("inf")
        self._searched = float("-inf")

    def run(self, todo: Agenda) -> bool:
        """Rescue, if the leases can be trusted and one ran out."""
        now = self._clock()
        self._see(now, todo.moment)
        if now < self._trusted_from or not self._suspicious(now, todo):
            return False
        with self._ledger.write() as connection:
            rescued = transitions.rescue(connection, self._lease, self._loss_cap)
            ended = {
                state: jobs.kinds_of(connection, [id_ for id_, new in rescued.items() if new is state])
                for state in FINAL
            }
            leases.forget_dead(connection, self._lease)
        self._searched = now
        for state, count in Counter(rescued.values()).items():
            logger.warning("rescued", jobs=count, state=state.value)
            self._metrics.rescued.labels(state.value).inc(count)
        for state, kinds in ended.items():
            self._metrics.finished(kinds, state)
        return bool(rescued)

    def _see(self, now: float, moment: datetime) -> None:
        # The ledger's clock counts too: where it leaps ahead, all heartbeats look old.
        leap = (moment - self._seen_moment).total_seconds()
        if max(now - self._seen, leap) > self._longest_gap:
            self._trusted_from = now + self._lease
        self._seen, self._seen_moment = now, moment

    def _suspicious(self, now: float, todo: Agenda) -> bool:
        """Whether a lease ran out; now and then also without, for a job whose worker has no lease at all."""
        lapsed = todo.moment - timedelta(seconds=self._lease)
        ran_out = todo.oldest_heartbeat is not None and todo.oldest_heartbeat < lapsed
        return ran_out or now - self._searched > self._lease
