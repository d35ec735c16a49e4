"""What can be started and watched: a server, or any other process of the platform."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

StopSignals = tuple[tuple[signal.Signals, float], ...]


class ServerError(RuntimeError):
    """A server cannot run here; the message says why and, where it helps, what to set."""


@dataclass(frozen=True)
class Command:
    """How to start a process."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None = None  # the caller's where not given
    popen: Mapping[str, Any] = field(default_factory=dict)  # whom the child becomes


class Program(Protocol):
    """A process that somebody starts, waits for, and stops again."""

    @property
    def name(self) -> str:
        """Unique in the platform; the name of its log too."""

    @property
    def role(self) -> str:
        """What it does for the platform."""

    @property
    def once(self) -> bool:
        """Whether it is a step that ends by itself, rather than a process that stays."""

    @property
    def metrics_port(self) -> int | None:
        """Where it answers Prometheus, if it does."""

    @property
    def stop_signals(self) -> StopSignals:
        """What asks it to end, in turn, each with the seconds that it then gets; SIGKILL comes last."""

    def command(self) -> Command:
        """Prepare a start.

        Raises:
            ServerError: it cannot start.
        """

    def ready(self, age: float) -> bool:
        """Whether it does its work by now.

        Args:
            age: seconds since it was started.

        Raises:
            ServerError: it never will.
        """

    def ensure_own(self, pid: int) -> None:
        """Make sure that what answers is that process, or a child of its.

        Raises:
            ServerError: it is another program.
        """

    def clear(self) -> None:
        """End what an earlier run that was killed has left behind."""


def spawn(command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a Ctrl-C in our terminal does not reach it.

    Its output goes straight to the log, not through us: it goes on when we die.
    """
    return subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **command.popen,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and the children that stayed in its session."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], signals: StopSignals) -> bool:
    """Ask a process to end and wait for it; kill it where nothing helps.

    Returns:
        Whether it ended without being killed.
    """
    for number, seconds in signals:
        process.send_signal(number)  # does nothing where it has ended
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return True
    kill_group(process)
    process.wait()
    return False
