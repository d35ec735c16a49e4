"""Checkpoints on their way to the ledger, at once and each for itself: what they note has happened.

They go past the combiner, so neither waits for the other. Of the ledger's connections they take some and
never all: hundreds of handlers in one process must not keep its claims and outcomes waiting.
"""

import time
from collections.abc import Callable
from threading import Semaphore

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from worker.ledger import transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import ClaimedJob
from worker.runtime import native
from worker.runtime.bookkeeping import is_outage

PATIENCE = 10.0  # seconds: a ledger that restarts meanwhile must not double the effect of an attempt

_PAUSE = 0.5  # seconds between two tries while the ledger is away


class Checkpoints:
    """Writes the checkpoints of one process.

    Args:
        ledger: of this process.
        turns: how many are written at the same time.
    """

    def __init__(self, ledger: Ledger, turns: int) -> None:
        self._ledger = ledger
        self._turns = Semaphore(turns)
        self._natively: Callable[[Callable[[], bool]], bool] = native.caller()

    def save(self, job: ClaimedJob, checkpoint: bytes, seconds: float) -> bool:
        """Write a checkpoint; False where the job was taken from this worker.

        Repeating it with the claim's token is harmless, so an uncertain commit is simply tried again.

        Args:
            job: held by this worker.
            checkpoint: JSON.
            seconds: how long it may take, `PATIENCE` at most.

        Raises:
            SQLAlchemyError: the ledger is away, or refuses it.
            TimeoutError: its turn did not come.
        """
        ends = time.monotonic() + min(seconds, PATIENCE)
        while True:
            try:
                return self._in_turn(job, checkpoint, ends - time.monotonic())
            except SQLAlchemyError as error:
                if not is_outage(error) or time.monotonic() + _PAUSE >= ends:
                    raise
                logger.warning("checkpoint_waits", error=type(error).__name__)
            time.sleep(_PAUSE)

    def _in_turn(self, job: ClaimedJob, checkpoint: bytes, seconds: float) -> bool:
        if not self._turns.acquire(timeout=max(0.0, seconds)):
            raise TimeoutError
        try:
            return self._natively(lambda: self._write(job, checkpoint))
        finally:
            self._turns.release()

    def _write(self, job: ClaimedJob, checkpoint: bytes) -> bool:
        with self._ledger.write() as connection:
            return transitions.save_checkpoint(connection, job.id, job.token, checkpoint)
