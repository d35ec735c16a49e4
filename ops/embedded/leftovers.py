"""Processes that an earlier platform left running because it was killed."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from ops.embedded.program import StopSignals

_LAST_WAIT = 5.0  # seconds for the kernel to end what was killed
_PAUSE = 0.02  # seconds between two looks at those that end


def stop_servers(name: str, mark: str, signals: StopSignals) -> None:
    """Stop every process of that name whose command line carries the mark.

    The mark is made from the data folder, so that a re-used process id, or another platform's server, is
    never taken for ours. (The working folder would tell as much, but in a container root may not read it.)

    Args:
        name: of the executable.
        mark: what no other server's command line carries.
        signals: as for `stop_processes`.
    """
    stop_processes(
        [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if process.info["name"] == name and mark in " ".join(process.info["cmdline"] or ())
        ],
        signals,
    )


def stop_processes(processes: Sequence[psutil.Process], signals: StopSignals) -> None:
    """Stop processes that are not our children, and wait until they have ended.

    A signal goes to those whose parent is not among them: a living postmaster, or the main process of a
    pool, ends its own children in good order.

    Args:
        processes: all of them.
        signals: sent in turn, each with its seconds; SIGKILL to everything left follows.
    """
    left = _living(processes)
    for number, seconds in signals:
        _send(_leaders(left), number)
        left = _await_end(left, seconds)
    _send(left, signal.SIGKILL)
    _await_end(left, _LAST_WAIT)


def _leaders(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    ids = {process.pid for process in processes}
    return [process for process in processes if _parent(process) not in ids]


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _await_end(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after that time."""
    until = time.monotonic() + seconds
    while (left := _living(processes)) and time.monotonic() < until:
        time.sleep(_PAUSE)
    return left


def _living(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if lives(process)]


def lives(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has, and may stay one for ever where nobody reaps orphans."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
