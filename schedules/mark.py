"""The mark in the broker, which tells beats that it lost its data: all of it at once.

Beside the queues lies a mark with a random name, one for each life of the broker. Where it is gone, whatever
was published before is gone too, and is marked unpublished at once: there is nothing to wait for, and nothing
to suspect any job of.
"""

from uuid import uuid4

from loguru import logger

from schedules.metrics import Metrics
from worker.broker import Broker
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

    def look(self) -> None:
        """Mark everything unpublished where the broker lost its data; the ledger is asked only then.

        Raises:
            BrokerDown: nobody can tell.
        """
        if self._known is None or not self._broker.holds(self._known):
            self._known = self._renew()

    def _renew(self) -> str:
        with self._ledger.write() as connection:
            current = broker_mark.lock_current(connection)
            if current is not None and current != self._known and self._broker.holds(current):
                return current  # another beat was quicker
            new = uuid4().hex
            # First the mark, then the look at what was published. What is lost before the mark is there,
            # was committed before that look; what is lost afterwards takes the mark along.
            self._broker.leave(new)
            lost = 0 if current is None else messages.forget_all(connection)
            broker_mark.replace(connection, new)
        if current is not None:
            self._metrics.reconciled.labels("mark").inc(lost)
            logger.warning("broker_lost_its_data", jobs=lost)
        return new
