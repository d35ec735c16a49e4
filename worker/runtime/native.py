"""Native threads where greenlets would starve, or would stall every handler by blocking.

Under gevent a thread of `threading` is a greenlet. The heartbeat must not wait behind a handler, and
psycopg2 blocks the whole process; both need a thread of the operating system. On the other pools a thread
is native already.
"""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def under_gevent() -> bool:
    """Whether this process runs greenlets in the place of threads."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def start(target: Callable[[], None], name: str) -> None:
    """Run a function on a daemonic native thread."""
    if under_gevent():
        from gevent.threadpool import ThreadPool  # noqa: PLC0415 - only where gevent rules

        ThreadPool(1).spawn(target)
    else:
        threading.Thread(target=target, name=name, daemon=True).start()


def caller(threads: int = 1) -> Callable[[Callable[[], T]], T]:
    """A function that calls another one on native threads of its own and waits without blocking others."""
    if under_gevent():
        from gevent.threadpool import ThreadPool  # noqa: PLC0415 - as above

        return ThreadPool(threads).apply
    return lambda function: function()


class Bell:
    """An event that any thread may ring, whether native or a greenlet, and a native thread waits for.

    A pipe, because gevent replaces the locks that `threading.Event` is made of.
    """

    def __init__(self) -> None:
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)
        self._select = original("select", "select", select.select)

    def ring(self) -> None:
        """Wake the waiter, and every later one until the bell is cleared; never blocks."""
        with contextlib.suppress(BlockingIOError):  # it rang often enough to fill the pipe
            os.write(self._mouth, b"!")

    def clear(self) -> None:
        """Forget that it rang."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._ear, 4096):
                pass

    def wait(self, timeout: float) -> bool:
        """Wait for the bell; False where the time passed first."""
        return bool(self._select([self._ear], [], [], timeout)[0])


def original(module: str, name: str, otherwise: object) -> Any:
    """What gevent replaced, for code that runs on native threads."""
    if under_gevent():
        from gevent.monkey import get_original  # noqa: PLC0415 - as above

        return get_original(module, name)
    return otherwise
