"""The mark in the broker, which tells beats that it lost its data: all of it at once.

Beside the queues lies a mark with a random name, one for each life of the broker. Where it is gone, whatever
was published before is gone too, and is marked unpublished at once: there is nothing to wait for, and nothing
to suspect any job of.
"""

import contextlib
from uuid import uuid4

from loguru import logger
from sqlalchemy import Connection

from schedules.metrics import Metrics
from worker.broker import Broker, BrokerDown
from worker.ledger import broker_mark, messages
from worker.ledger.engines import Ledger


class Mark:
    """Looks for the mark; any number of beats do.

    Args:
        ledger: which remembers the mark.
        broker: where it is.
        metrics: counts what was lost with it.
    """

    def __init__(self, ledger: Ledger, broker: Broker, metrics: Metrics) -> None:
        self._ledger = ledger
        self._broker = broker
        self._metrics = metrics
        self._known: str | None = None
        self._next = uuid4().hex  # the same until it is remembered: what fails leaves one mark, however often

    def look(self) -> None:
        """Mark everything unpublished where the broker lost its data; the ledger is asked only then.

        Raises:
            BrokerDown: nobody can tell.
        """
        if self._known is None or not self._broker.holds(self._known):
            self._known = self._renew()

    def _renew(self) -> str:
        lost = None
        with self._ledger.write() as connection:
            current = broker_mark.lock_current(connection)
            if current is not None and current != self._known and self._broker.holds(current):
                mark = current  # another beat was quicker
            else:
                mark, lost = self._next, self._replace(connection, current)
        if current is not None and lost is not None:
            self._metrics.reconciled.labels("mark").inc(lost)
            logger.warning("broker_lost_its_data", jobs=lost)
        self._remove({current, self._known, self._next} - {mark})
        self._next = uuid4().hex
        return mark

    def _replace(self, connection: Connection, current: str | None) -> int:
        # First the mark, then the look at what was published. What is lost before the mark is there,
        # was committed before that look; what is lost afterwards takes the mark along.
        self._broker.leave(self._next)
        lost = 0 if current is None else messages.forget_all(connection)
        broker_mark.replace(connection, self._next)
        return lost

    def _remove(self, marks: set[str | None]) -> None:
        """Nobody will ask for these again."""
        with contextlib.suppress(BrokerDown):
            for mark in filter(None, marks):
                self._broker.remove(mark)
