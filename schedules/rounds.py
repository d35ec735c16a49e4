"""Rounds: the parts of a beat, one after the other, again and again.

A part that fails is left alone for a moment and does not stop the others. What needs the broker is a round
of its own, beside the first, so that a broker that does not answer keeps no schedule waiting.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from schedules.metrics import Metrics
from schedules.outage import Outage
from worker.ledger import agenda
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger

_SOON = 0.05  # seconds between two rounds while jobs end from whose end something follows
_WHILE = 2.0  # seconds for which that counts as going on


class Part(Protocol):
    """Something that a beat does."""

    @property
    def name(self) -> str:
        """What log and metrics call it."""

    def run(self, todo: Agenda) -> bool:
        """Do what is due; True where there is more to do at once."""


class Round:
    """Some parts, run in turn.

    Args:
        name: what metrics call it.
        parts: what to run, in this order.
        ledger: where the agenda is.
        tick: seconds between two rounds when nothing is left to do; shorter while followed jobs end, for the
            rest of a batch, or the next job of a chain, is near.
        metrics: counts failures and times rounds.
    """

    def __init__(
        self, name: str, parts: Sequence[Part], ledger: Ledger, tick: float, metrics: Metrics
    ) -> None:
        self._name = name
        self._parts = [(part, Outage(part.name)) for part in parts]
        self._ledger = ledger
        self._outage = Outage(f"ledger ({name} round)")
        self._tick = tick
        self._lively_until = float("-inf")
        self._metrics = metrics

    def run(self) -> float:
        """One round; returns the seconds until the next one. Never raises."""
        with self._metrics.seconds.labels(self._name).time():
            try:
                with self._metrics.agenda.time(), self._ledger.write_at_once() as connection:
                    todo = agenda.read(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
                self._metrics.failures.labels("ledger").inc()
                return self._outage.failed(error)
            self._outage.over()
            more = [self._run(part, outage, todo) for part, outage in self._parts]
        self._metrics.last.labels(self._name).set_to_current_time()
        return 0.0 if any(more) else self._rest(todo)

    def _rest(self, todo: Agenda) -> float:
        now = time.monotonic()
        if todo.ended:
            self._lively_until = now + _WHILE
        return min(self._tick, _SOON) if now < self._lively_until else self._tick

    def _run(self, part: Part, outage: Outage, todo: Agenda) -> bool:
        if outage.resting:
            return False
        try:
            more = part.run(todo)
        except Exception as error:  # noqa: BLE001 - as above
            self._metrics.failures.labels(part.name).inc()
            outage.failed(error)
            return False
        outage.over()
        return more


class SideRound:
    """A round on a thread of its own, which goes on while a round that looks says that there is work.

    Args:
        repeated: the round.
        end: called on that thread at the end.
    """

    name = "side round"

    def __init__(self, repeated: Round, end: Callable[[], None]) -> None:
        self._round = repeated
        self._end = end
        self._woken = threading.Event()
        self._stopping = False
        # A daemon, because a broker that does not answer must not hold up the end of the process.
        self._thread = threading.Thread(target=self._repeat, name=self.name, daemon=True)

    def run(self, todo: Agenda) -> bool:
        """As a part of the round that looks: wake the thread where a message may have to be published."""
        if todo.publishable or todo.published:
            self._woken.set()
        return False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the round that is under way; waits `timeout` seconds at most."""
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout)

    def _repeat(self) -> None:
        while not self._stopping:
            if self._round.run() > 0:
                self._woken.wait()
                self._woken.clear()
        self._end()
