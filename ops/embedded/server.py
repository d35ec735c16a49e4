"""What the embedded servers have in common: an account, a data folder and a port on loopback."""

import os
from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path

from ops.embedded.account import ENVIRONMENT, Account, account_name, server_account
from ops.embedded.home import Home
from ops.embedded.ports import free_ports, is_free
from ops.embedded.program import Command, ServerError, StopSignals

HOST = "127.0.0.1"


class Server(ABC):
    """One embedded server: a `Program`.

    Its first start chooses the account and the port. Until it has answered once, a port that was drawn
    (setting 0) and that somebody else took meanwhile is drawn again; afterwards its URL is known to
    others and stays.
    """

    once = False
    metrics_port = None
    name: str
    role: str
    stop_signals: StopSignals
    port_variable: str

    def __init__(self, home: Home, user: str, port: int) -> None:
        self.home = home
        self.port = port
        self._user = user
        self._drawn = port == 0
        self._answered = False

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it, with their credentials; fixed once it is ready."""

    @property
    def sources(self) -> dict[str, str]:
        """The databases that it offers to data sources: their URLs, by the source's name."""
        return {}

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Its data."""

    @property
    def mark(self) -> str:
        """A word on the command line of each of its processes that no other HOME's server has."""
        return "jobyard-" + sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]

    @abstractmethod
    def binary(self) -> Path:
        """The server's executable."""

    @abstractmethod
    def clear(self) -> None:
        """End what an earlier run that was killed has left behind."""

    @abstractmethod
    def initialise(self, account: Account) -> Account:
        """Make the data folder where it is missing; return the account as it can enter there."""

    @abstractmethod
    def arguments(self, account: Account) -> tuple[str, ...]:
        """What the executable is given to run in the foreground, in its folder; secrets never."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it accepts a connection with our credentials.

        Raises:
            ServerError: it never will.
        """

    def command(self) -> Command:
        """Prepare a start, on a folder that nobody else serves.

        Raises:
            ServerError: it cannot start here.
        """
        account = server_account(self._user)
        self.home.create(account.gid)
        self.clear()
        account = self.initialise(account)
        self._choose_port()
        argv = (*account.prefix, str(self.binary()), *self.arguments(account))
        return Command(argv, ENVIRONMENT, cwd=str(self.folder), popen=account.popen)

    def ready(self, age: float) -> bool:  # noqa: ARG002 - an answer is proof at any age
        """Whether it answers."""
        answers = self.answers()
        self._answered = self._answered or answers
        return answers

    def ensure_own(self, pid: int) -> None:  # noqa: B027 - no gap to fill
        """Nothing: what answers took our password."""

    def _choose_port(self) -> None:
        if self._answered or (self.port and is_free(self.port, HOST)):
            return
        if not self._drawn:
            raise ServerError(
                f"port {self.port} of {self.name} is taken: set {self.port_variable} to another port, or to 0"
            )
        self.port = free_ports(1, HOST)[0]


def require_owner(folder: Path, account: Account) -> None:
    """Refuse a data folder that another account's server has written.

    Raises:
        ServerError: it is another's.
    """
    owner = folder.stat().st_uid
    if owner != account.uid:
        raise ServerError(
            f"{folder} belongs to {account_name(owner)!r}, and its server would run as {account.name!r}:"
            f" start the platform as {account_name(owner)!r}, or as root with JOBYARD_SERVER_USER set to it"
        )
