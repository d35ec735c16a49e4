"""Outages: what beat needs is away, or fails, for a while."""

import time
from collections.abc import Callable

from loguru import logger
from sqlalchemy.exc import OperationalError

from worker.broker import BrokerDown

SHORTEST, LONGEST = 0.25, 2.0  # seconds between two tries


class Outage:
    """Whether something fails at present: said once when it begins and once when it is over.

    Args:
        part: what may fail, as the log names it.
        clock: seconds that only grow.
    """

    def __init__(self, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._clock = clock
        self._began: float | None = None
        self._wait = SHORTEST
        self._retry_at = float("-inf")

    @property
    def resting(self) -> bool:
        """Whether it is too early to try again."""
        return self._clock() < self._retry_at

    def failed(self, error: Exception) -> float:
        """Note a failure; returns the seconds to wait before the next try."""
        if self._began is None:
            self._began, self._wait = self._clock(), SHORTEST
            _report(self._part, error)
        else:
            self._wait = min(2 * self._wait, LONGEST)
        self._retry_at = self._clock() + self._wait
        return self._wait

    def over(self) -> None:
        """Note that it works."""
        if self._began is not None:
            logger.info("recovered", part=self._part, seconds=round(self._clock() - self._began, 1))
            self._began = None


def _report(part: str, error: Exception) -> None:
    match error:
        case OperationalError():
            logger.warning("failing", part=part, error=str(error.orig).partition("\n")[0])
        case BrokerDown():
            logger.warning("failing", part=part, error=f"the broker is away: {error}")
        case _:  # nothing that comes and goes: a defect, which somebody must look at
            logger.opt(exception=error).error("failing", part=part, error=type(error).__name__)
