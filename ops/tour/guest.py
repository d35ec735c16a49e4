"""A platform that is started for the tour, in a folder of its own, and stopped after it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.supervisor import Status, read_status

_PATIENCE = 120.0  # seconds until all processes run
_GOODBYE = 60.0  # seconds until all have ended


class NotUp(RuntimeError):  # noqa: N818 - reads as what it is
    """The platform did not come up; the text is the end of what it said."""


class Guest:
    """`jobyard up` as a child process."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = {**environ, "JOBYARD_HOME": str(home)}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops", "up"],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self._environ,
            start_new_session=True,  # Ctrl-C is ours to pass on, after the table
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it, and wait until nothing of it is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def ready(self) -> Status:
        """Wait until every process runs.

        Raises:
            NotUp: it ended, or took too long.
        """
        give_up_at = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up_at:
            record = read_status(self._home)
            if record and record.alive and _all_run(record.status):
                return record.status
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.05)
        self._output.seek(0)
        raise NotUp(self._output.read().decode(errors="replace")[-2000:])


def _all_run(status: Status) -> bool:
    running = all(process.state == "running" for process in status.processes)
    return running and Path(status.key_file).exists()
