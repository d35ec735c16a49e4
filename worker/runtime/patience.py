"""A limit on how long a connection's user waits for a server that is there and says nothing.

A server that is frozen, or whose disk stands still, lets its kernel acknowledge what arrives: neither its
own statement timeout fires nor TCP's, and libpq has no limit for an answer. psycopg2's wait callback could
set one, but is the whole process's, adapters and all.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from loguru import logger
from sqlalchemy import Connection

from worker.runtime import native

_LOOK_EVERY = 0.5  # seconds


class Patience:
    """Hangs up, from a native thread, on who was waited for too long: that is an `OperationalError`."""

    def __init__(self, seconds: float) -> None:
        """Args: seconds: that a transaction may take."""
        self._seconds = seconds
        self._lines: dict[Any, float] = {}  # the end of each wait, by its socket
        self._enough = native.Bell()
        self._socket: Callable[..., Any] = native.original("socket", "socket", socket.socket)

    def start(self) -> None:
        """Begin to look."""
        native.start(self._run, "patience")

    def stop(self) -> None:
        """Look no more."""
        self._enough.ring()

    @contextlib.contextmanager
    def limit(self, connection: Connection) -> Iterator[None]:
        """Wait no longer than allowed for anything that happens over a connection inside."""
        driver: Any = connection.connection.dbapi_connection
        # A descriptor of our own: the connection's may be closed when we hang up, and its number another's.
        line = self._socket(fileno=os.dup(driver.fileno()))
        self._lines[line] = time.monotonic() + self._seconds
        try:
            yield
        finally:
            del self._lines[line]
            line.close()

    def _run(self) -> None:
        while not self._enough.wait(_LOOK_EVERY):
            for line, until in list(self._lines.items()):
                if time.monotonic() > until:
                    logger.warning("ledger_silent", seconds=self._seconds)
                    with contextlib.suppress(OSError):  # the wait just ended
                        line.shutdown(socket.SHUT_RDWR)
