"""What the supervisor says about its platform: one file in HOME that its owner alone can read."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from ops.embedded.home import Home
from ops.embedded.lock import holder_of
from ops.files import write_private


class ProcessState(StrEnum):
    """Where a process stands."""

    STARTING = "starting"  # waits for its turn, or has not shown yet that it works
    RUNNING = "running"
    BACKING_OFF = "backing-off"  # died, and will be started again
    STOPPING = "stopping"  # was asked to end
    STOPPED = "stopped"


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process; a worker's role is `worker`, and its name tells its queue."""

    role: str
    name: str
    pid: int | None  # unset: there is no process at the moment
    state: ProcessState
    started: float | None  # seconds since the epoch; with the pid it identifies the process
    metrics_port: int | None  # unset: it has no metrics of its own


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform is reached; URLs carry their credentials."""

    api: str
    flower: str
    database: str
    broker: str
    smtp: str | None = None  # unset in what an older version wrote
    sources: dict[str, str] = {}  # databases of data sources, by name


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole platform."""

    pid: int  # of the supervisor
    urls: Addresses
    key_file: str
    processes: tuple[ProcessStatus, ...]


@dataclass(frozen=True)
class Record:
    """A status file that was found."""

    status: Status
    alive: bool  # whether the supervisor that wrote it still lives


def write_status(home: Home, status: Status) -> None:
    """Replace the status file."""
    text = msgspec.json.format(msgspec.json.encode(status))
    write_private(home.status, text.decode() + "\n")


def read_status(home: Path) -> Record | None:
    """What the last supervisor of a HOME said; none where it ended in good order.

    That it lives is read off the lock that it holds, and so never mistaken for a re-used process id, nor for
    the next supervisor that has not spoken yet.

    Raises:
        msgspec.MsgspecError: the file was written by something else.
        PermissionError: it belongs to somebody else.
    """
    found = Home(home)
    try:
        text = found.status.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    status = msgspec.json.decode(text, type=Status)
    return Record(status, alive=holder_of(found.lock) == status.pid)
