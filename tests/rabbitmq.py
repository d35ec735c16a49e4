"""A real RabbitMQ for the tests: the node of a chaos run, as a node of pytest-celery."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.chaos.rabbitmq import RabbitMQServer
from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.embedded.ports import free_ports
from tests.awaiting import eventually
from tests.smoke.process import Process
from worker.broker import connect, queues
from worker.settings import Settings

# Where RabbitMQ writes down under which name it keeps a quorum queue, some time after it was declared: one
# that is not in there comes back empty from a SIGKILL.
_NAMES = "data/*/quorum/*/names.dets"


class RabbitMQ:
    """One node; `process` is started and stopped by whoever asked for it."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: for all that the node writes."""
        user = Settings().server_user
        home = Home(folder / "home")
        home.create(server_account(user).gid)
        self._server = RabbitMQServer(home, user, free_ports(1)[0])
        self.port = self._server.port
        self.url = self._server.url
        self.name_server = self._server.name_server
        self.alarm = self._server.alarm
        self.messages = self._server.messages
        self.process = Process(
            "rabbitmq",
            self._server.command,
            folder / "rabbitmq.log",
            is_ready=lambda log: "Server startup complete" in log,
            celeryconfig={"url": self.url, "host_url": self.url},
        )

    @property
    def version(self) -> tuple[int, ...]:
        return self._server.version

    def await_saved(self) -> None:
        """Wait until every queue that there is comes back from a SIGKILL."""
        names = [name.encode() for name in self._server.quorum_queues()]
        (file,) = self._server.folder.glob(_NAMES)
        eventually(lambda: all(name in file.read_bytes() for name in names))

    def forget(self) -> None:
        """Take its data away; it must not run."""
        shutil.rmtree(self._server.folder)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel to do with it what the platform does not."""
        with connect(self.url) as connection:
            yield connection.channel()

    def await_leaving(self) -> None:
        """Wait until nobody consumes: what killed workers had in hand lies in the queues again."""
        with self.channel() as channel:
            declarations = [declaration(channel) for declaration in queues(self.url)]
            eventually(lambda: not any(each.queue_declare().consumer_count for each in declarations))

    def empty(self) -> None:
        """Take all messages away."""
        with self.channel() as channel:
            for declaration in queues(self.url):
                declaration(channel).declare()
                channel.queue_purge(declaration.name)


@contextmanager
def running() -> Iterator[RabbitMQ]:
    """Start a node, and stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="jobyard-rabbitmq-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server's account passes through it
        node = RabbitMQ(folder)
        with node.name_server():
            node.process.start()
            try:
                node.process.ready()
                node.empty()
                node.await_saved()
                yield node
            finally:
                node.process.teardown()
