"""One process under supervision: started, started again when it dies, and stopped."""

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread

import psutil
from loguru import logger

from ops.embedded.home import Home
from ops.embedded.program import Program, ServerError, kill_group, spawn
from ops.supervisor.status import ProcessState, ProcessStatus

Events = SimpleQueue[Callable[[], None]]  # what the supervisor's loop is to do next

_LOOK = 0.05  # seconds between two looks at a process that starts
_SLOW_LOOK = 0.5  # the same, once it has taken its time
_SLOW = 10.0  # seconds after which a start is slow
_FIRST_DELAY = 0.25  # seconds before the first restart; doubled for each further one
_LAST_DELAY = 30.0
_PROVEN = 10.0  # seconds of life after which a death counts as the first again


class Child:
    """A program and its process.

    One thread, the supervisor's, calls everything here. Another one per process only waits for its end.
    """

    def __init__(self, program: Program, home: Home, events: Events) -> None:
        self.program = program
        self.state = ProcessState.STARTING
        self.was_up = False  # whether it has been running since the platform started
        self.failures = 0  # deaths in a row, each soon after its start
        self.error: Exception | None = None  # why the last start failed
        self.exit_status: int | None = None  # of the last process
        self.wake = math.inf  # monotonic time of the next `tick` that has something to do
        self._home = home
        self._log = logger.bind(name=program.name)
        self._events = events
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0  # monotonic time of its start
        self._started = 0.0  # the same, as the system tells it
        self._signals = iter(program.stop_signals)
        self._killed = False
        self._limit = math.inf

    @property
    def up(self) -> bool:
        """Whether what comes after it may start."""
        return self.done if self.program.once else self.state is ProcessState.RUNNING

    @property
    def done(self) -> bool:
        """Whether it is a step that went well."""
        return self.program.once and self.state is ProcessState.STOPPED and self.exit_status == 0

    @property
    def status(self) -> ProcessStatus:
        """What the status file says of it."""
        return ProcessStatus(
            role=self.program.role,
            name=self.program.name,
            pid=self._process.pid if self._process else None,
            state=self.state,
            started=self._started if self._process else None,
            metrics_port=self.program.metrics_port,
        )

    def start(self) -> None:
        """Start the process; where that fails, try again later."""
        self.state, self.error = ProcessState.STARTING, None
        try:
            command = self.program.command()
            with self._home.open_log(self.program.name) as log:
                process = spawn(command, log)
        except (ServerError, OSError) as error:
            self.error, self._born = error, time.monotonic()
            self._log.bind(reason=str(error)).error("process cannot start")
            self._back_off()
            return
        self._process = process
        self._started = _started(process)
        self._log.bind(pid=process.pid).info("process started")
        self._born = time.monotonic()
        self.wake = self._born + _LOOK
        Thread(target=self._await_end, args=(process,), daemon=True).start()

    def tick(self) -> None:
        """Do what is due by now."""
        if time.monotonic() < self.wake:
            return
        if self.state is ProcessState.STARTING:
            self._look()
        elif self.state is ProcessState.BACKING_OFF:
            self.start()
        elif self.state is ProcessState.STOPPING:
            self._signal()

    def stop(self, limit: float) -> None:
        """Ask the process to end.

        Args:
            limit: seconds that each of its stop signals gets at most.
        """
        self._limit = limit
        if self._process is None:
            self.state, self.wake = ProcessState.STOPPED, math.inf
        else:
            self.state = ProcessState.STOPPING
            self._signal()

    def hurry(self, limit: float) -> None:
        """Shorten a stop that is under way."""
        self._limit = limit
        if self.state is ProcessState.STOPPING:
            self.wake = min(self.wake, time.monotonic() + limit)

    def _look(self) -> None:
        age = time.monotonic() - self._born
        try:
            ready = self.program.ready(age)
            if ready and self._process is not None:
                self.program.ensure_own(self._process.pid)
        except ServerError as error:
            self.error = error
            self._log.bind(reason=str(error)).error("process cannot work")
            self._kill()  # its end is what leads on
            return
        if ready:
            self.state, self.wake = ProcessState.RUNNING, math.inf
            self.was_up = True
        else:
            self.wake = time.monotonic() + (_LOOK if age < _SLOW else _SLOW_LOOK)

    def _signal(self) -> None:
        number, seconds = next(self._signals, (signal.SIGKILL, math.inf))
        if number is signal.SIGKILL:
            self._kill()
        elif self._process is not None:
            # To it alone: pools and masters see to their own children while they drain.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
            self.wake = time.monotonic() + min(seconds, self._limit)

    def _kill(self) -> None:
        self._killed, self.wake = True, math.inf
        if self._process is not None:
            kill_group(self._process)

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        # Where possible the process stays a zombie until the supervisor's thread has killed what is left
        # of its session: until then nobody else can get its id.
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS before Python 3.13
            process.wait()
        self._events.put(partial(self._ended, process))

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        kill_group(process)
        self.exit_status = process.wait()
        self._process = None
        if self._killed:
            self._killed = False
            self.program.clear()
        log = self._log.bind(pid=process.pid, exit_status=self.exit_status)
        if self.state is ProcessState.STOPPING or self.program.once:
            self.state, self.wake = ProcessState.STOPPED, math.inf
            log.info("process ended")
        else:
            log.warning("process died")
            self._back_off()

    def _back_off(self) -> None:
        now = time.monotonic()
        self.failures = 1 if now - self._born >= _PROVEN else self.failures + 1
        self.state = ProcessState.BACKING_OFF
        self.wake = now + min(_FIRST_DELAY * 2 ** (self.failures - 1), _LAST_DELAY)


def _started(process: subprocess.Popen[bytes]) -> float:
    try:
        return psutil.Process(process.pid).create_time()
    except psutil.Error:  # macOS, of what has ended by now
        return time.time()
