"""Keeps the logs of the processes within bounds.

The processes write to their logs themselves, so that no line waits for the supervisor or dies with it. A
log that has grown is therefore copied and emptied in place, and not renamed: its writers append.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

LIMIT = 10 * 1024 * 1024  # bytes; one older log of that size is kept beside it


def bound(log: Path, limit: int = LIMIT) -> None:
    """Turn a log over once it has grown to the limit; a line written at that instant may be lost."""
    try:
        if log.stat().st_size < limit:
            return
    except FileNotFoundError:
        return
    older = log.with_name(log.name + ".1")
    with suppress(OSError):  # on a full disk, emptying the log is what helps
        shutil.copyfile(log, older)
    os.truncate(log, 0)
