"""A pool child must not outlive its main process: its claim would be rescued while it still works."""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOOK_EVERY = 0.5  # seconds


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process with its parent; elsewhere than on Linux a thread watches.

    Args:
        parent: the id of the process that forked this one; it may be dead by now.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0 and os.getppid() == parent:
            return
    threading.Thread(target=_watch, args=(parent,), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)
