"""Reading in turns: when thousands want to read at once, only a few do, and some of them for many others."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Line(Generic[T]):
    """Those who want the same; `begun` counts the readings, `read` is what one brought, and which."""

    def __init__(self) -> None:
        self.waiting = 0
        self.begun = 0
        self.read: tuple[int, T] | None = None


class Turns:
    """So many turns at the same moment. The others stand in line here, and take nothing while they do.

    Args:
        count: how many read at once.
    """

    def __init__(self, count: int) -> None:
        self._turns = BoundedSemaphore(count)
        self._lines: dict[Hashable, _Line[Any]] = {}
        self._lock = Lock()

    def take(self, key: Hashable, read: Callable[[], T]) -> T:
        """What is read under a key, by the caller or by another whose reading began after this call did.

        So what happened before the call is never missed. Raises what reading raises.
        """
        with self._stand(key) as line:
            before = line.begun
            with self._turns:
                if line.read is not None and line.read[0] > before:
                    theirs: T = line.read[1]
                    return theirs
                line.begun += 1
                mine = line.begun
                found = read()
                line.read = (mine, found)
                return found

    @contextmanager
    def _stand(self, key: Hashable) -> Iterator[_Line[Any]]:
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            line.waiting += 1
        try:
            yield line
        finally:
            with self._lock:
                line.waiting -= 1
                if not line.waiting:
                    del self._lines[key]
