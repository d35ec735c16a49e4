"""What one exchange may still spend: time, and bytes on the wire."""

import time
from collections.abc import Callable

from worker.contract import Fatal, Retryable

TICK = 1.0  # seconds between two checks while nothing arrives


class Budget:
    """The limits of one exchange, over all its redirects, look-ups, handshakes, headers and bodies.

    A time limit on each read would let a server that drips a byte a second go on for ever; so whatever
    waits asks here how long it may.
    """

    def __init__(self, seconds: float, wire_bytes: int, check: Callable[[], None]) -> None:
        """Start the clock; `check` is called whenever somebody asks for time."""
        self._seconds = seconds
        self._ends = time.monotonic() + seconds
        self._wire_bytes = wire_bytes
        self._check = check

    def time(self, at_most: float = TICK) -> float:
        """Seconds that the next wait may last.

        Raises:
            Retryable: the time is over.
        """
        self._check()
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Retryable(f"no complete answer within {self._seconds:.3g} s")
        return min(left, at_most)

    def spend(self, received: int) -> None:
        """Count bytes as they arrive, before anybody makes sense of them.

        Raises:
            Fatal: the server sends more than any acceptable answer has.
        """
        self._wire_bytes -= received
        if self._wire_bytes < 0:
            raise Fatal("the server sends more bytes than an answer of the permitted size can have")
