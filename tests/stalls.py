"""How long a machine held everybody up: what a test must not blame on the code whose time it takes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_STEP = 0.01  # seconds


class Stalls:
    """What a thread that wants nothing but to wake up every moment was kept from.

    Attributes:
        total: seconds.
        longest: seconds of the longest one.
    """

    def __init__(self) -> None:
        self.total = self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def _watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._over.wait(_STEP)
            late = max(0.0, time.monotonic() - began - _STEP)
            self.total += late
            self.longest = max(self.longest, late)


@contextmanager
def stalls() -> Iterator[Stalls]:
    """Watch the machine for as long as a `with` block."""
    watching = Stalls()
    watching._thread.start()
    try:
        yield watching
    finally:
        watching._over.set()
        watching._thread.join()
