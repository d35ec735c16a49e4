"""Reconcile: what the broker lost is marked unpublished, so that dispatch publishes it again.

A published job that stays queued is in the broker, or in the hands of a worker, or lost. Where the mark in
the broker is gone, everything is. A beat that died while it published left word of what. Of a single message
three rules tell: its queue in the broker stays empty; messages that were published later were claimed long
ago; it has waited longer than anything should. None of these is certain, since workers fetch ahead, so every
further publication of a job doubles the wait before the next one, and a message too many finds nothing to
claim.
"""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from loguru import logger

from schedules.mark import Mark
from schedules.metrics import Metrics
from worker.broker import SILENCE, Broker
from worker.contract.queues import ISOLATION, QUEUES
from worker.ledger import dispatches, messages
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.settings import Settings

EVERY = 1.0  # seconds between two looks at the broker
SELDOM = 5.0  # seconds between two of the rules that ask the ledger alone
# After which a beat that began to send, and did not end, has died: one that waits for a silent broker is
# told so by then. What it left shall be on its way within 5 s all the same.
ABANDONED = timedelta(seconds=SILENCE + 0.5)


class Reconcile:
    """The part that reconciles.

    Args:
        ledger: where jobs are.
        broker: whose queues are looked at.
        settings: the ages that the rules go by.
        metrics: counts what was marked.
        clock: seconds that only grow.
    """

    name = "reconcile"

    def __init__(
        self,
        ledger: Ledger,
        broker: Broker,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._mark = Mark(ledger, broker, metrics)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._empty_since: dict[str, float] = {}
        self._next_look = self._next_thorough = float("-inf")

    def run(self, todo: Agenda) -> bool:
        """Apply the rules; there is never more to do at once."""
        if todo.oldest_dispatch is not None and todo.moment - todo.oldest_dispatch > ABANDONED:
            self._forget_abandoned()
        now = self._clock()
        if not todo.published:
            self._empty_since.clear()
        elif now >= self._next_look:
            self._next_look = now + EVERY
            self._look(now)
            if now >= self._next_thorough:
                self._next_thorough = now + SELDOM
                self._ask_ledger()
        return False

    def _forget_abandoned(self) -> None:
        with self._ledger.write() as connection:
            marked = dispatches.forget_abandoned(connection, ABANDONED.total_seconds())
        self._note("abandoned", marked)

    def _look(self, now: float) -> None:
        lanes = self._long_empty(now, self._depths())
        if lanes:
            with self._ledger.write() as connection:
                age = self._settings.reconcile_empty
                marked = messages.forget_lanes(connection, lanes, ISOLATION.name, age)
            self._note("empty", marked)

    def _depths(self) -> Mapping[str, int]:
        try:
            self._mark.look()
            return self._broker.depths(QUEUES)
        except Exception:
            self._empty_since.clear()  # nobody knows what it held meanwhile
            raise

    def _long_empty(self, now: float, depths: Mapping[str, int]) -> list[str]:
        empty = {lane for lane, depth in depths.items() if not depth}
        self._empty_since = {lane: self._empty_since.get(lane, now) for lane in empty}
        patience = self._settings.reconcile_empty
        return [lane for lane, since in self._empty_since.items() if now - since >= patience]

    def _ask_ledger(self) -> None:
        with self._ledger.write() as connection:
            marked = messages.forget_overtaken(connection, self._settings.reconcile_overtaken, SELDOM)
        self._note("overtaken", marked)
        with self._ledger.write() as connection:
            marked = messages.forget_stale(connection, self._settings.reconcile_stale)
        self._note("stale", marked)

    def _note(self, rule: str, marked: int) -> None:
        self._metrics.reconciled.labels(rule).inc(marked)
        if marked:
            logger.info("reconciled", rule=rule, jobs=marked)
