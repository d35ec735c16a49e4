"""How long a job waits between two attempts."""

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential growth with jitter, so that jobs that failed together do not return together.

    After attempt *n* the wait is `base * factor ** (n - 1)`, at most `cap`, of which the share `jitter`
    is random ("equal jitter" of Brooker, "Exponential Backoff And Jitter", AWS 2015).
    """

    base: float = 1.0  # seconds after the first attempt
    factor: float = 2.0
    cap: float = 3600.0  # seconds
    jitter: float = 0.5  # 0: none, 1: anything between nothing and the whole wait

    def __post_init__(self) -> None:
        """Refuse values from which no sensible wait follows."""
        if self.base < 0 or self.factor < 1 or self.cap < self.base or not 0 <= self.jitter <= 1:
            raise ValueError(f"{self}: needs base >= 0, factor >= 1, cap >= base and jitter between 0 and 1")

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait after the given 1-based attempt."""
        # The exponent is bounded: 2.0 ** 1024 overflows, and any wait reached the cap long before.
        whole = min(self.cap, self.base * self.factor ** min(attempt - 1, 64))
        return whole * (1 - self.jitter * rng.random())
