"""Looks at something again and again, beside what is measured."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Look(msgspec.Struct, Generic[T], frozen=True):
    """What was seen, and when."""

    at: float  # seconds after the first look
    seen: T


@contextmanager
def looks(see: Callable[[], T], pause: float) -> Iterator[list[Look[T]]]:
    """What was seen so far, until the `with` block ends, and once more then.

    Args:
        see: one look.
        pause: seconds between two.
    """
    began, over = time.perf_counter(), threading.Event()
    found = [Look(0.0, see())]

    def go_on() -> None:
        while not over.wait(pause):
            found.append(Look(time.perf_counter() - began, see()))

    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(go_on)
        try:
            yield found
        finally:
            over.set()
        looking.result()  # or nobody would hear of what it could not see
    found.append(Look(time.perf_counter() - began, see()))


def growth(values: list[float]) -> float:
    """What the last quarter has more than the second one, in the median; the first is for warming up."""
    quarter = max(1, len(values) // 4)
    return _median(values[-quarter:]) - _median(values[quarter : 2 * quarter] or values)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
