"""RabbitMQ as a server that a run strikes: one node on loopback, of an installed `rabbitmq-server`."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from amqp.exceptions import AMQPError

from ops.embedded.account import Account, server_account
from ops.embedded.home import Home
from ops.embedded.leftovers import stop_servers
from ops.embedded.passwords import password
from ops.embedded.ports import free_ports
from ops.embedded.program import Command, ServerError, kill_group, spawn
from ops.embedded.server import HOST, Server, require_owner
from ops.files import write_private
from worker.broker import connect

MISSING = "no RabbitMQ here: install rabbitmq-server, as .ci/packages does"

_FOLDERS = ("/usr/lib/rabbitmq/bin",)  # Debian's rabbitmq-server on PATH wants to be root, and then is not
_USER = "jobyard"

# https://www.rabbitmq.com/docs/configure
_CONFIGURATION = """\
default_user = {user}
default_pass = {secret}
disk_free_limit.absolute = 1MB
"""
_WATERMARK = "0.4"  # of the memory, RabbitMQ's own; at nearly none the alarm is raised
_NEARLY_NONE = "0.000001"


class RabbitMQServer(Server):
    """RabbitMQ on loopback, with a password, in HOME/rabbitmq; it needs its `name_server` meanwhile."""

    name = "rabbitmq"
    role = "broker"
    stop_signals = ((signal.SIGTERM, 15.0),)
    port_variable = "JOBYARD_BROKER_PORT"

    def __init__(self, home: Home, user: str, port: int) -> None:
        """Args: as of `Server`."""
        super().__init__(home, user, port)
        self._between_nodes, self._names = free_ports(2)

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"amqp://{_USER}:{self._secret}@{HOST}:{self.port}//"

    @property
    def folder(self) -> Path:
        """Its data, its configuration and its cookie."""
        return self.home.path / "rabbitmq"

    @property
    def version(self) -> tuple[int, ...]:
        """Such as (3, 10, 8)."""
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", self._control("version"))
        if found is None:
            raise ServerError("RabbitMQ does not tell its version")
        return tuple(map(int, found.groups()))

    def binary(self) -> Path:
        """The server's executable."""
        return _program("rabbitmq-server")

    def command(self) -> Command:
        """Prepare a start, as `Server` does."""
        return replace(super().command(), env=self._environment)

    def clear(self) -> None:
        """Stop a node that still runs on this data folder."""
        stop_servers("beam.smp", self.mark, self.stop_signals)

    def initialise(self, account: Account) -> Account:
        """Make the data folder and the configuration."""
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            account.own(self.folder)
        require_owner(self.folder, account)
        text = _CONFIGURATION.format(user=_USER, secret=self._secret)
        write_private(self.folder / "rabbitmq.conf", text, account.owner)
        write_private(self.folder / "plugins", "[].", account.owner)
        return account

    def arguments(self, account: Account) -> tuple[str, ...]:  # noqa: ARG002 - the same for each
        """None: it is told by its environment."""
        return ()

    def answers(self) -> bool:
        """Log in with our password."""
        try:
            with connect(self.url) as connection:
                connection.connect()
        except (OSError, AMQPError):
            return False
        return True

    @contextmanager
    def name_server(self) -> Iterator[None]:
        """Erlang's own, which a node would start behind our back, and leave running."""
        arguments = (str(_program("epmd")), "-address", HOST, "-port", str(self._names))
        with self.home.open_log("epmd") as log:
            process = spawn(Command(arguments, self._environment, popen=self._account.popen), log)
        try:
            yield
        finally:
            kill_group(process)
            process.wait()

    def alarm(self, *, raised: bool) -> None:
        """Raise the alarm of the memory, as if there were hardly any left, or end it."""
        self._control("set_vm_memory_high_watermark", _NEARLY_NONE if raised else _WATERMARK)

    def messages(self) -> dict[str, int]:
        """The messages of each queue, those in the hands of consumers included; takes a second."""
        return {name: int(count) for name, count in self._queues("messages").items()}

    def quorum_queues(self) -> list[str]:
        """The queues that outlive the node, if it has written them down; takes a second."""
        return [name for name, kind in self._queues("type").items() if kind == "quorum"]

    def _queues(self, column: str) -> dict[str, str]:
        listed = self._control("list_queues", "--quiet", "--no-table-headers", "name", column)
        rows = (line.split() for line in listed.splitlines())
        return {name: value for name, value in rows}  # noqa: C416 - mypy knows that these are pairs

    def _control(self, *words: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            (str(_program("rabbitmqctl")), *words),
            env=self._environment,
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            **self._account.popen,
        )
        return done.stdout

    @property
    def _secret(self) -> str:
        return password(self.home.secrets, "broker")

    @property
    def _account(self) -> Account:
        return server_account(self._user)

    @cached_property
    def _environment(self) -> dict[str, str]:
        """As of https://www.rabbitmq.com/docs/configure#supported-environment-variables ."""
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),  # of the cookie that the node shares with rabbitmqctl
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": f"jobyard{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._between_nodes),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
                " +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"  # it shares the processors with the rest
                f" -mark {self.mark}"
            ),
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the shell script become the node
        }


def installed() -> bool:
    """Whether RabbitMQ is here."""
    return _found("rabbitmq-server") is not None


def _program(name: str) -> Path:
    """Where one of RabbitMQ's programs is, or one of Erlang's.

    Raises:
        ServerError: RabbitMQ is not installed.
    """
    found = _found(name)
    if found is None:
        raise ServerError(MISSING)
    return Path(found)


def _found(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((*_FOLDERS, os.environ.get("PATH", ""))))
