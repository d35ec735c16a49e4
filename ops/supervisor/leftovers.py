"""Roles that an earlier supervisor left running because it was killed."""

import os
import signal
from collections.abc import Mapping

import msgspec
import psutil

from ops.embedded.home import Home
from ops.embedded.leftovers import stop_processes
from ops.supervisor.roles import SERVERS
from ops.supervisor.status import ProcessStatus, read_status
from worker.settings import PREFIX

_GRACE = 10.0  # seconds to drain; what takes longer is a loss, and runs again
_CLOCK = 2.0  # seconds by which the told start of one process may differ: clocks are set


def stop_roles(home: Home) -> None:
    """Stop the roles that the status file tells of, and their children; the servers see to themselves.

    Call it with the lock held: it takes every recorded process for an orphan.
    """
    recorded = {
        process.pid: process
        for process in _recorded(home)
        if process.pid is not None and process.role not in SERVERS
    }
    found = [process for process in psutil.process_iter() if _is_ours(process, recorded, home)]
    stop_processes(found, ((signal.SIGTERM, _GRACE),))


def _recorded(home: Home) -> tuple[ProcessStatus, ...]:
    try:
        record = read_status(home.path)
    except msgspec.MsgspecError:  # another version's
        return ()
    return record.status.processes if record else ()


def _is_ours(found: psutil.Process, recorded: Mapping[int, ProcessStatus], home: Home) -> bool:
    """Whether it is a recorded process, or belongs to the session of one and to this HOME.

    The session of a dead leader may be another's by now, as its id may; HOME in the environment is not.
    """
    try:
        leader = recorded.get(os.getsid(found.pid))
        if leader is None or leader.started is None:
            return False
        if found.pid == leader.pid and abs(found.create_time() - leader.started) < _CLOCK:
            return True
        return found.environ().get(PREFIX + "HOME") == str(home.path)
    except (OSError, psutil.Error):
        return False
