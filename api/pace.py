"""How slowly a client may send its body: a limit to silence alone would let single bytes hold on for ever."""

import time
from collections.abc import Callable

from api.breath import breathe

GRACE = 30.0  # seconds of waiting before the pace counts
SLOWEST = 500.0  # bytes a second from then on, on the average


class Pace:
    """Stands in the place of what receives a request's bytes, and counts the time that this waits.

    What is here already is received without a wait, so others have their turn between two pieces: chunks of
    a byte each take seconds of work a megabyte, in which nobody else would be answered.

    Args:
        receive: returns some bytes, about as many as it is asked for.
        timer: tells seconds.
    """

    def __init__(
        self, receive: Callable[[int | None], bytes], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._receive = receive
        self._timer = timer
        self._waited = 0.0
        self._received = 0

    def __call__(self, size_hint: int | None = None) -> bytes:
        """Receive.

        Raises:
            TimeoutError: the client is too slow.
        """
        if self._received:
            breathe()
        began = self._timer()
        data = self._receive(size_hint)
        self._waited += self._timer() - began
        self._received += len(data)
        if self._waited > GRACE and self._received < SLOWEST * self._waited:
            raise TimeoutError(f"{self._received} bytes in {self._waited:.0f} s")
        return data
