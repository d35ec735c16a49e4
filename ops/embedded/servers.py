"""The embedded servers together: those that no setting replaces, started and stopped as one."""

import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.embedded.lock import HomeLock
from ops.embedded.postgres import PostgresServer
from ops.embedded.program import ServerError, spawn, stop
from ops.embedded.server import Server
from ops.embedded.valkey import ValkeyServer
from worker.settings import Settings

_STARTS = 3  # a port may be taken between being drawn and being used; the next start draws another
_PAUSE = 0.02  # seconds between two looks at a server that starts
_TAIL = 2000  # bytes of a log that an error quotes


@dataclass(frozen=True)
class Urls:
    """Where the servers are, with their credentials."""

    database_url: str
    broker_url: str
    sources: Mapping[str, str] = field(default_factory=dict)  # databases of data sources, by name


def embedded_servers(settings: Settings) -> list[Server]:
    """The servers that the settings leave to us; not started."""
    home = Home(settings.home_path)
    servers: list[Server] = []
    if settings.database_url is None:
        servers.append(PostgresServer(home, settings.server_user, settings.database_port))
    if settings.broker_url is None:
        servers.append(ValkeyServer(home, settings.server_user, settings.broker_port))
    return servers


def urls(settings: Settings, servers: list[Server]) -> Urls:
    """The URLs of the settings, and those of the servers in place of the ones that are not set."""
    embedded = {server.role: server.url for server in servers}
    offered = {name: url for server in servers for name, url in server.sources.items()}
    return Urls(
        database_url=settings.database_url or embedded["database"],
        broker_url=settings.broker_url or embedded["broker"],
        sources=offered | settings.sources,
    )


class EmbeddedServers:
    """Runs the servers for as long as a `with` block; nobody restarts them.

    The supervisor runs them otherwise; this is for tests and for commands that need the servers alone.
    Any number lives side by side, each in a HOME of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()

    def start(self, timeout: float = 120.0) -> Urls:
        """Start the servers, and wait until each answers.

        Args:
            timeout: seconds that each gets.

        Raises:
            AlreadyRunningError: a platform runs in this HOME.
            ServerError: a server cannot run here.
        """
        home = Home(self._settings.home_path)
        servers = embedded_servers(self._settings)
        with ExitStack() as stack:
            home.create(server_account(self._settings.server_user).gid)
            stack.enter_context(HomeLock(home.lock))
            for server in servers:
                stack.callback(_stop, server, _start(server, home, timeout))
            self._stack = stack.pop_all()
        return urls(self._settings, servers)

    def stop(self) -> None:
        """Stop the servers in good order; harmless when they are stopped."""
        self._stack.close()

    def __enter__(self) -> Urls:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


def _start(server: Server, home: Home, timeout: float) -> subprocess.Popen[bytes]:
    for _ in range(_STARTS):
        process = _spawn(server, home)
        try:
            if _await_answer(server, process, timeout):
                return process
        except BaseException:
            _stop(server, process)
            raise
    raise ServerError(f"{server.name} does not start; its log ends: {tail(home.log(server.name))}")


def _spawn(server: Server, home: Home) -> subprocess.Popen[bytes]:
    command = server.command()
    with home.open_log(server.name) as log:
        return spawn(command, log)


def _await_answer(server: Server, process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Whether it answers, rather than ends."""
    started = time.monotonic()
    while process.poll() is None:
        age = time.monotonic() - started
        if server.ready(age):
            return True
        if age > timeout:
            raise ServerError(f"{server.name} did not answer within {timeout:.0f} s")
        time.sleep(_PAUSE)
    return False


def _stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    if not stop(process, server.stop_signals):
        server.clear()  # children of a killed server may outlive it


def tail(log: Path) -> str:
    """The end of a log, for an error."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        return file.read().decode(errors="replace").strip()
