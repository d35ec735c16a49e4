"""Ctrl-C before a command has begun to work."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

STATUS = 128 + signal.SIGINT  # what a shell makes of a program that Ctrl-C ended


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End at once, with nothing to clear away: an import may swallow an exception, or tell it at length."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
