"""A whole process, in a session of its own, with a log, and ended by who started it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ops.bench.course import Invalid
from ops.embedded.servers import tail

_LOOK = 0.05  # seconds between two looks
_START = 120.0  # seconds that a process gets until it does its work
_STOP = 60.0  # seconds that it gets to leave
_TOLD = 600  # characters of a log that a reason quotes


class Process:
    """A whole process, with all that it starts.

    Args:
        popen: the leader of a session of its own.
        log: what it says.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.popen = popen
        self._log = log

    @classmethod
    def start(cls, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> "Process":
        """Start it in a session of its own, with a log to append to."""
        with log.open("ab") as out:
            popen = subprocess.Popen(argv, env=environ, stdout=out, stderr=out, start_new_session=True)
        return cls(popen, log)

    @property
    def pid(self) -> int:
        """Of the leader."""
        return self.popen.pid

    def require_alive(self) -> None:
        """Go on only while it lives.

        Raises:
            Invalid: it ended; the message quotes its last words.
        """
        if self.popen.poll() is not None:
            raise Invalid(f"{self._log.stem} ended with {self.popen.returncode}: {tail(self._log)[-_TOLD:]}")

    def wait(self, done: Callable[[], bool], seconds: float = _START, look: float = _LOOK) -> None:
        """Wait until something is done.

        Raises:
            Invalid: the process ended, or it takes longer.
        """
        give_up_at = time.monotonic() + seconds
        while not done():
            self.require_alive()
            if time.monotonic() > give_up_at:
                raise Invalid(f"{self._log.stem} was not done after {seconds:g} s")
            time.sleep(look)

    def finish(self, seconds: float) -> None:
        """Wait until it ends by itself.

        Raises:
            Invalid: it fails, or takes longer.
        """
        try:
            failed = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Invalid(f"{self._log.stem} did not end within {seconds:g} s") from None
        if failed:
            self.require_alive()

    def said(self, words: str) -> bool:
        """Whether its log holds these words."""
        return words.encode() in self._log.read_bytes()

    def stop(self) -> None:
        """Ask it to end, and leave nothing of its session behind."""
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_STOP)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()
