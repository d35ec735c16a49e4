"""The watchdog of a worker that became deaf: messages wait, it could take one, and none reaches it.

What a connection does that died without a word, or a consumer's loop that hangs, no heartbeat shows: the
lease is renewed, and a queue stands still. So the watchdog looks at what reaches the worker. Nothing else may
look like deafness to it:

- a message whose job is not to be had (doubled, expired, of a paused queue) is heard like any other;
- where another worker is quicker, the queue is empty at one look or another;
- a busy worker has no slot free, and one that an operator told to consume no longer has no queue;
- while the broker or the ledger is away nobody can tell, and the time begins anew.
"""

import time
from collections.abc import Callable, Collection, Mapping

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from worker.broker import BrokerDown
from worker.runtime import native

_LOOKS = 6  # in the time after which a worker counts as deaf; each must show that messages wait

Lanes = Collection[str]


class Watchdog:
    """Looks now and then, on a native thread; `heard` and `stop` never block."""

    def __init__(
        self,
        *,
        patience: float,
        hungry: Callable[[], Lanes],
        depths: Callable[[Lanes], Mapping[str, int]],
        claimable: Callable[[Lanes], bool],
        stalled: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a watchdog.

        Args:
            patience: seconds of silence, while messages wait, after which the worker counts as deaf.
            hungry: the broker's queues of which this worker could take a message now.
            depths: how many messages each holds; raises `BrokerDown`.
            claimable: whether the ledger knows a job that such a message may stand for.
            stalled: ends the worker.
            clock: seconds that only grow.
        """
        self._patience = patience
        self._hungry = hungry
        self._depths = depths
        self._claimable = claimable
        self._stalled = stalled
        self._clock = clock
        self._bell = native.Bell()
        self._heard = self._waiting_since = clock()

    def start(self) -> None:
        """Begin to look."""
        self._heard = self._waiting_since = self._clock()
        native.start(self._run, "watchdog")

    def heard(self) -> None:
        """A message reached the worker."""
        self._heard = self._clock()

    def stop(self) -> None:
        """Look no more: the worker stops, and takes no messages; callable from a signal handler."""
        self._bell.ring()

    def look(self) -> bool:
        """Whether the worker is deaf."""
        lanes = self._hungry()
        if not lanes or not self._waits(lanes):
            self._waiting_since = self._clock()
            return False
        silence = self._clock() - max(self._heard, self._waiting_since)
        return silence >= self._patience and self._claimable(lanes)

    def _waits(self, lanes: Lanes) -> bool:
        """Whether messages wait; a worker that heard one since the last look need not ask."""
        if self._clock() - self._heard < self._patience / _LOOKS:
            return False
        try:
            return any(self._depths(lanes).values())
        except BrokerDown:
            return False

    def _run(self) -> None:
        while not self._bell.wait(self._patience / _LOOKS):
            try:
                if self.look():
                    logger.error("stalled", seconds=self._patience)
                    return self._stalled()
            except SQLAlchemyError as error:
                logger.warning("watchdog_without_ledger", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may do
                logger.opt(exception=error).error("watchdog_failed")
        return None
