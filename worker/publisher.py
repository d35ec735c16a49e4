"""Publishing behind the answer: a request never waits for the broker.

One thread (a greenlet, under gevent) takes what was committed and publishes it in batches: while one batch
is on its way, the next one gathers. What cannot be published is marked unpublished, and what a crash cuts
off here, reconcile finds.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Sequence

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from worker.broker import Broker, BrokerDown
from worker.contract.queues import QUEUES
from worker.ledger import messages
from worker.ledger.engines import Ledger
from worker.ledger.records import Message

_LARGEST_BATCH = 500
_FRESH = 1.0  # seconds for which a look at the depths holds


class Publisher:
    """Keeps the broker shallow: says whether a queue has room, and publishes what was promised."""

    def __init__(self, broker: Broker, ledger: Ledger, depth: int) -> None:
        self._broker = broker
        self._ledger = ledger
        self._depth = depth
        self._room: dict[str, int] = {}
        self._looked_at = float("-inf")
        self._closing = False
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to publish, with a first look at the depths."""
        self._waiting.put(None)
        self._thread.start()

    def reserve(self, name: str) -> bool:
        """Whether a message of this queue may be published now; a yes is a promise to `publish` it.

        Never waits: a look that is out of date is renewed behind the answer.
        """
        self._keep_fresh()
        room = self._room.get(name, 0)
        if room > 0:
            self._room[name] = room - 1
        return room > 0

    def broker_up(self) -> bool:
        """Whether the broker answered the last look; as with `reserve`, the next one is behind the answer."""
        self._keep_fresh()
        return bool(self._room)

    def publish(self, message: Message) -> None:
        """Publish a committed job's message soon."""
        self._waiting.put(message)

    def close(self, timeout: float) -> None:
        """Publish what waits, then stop; waits `timeout` seconds at most."""
        self._closing = True
        self._waiting.put(None)
        self._thread.join(timeout)

    def _keep_fresh(self) -> None:
        if time.monotonic() - self._looked_at > _FRESH:
            self._looked_at = time.monotonic()
            self._waiting.put(None)

    def _run(self) -> None:
        while not (self._closing and self._waiting.empty()):
            batch, look = self._gather()
            try:
                if batch:
                    self._send(batch)
                if look and not self._closing:
                    self._look()
            except Exception as error:  # noqa: BLE001 - without this thread nothing is published any more
                logger.opt(exception=error).error("publisher_failed", messages=len(batch))
                self._room = {}
                self._take_back(batch)
        self._broker.close()

    def _gather(self) -> tuple[list[Message], bool]:
        taken = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(taken) < _LARGEST_BATCH:
                taken.append(self._waiting.get_nowait())
        batch = [message for message in taken if message is not None]
        return batch, len(batch) < len(taken)

    def _send(self, batch: Sequence[Message]) -> None:
        try:
            self._broker.publish(batch)
        except BrokerDown as error:
            self._room = {}
            logger.warning("publish_failed", messages=len(batch), error=str(error))
            self._take_back(batch)

    def _take_back(self, batch: Sequence[Message]) -> None:
        try:
            with self._ledger.write() as connection:
                messages.unpublish(connection, [message.job_id for message in batch])
        except SQLAlchemyError as error:
            logger.warning("unpublish_failed", messages=len(batch), error=type(error).__name__)

    def _look(self) -> None:
        try:
            depths = self._broker.depths(QUEUES)
        except BrokerDown as error:
            self._room = {}
            logger.warning("broker_down", error=str(error))
        else:
            self._room = {name: max(0, self._depth - depth) for name, depth in depths.items()}
