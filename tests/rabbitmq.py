"""A real RabbitMQ for the tests: a node of our own from an installed `rabbitmq-server`, on loopback."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.embedded.ports import free_ports
from ops.embedded.program import Command, kill_group, spawn
from tests.smoke.process import Process
from worker.broker import connect, queues

MISSING = "no RabbitMQ here: install rabbitmq-server, as .ci/packages does"

_HOST = "127.0.0.1"
_FOLDERS = ("/usr/lib/rabbitmq/bin",)  # Debian's rabbitmq-server on PATH wants to be root, and then is not
_USER, _PASSWORD = "jobyard", "hunter2"

# https://www.rabbitmq.com/docs/configure
_CONFIGURATION = f"""\
default_user = {_USER}
default_pass = {_PASSWORD}
disk_free_limit.absolute = 1MB
"""

# Seconds after which a new queue comes back from a SIGKILL: RabbitMQ writes the names of quorum queues down
# when it was idle for half a second, and nothing tells when it did.
_SAVED = 1.5


def program(name: str) -> str | None:
    """Where one of RabbitMQ's programs is, if it is installed."""
    return shutil.which(name, path=os.pathsep.join((*_FOLDERS, os.environ.get("PATH", ""))))


class RabbitMQ:
    """One node; `process` is started and stopped by whoever asked for it."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: for all that the node writes."""
        self._folder = folder
        self.port, self._between_nodes, self._names = free_ports(3)
        self.url = f"amqp://{_USER}:{_PASSWORD}@{_HOST}:{self.port}//"
        (folder / "rabbitmq.conf").write_text(_CONFIGURATION, "utf-8")
        (folder / "plugins").write_text("[].", "utf-8")
        self.process = Process(
            "rabbitmq",
            self._command,
            folder / "rabbitmq.log",
            is_ready=lambda log: "Server startup complete" in log,
            celeryconfig={"url": self.url, "host_url": self.url},
        )

    @contextmanager
    def name_server(self) -> Iterator[None]:
        """Erlang's own, which a node would start behind our back, and leave running."""
        arguments = ("epmd", "-address", _HOST, "-port", str(self._names))
        with (self._folder / "epmd.log").open("ab") as log:
            process = spawn(Command(arguments, self._environment), log)
        try:
            yield
        finally:
            kill_group(process)
            process.wait()

    def forget(self) -> None:
        """Take its data away; it must not run."""
        shutil.rmtree(self._folder / "data")

    def alarm(self, *, raised: bool) -> None:
        """Raise the alarm of the memory, as if there were hardly any left, or end it."""
        self._control("set_vm_memory_high_watermark", "0.000001" if raised else "0.4")

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Such as (3, 10, 8)."""
        found = re.search(r"RabbitMQ (\d+)\.(\d+)\.(\d+)", self.process.logs())
        assert found, self.process.logs()
        return tuple(map(int, found.groups()))

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel to do with it what the platform does not."""
        with connect(self.url) as connection:
            yield connection.channel()

    def empty(self) -> None:
        """Take all messages away."""
        with self.channel() as channel:
            for declaration in queues(self.url):
                declaration(channel).declare()
                channel.queue_purge(declaration.name)

    def messages(self) -> dict[str, int]:
        """The messages of each queue, those in the hands of consumers included; takes a second."""
        listed = self._control("list_queues", "--quiet", "--no-table-headers", "name", "messages")
        return {name: int(count) for name, count in map(str.split, listed.splitlines())}

    def _control(self, *words: str) -> str:
        control = program("rabbitmqctl")
        assert control is not None
        done = subprocess.run(
            (control, *words), env=self._environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def _command(self) -> Command:
        server = program("rabbitmq-server")
        assert server is not None, MISSING
        return Command((server,), self._environment)

    @cached_property
    def _environment(self) -> dict[str, str]:
        """As of https://www.rabbitmq.com/docs/configure#supported-environment-variables ."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),  # of the cookie that the node shares with rabbitmqctl
            "ERL_EPMD_ADDRESS": _HOST,
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": f"jobyard{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": _HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._between_nodes),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
                " +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"  # it shares the processors with the tests
            ),
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the shell script become the node
        }


@contextmanager
def running() -> Iterator[RabbitMQ]:
    """Start a node, and stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="jobyard-rabbitmq-") as folder:
        node = RabbitMQ(Path(folder))
        with node.name_server():
            node.process.start()
            try:
                node.process.ready()
                node.empty()
                time.sleep(_SAVED)
                yield node
            finally:
                node.process.teardown()
