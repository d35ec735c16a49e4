"""The supervisor: one loop that brings the platform up, keeps it up, and takes it down."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from urllib.parse import quote

import msgspec

from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.embedded.lock import HomeLock
from ops.embedded.passwords import password
from ops.embedded.program import Program, ServerError
from ops.embedded.servers import embedded_servers, tail, urls
from ops.supervisor.child import Child, Events
from ops.supervisor.leftovers import stop_roles
from ops.supervisor.logs import bound
from ops.supervisor.roles import (
    START_ORDER,
    STOP_ORDER,
    Role,
    RoleProgram,
    reachable,
    resolve,
    role_table,
    smtp_url,
)
from ops.supervisor.status import Addresses, ProcessState, Status, write_status
from worker.settings import Settings, without_files

_LOG_PAUSE = 10.0  # seconds between two looks at the size of the logs
_HURRY = 2.0  # seconds that a stop signal gets once the operator has lost patience
_TRIES = 3  # starts of what others wait for and never answered, before the platform gives up


class SupervisorError(RuntimeError):
    """The platform cannot come up; the message quotes the log of what failed."""


class Supervisor:
    """Runs the platform of one HOME.

    Args:
        settings: as read; ports that are 0 are drawn, and all roles are told.
        environ: what the roles inherit besides the settings.
        roles: the table's where not given.
        on_change: called with each new status, on the thread that runs the platform.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        roles: Callable[[Settings], Sequence[Role]] = role_table,
        on_change: Callable[[Status], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._home = Home(settings.home_path)
        self._roles = roles
        self._on_change = on_change
        self._servers = embedded_servers(settings)
        self._events: Events = SimpleQueue()
        self._children: list[Child] = []
        self._stages: list[list[Child]] = []  # not started yet
        self._stage: list[Child] = []  # what the next one waits for
        self._stopping = False
        self._limit = math.inf
        self._logs_due = 0.0
        self._published: Status | None = None

    @property
    def settings(self) -> Settings:
        """What the roles get; `run` draws ports and passwords, and a server may move until it answers."""
        found = urls(self._settings, self._servers)
        return msgspec.structs.replace(
            self._settings,
            database_url=found.database_url,
            broker_url=found.broker_url,
            smtp_url=smtp_url(self._settings),
            sources=dict(found.sources),
        )

    def prepare(self) -> None:
        """Make HOME, with the rights that it must have; `run` does so too.

        Raises:
            ServerError: the servers' account does not exist.
        """
        self._home.create(server_account(self._settings.server_user).gid if self._servers else os.getgid())

    def run(self) -> None:
        """Run the platform until SIGINT, SIGTERM or SIGHUP, or until `stop`; nothing of it is left then.

        Raises:
            AlreadyRunningError: another supervisor runs in this HOME.
            ServerError: a server cannot run here.
            SupervisorError: a server or a step fails.
        """
        self.prepare()
        with HomeLock(self._home.lock), self._signals():
            stop_roles(self._home)
            self._plan()
            try:
                while not self._stopping:
                    self._advance()
                    self._turn()
            finally:
                self._take_down()

    def stop(self) -> None:
        """Ask it to end, from any thread or signal handler; asked again, it hurries."""
        self._events.put(self._asked_to_stop)

    def _plan(self) -> None:
        self._settings = msgspec.structs.replace(
            resolve(self._settings),
            flower_password=self._settings.flower_password or password(self._home.secrets, "flower"),
        )
        programs: list[Program] = [*self._servers]
        programs += [
            RoleProgram(role, self._environment, self._home.metrics(role.name))
            for role in self._roles(self._settings)
        ]
        self._children = [Child(program, self._home, self._events) for program in programs]
        self._stages = [self._of(roles) for roles in START_ORDER]

    def _of(self, roles: frozenset[str]) -> list[Child]:
        return [child for child in self._children if child.program.role in roles]

    def _environment(self) -> dict[str, str]:
        return {**without_files(self._environ), **self.settings.environment()}

    def _advance(self) -> None:
        """Start the next stage once this one is up."""
        while all(child.up for child in self._stage) and self._stages:
            self._stage = self._stages.pop(0)
            for child in self._stage:
                child.start()
                self._publish()  # at once: what is not recorded, nobody stops should we be killed
        for child in self._stage:
            self._require_hope(child)

    def _require_hope(self, child: Child) -> None:
        """Give up on a platform that cannot come up; what was up and dies is started again for ever."""
        if child.program.once:
            lost = child.state is ProcessState.STOPPED and not child.done
        elif self._stages:  # others could only wait for it
            if child.error is not None:
                raise child.error
            lost = child.failures >= _TRIES
        elif isinstance(child.error, ServerError) and not child.was_up:
            raise child.error
        else:
            return
        if lost:
            log = self._home.log(child.program.name)
            raise SupervisorError(f"{child.program.name} failed; {log} ends: {tail(log)}")

    def _turn(self) -> None:
        """Say where things stand, wait for what happens or falls due next, and act on it."""
        self._publish()
        due = min(self._logs_due, *(child.wake for child in self._children))
        with suppress(Empty):
            self._events.get(timeout=max(0.0, due - time.monotonic()))()
        for child in self._children:
            child.tick()
        self._bound_logs()

    def _asked_to_stop(self) -> None:
        if self._stopping:
            self._limit = _HURRY
            for child in self._children:
                child.hurry(_HURRY)
        self._stopping = True

    def _take_down(self) -> None:
        self._stopping = True
        for roles in STOP_ORDER:
            group = self._of(roles)
            for child in group:
                child.stop(self._limit)
            while any(child.state is not ProcessState.STOPPED for child in group):
                self._turn()
        self._publish()
        self._home.status.unlink(missing_ok=True)

    def _bound_logs(self) -> None:
        if time.monotonic() >= self._logs_due:
            self._logs_due = time.monotonic() + _LOG_PAUSE
            for child in self._children:
                bound(self._home.log(child.program.name))

    def _publish(self) -> None:
        status = self._status()
        if status == self._published:
            return
        self._published = status
        with suppress(OSError):  # a full disk; jobs matter more than the file, which the next change writes
            write_status(self._home, status)
        self._on_change(status)

    def _status(self) -> Status:
        settings = self.settings
        login = f"{quote(settings.flower_user, safe='')}:{quote(settings.flower_password or '', safe='')}@"
        return Status(
            pid=os.getpid(),
            urls=Addresses(
                api=_url("", settings.api_host, settings.api_port),
                flower=_url(login, settings.flower_host, settings.flower_port),
                database=settings.database_url or "",
                broker=settings.broker_url or "",
                smtp=settings.smtp_url,
                sources=settings.sources,
            ),
            key_file=str(self._home.key),
            processes=tuple(child.status for child in self._children if not child.done),
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let the signals that end a program stop the platform; only a main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) was not asked for
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._signalled) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - any asks the same
        self.stop()


def _url(login: str, host: str, port: int) -> str:
    name = reachable(host)
    return f"http://{login}{f'[{name}]' if ':' in name else name}:{port}"
