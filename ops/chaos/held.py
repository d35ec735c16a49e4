"""What a run holds in its hand: servers that it strikes down, and processes that come back when they die."""

import shutil
import signal
import subprocess
import threading
import time

from ops.chaos.history import Died
from ops.embedded.home import Home
from ops.embedded.program import Command, ServerError, kill_group, spawn, stop
from ops.embedded.server import Server
from ops.embedded.servers import tail

_LOOK = 0.05  # seconds between two looks at a server that starts
_START = 60.0  # seconds that a server gets, recovery included
_PAUSE = 0.5  # seconds before what died is started again, as a service manager would


class HeldServer:
    """An embedded server as a child of ours, which can be struck down and started again at the same URL."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its main process, also once that died."""
        if self._process is None:
            raise RuntimeError(f"{self.server.name} was never started")
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers; harmless where it runs.

        Raises:
            ServerError: it does not.
        """
        if self._process is not None and self._process.poll() is None:
            return
        command = self.server.command()
        with self.server.home.open_log(self.server.name) as log:
            self._process = spawn(command, log)
        began = time.monotonic()
        while not self.server.ready(time.monotonic() - began):
            if self._process.poll() is not None or time.monotonic() - began > _START:
                log_file = self.server.home.log(self.server.name)
                raise ServerError(f"{self.server.name} does not start; its log ends: {tail(log_file)}")
            time.sleep(_LOOK)

    def strike(self, number: signal.Signals) -> None:
        """Send its main process a signal that ends it, and wait for that."""
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait()
        self.server.clear()  # children of a killed server may outlive it

    def forget(self) -> None:
        """Delete its data; it must not run."""
        shutil.rmtree(self.server.folder)

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None and not stop(self._process, self.server.stop_signals):
            self.server.clear()


class Kept:
    """A process that is started again whenever it ends, until it is stopped.

    Args:
        name: of its log.
        home: where the log goes.
        command: how to start it.
        grace: seconds that it gets to stop.
    """

    def __init__(self, name: str, home: Home, command: Command, grace: float) -> None:
        self.name = name
        self._home = home
        self._command = command
        self._grace = grace
        self._stopping = threading.Event()
        self._process = self._spawn()
        self.deaths: list[Died] = []  # all its ends before it was stopped
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}")
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process of now."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL it, and wait until the next one was started."""
        process = self._process
        process.kill()
        while self._process is process and not self._stopping.wait(_LOOK):
            pass

    def stop(self) -> None:
        """End it in good order, and wait for that."""
        self._stopping.set()
        self._thread.join()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._home.open_log(self.name) as log:
            return spawn(self._command, log)

    def _keep(self) -> None:
        while not self._stopping.wait(_PAUSE):
            if (status := self._process.poll()) is not None:
                self.deaths.append(
                    Died(at=time.monotonic(), name=self.name, pid=self._process.pid, exit_status=status)
                )
                kill_group(self._process)  # what it left in its session
                self._process = self._spawn()
        stop(self._process, ((signal.SIGTERM, self._grace),))
