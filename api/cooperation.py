"""What gevent's monkey patching does not reach: psycopg2, and the disk.

Under gevent a request is a greenlet, and whatever blocks the process without gevent knowing it stops all
of them.
"""

from collections.abc import Callable
from typing import Any

import gevent
import psycopg2
from gevent import monkey
from psycogreen.gevent import gevent_wait_callback
from psycopg2 import extensions

from api import breath


def is_on() -> bool:
    """Whether this process runs under gevent."""
    return bool(monkey.is_module_patched("socket"))


def teach_psycopg2(connecting: float, answering: float) -> None:
    """Let psycopg2 wait cooperatively; COPY does not work from then on (psycopg documentation, "coroutines").

    libpq's own time limits do not hold in this mode.

    Args:
        connecting: seconds of silence after which the server of a new connection counts as gone.
        answering: the same, of an open one.
    """

    def wait(connection: Any) -> None:
        patience = connecting if connection.status == extensions.STATUS_SETUP else answering
        try:
            gevent_wait_callback(connection, timeout=patience)
        except TimeoutError:
            raise psycopg2.OperationalError(f"the server was silent for {patience} s") from None

    extensions.set_wait_callback(wait)


def breathe() -> None:
    """Let the other requests of the process have a turn, in the middle of a long computation."""
    if is_on():
        breath.breathe()


def apart(function: Callable[..., Any], *words: Any) -> Any:
    """Call what may block for a second without gevent knowing it; under gevent, on another thread."""
    return gevent.get_hub().threadpool.apply(function, words) if is_on() else function(*words)
