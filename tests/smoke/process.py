"""Nodes of pytest-celery that are processes of the operating system, where the plugin has containers."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from pytest_celery import CeleryTestContainer, CeleryTestWorker  # type: ignore[import-untyped]  # it has none

from ops.embedded.program import Command, spawn
from tests.awaiting import eventually

_START = 90.0  # seconds that a process may take to be ready, on a busy machine


class Process(CeleryTestContainer):  # type: ignore[misc]  # untyped, as above
    """One process with what the plugin's nodes ask of a container.

    Its log begins anew with each start: what an earlier life said must not look like the present.

    Args:
        name: of the node.
        command: prepares each start.
        log: where its output goes.
        is_ready: whether it does its work; given its log of this life.
        environment: how Celery reaches it, for a broker.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        log: Path,
        *,
        is_ready: Callable[[str], bool],
        celeryconfig: dict[str, str] | None = None,
    ) -> None:
        # Not the parent's constructor: it wants a container of Docker.
        self._name = name
        self._command = command
        self._log = log
        self._is_ready = is_ready
        self._celeryconfig = celeryconfig or {}
        self._said_before = 0  # bytes of the log from earlier lives
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def id(self) -> str:
        return self._name

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int:
        assert self.popen is not None, f"{self._name} was not started"
        return self.popen.pid

    @property
    def status(self) -> str:
        return "running" if self.popen is not None and self.popen.poll() is None else "exited"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return dict(self._celeryconfig)

    def start(self) -> None:
        if self.popen is not None:
            self.wait()
        self._said_before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab", buffering=0) as log:
            self.popen = spawn(self._command(), log)

    def reload(self) -> None:
        """Nothing is cached."""

    def ready(self) -> bool:
        eventually(self._ready_or_gone, _START)
        assert self.status == "running", f"{self._name} ended:\n{self.logs()}"
        return True

    def logs(self) -> str:
        with self._log.open("rb") as file:
            file.seek(self._said_before)
            return file.read().decode(errors="replace")

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal to the main process."""
        os.kill(self.pid, _number(signal or "SIGKILL"))

    def wait(self, timeout: float = 60.0) -> int:
        """The exit status, once it ended."""
        assert self.popen is not None, f"{self._name} was not started"
        return self.popen.wait(timeout)

    def restart(self, timeout: float = 60.0) -> None:
        if self.status == "running":
            self.kill("SIGTERM")
            self.wait(timeout)
        self.start()
        self.ready()

    def exec_run(self, command: str) -> tuple[int, bytes]:
        """Run a command as this process was run."""
        like = self._command()
        done = subprocess.run(
            shlex.split(command), env=dict(like.env), cwd=like.cwd, capture_output=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def teardown(self) -> None:
        """End it and what it started, without ceremony."""
        if self.popen is not None:
            if self.status == "running":
                os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait()

    def _ready_or_gone(self) -> bool:
        return self.status != "running" or self._is_ready(self.logs())


class WorkerNode(CeleryTestWorker):  # type: ignore[misc]  # untyped, as above
    """A worker; the plugin looks at its log once a second, which adds up."""

    container: Process

    def wait_for_log(self, log: str, message: str = "", timeout: int = 60) -> None:  # noqa: ARG002 - theirs
        eventually(lambda: log in self.logs(), timeout)

    def hostname(self) -> str:
        """As Celery's remote control names it."""
        return self.container.name

    def stopped(self, timeout: float = 60.0) -> int:
        """The exit status."""
        return self.container.wait(timeout)


def ended_within(process: psutil.Process, seconds: float) -> bool:
    """Whether a process that is not our child ends in time."""
    give_up_at = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def _number(name: str | int) -> int:
    return name if isinstance(name, int) else signal.Signals[name].value
