"""The platform under test: real servers behind wires, `jobyard up` on them, and a second beat beside it.

The servers and the wires are ours to strike; the platform is started as any user starts it, and is started
again when it ends, as a service manager would.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg2
import redis
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from sqlalchemy import make_url

from ops.chaos.carrier import Carrier
from ops.chaos.crew import Crew, send
from ops.chaos.held import HeldServer, Kept
from ops.chaos.history import Died
from ops.chaos.proxy import Proxy
from ops.chaos.rabbitmq import RabbitMQServer
from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.embedded.leftovers import lives
from ops.embedded.passwords import password
from ops.embedded.ports import free_ports
from ops.embedded.postgres import SUPERUSER, PostgresServer
from ops.embedded.program import Command
from ops.embedded.servers import tail
from worker.contract.queues import Pool
from worker.settings import PREFIX, Settings

SECOND_BEAT = "second-beat"

_START = 100.0  # seconds until all processes run
_LOOK = 0.1  # seconds between two looks
_UP_GRACE = 90.0  # seconds that the whole platform gets to stop
_BEAT_GRACE = 10.0
_WORKER_GRACE = 40.0
_PATIENCE = 5  # seconds for a connection of ours

# Processes die here, and not the machine: what PostgreSQL wrote, the kernel keeps. So nothing need wait for
# the disk, least of all a recovery, which would sync every file of the data folder.
_HASTE = ("fsync = off", "full_page_writes = off")

# Where keyed jobs leave their effects; nothing in it refuses a second one of the same key.
_EFFECTS = "CREATE TABLE chaos_effects (key text NOT NULL)"

_SHIPPED = Path(str(files("ops.chaos") / "definitions"))


class NotUp(RuntimeError):  # noqa: N818 - reads as what it is
    """The platform did not come up, or not again."""


class Rig:
    """One platform, with everything that a fault needs to reach.

    Args:
        folder: for all that it writes.
        environ: what the platform's processes inherit; its own settings come on top.
        carrier: the broker to use.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], carrier: Carrier = Carrier.VALKEY) -> None:
        user = Settings().server_user
        self.home = folder / "home"
        self._logs = Home(self.home)
        self._logs.create(server_account(user).gid)
        servers = Home(folder / "servers")
        servers.create(server_account(user).gid)
        ports = free_ports(4)
        self._postgres = PostgresServer(servers, user, ports[0])
        self._broker = carrier.server(servers, user, ports[1])
        self.ledger = HeldServer(self._postgres)
        self.broker = HeldServer(self._broker)
        self.to_ledger = Proxy(ports[0])
        self.to_broker = Proxy(ports[1])
        self.crew = Crew(self.home)
        self.api_port = ports[2]
        self._flower_port = ports[3]
        self._secrets = servers.secrets
        self._environ = environ
        self._stack = ExitStack()
        self.leaving: set[int] = set()  # processes that were asked to
        self.to_ledger_of: dict[str, Proxy] = {}  # by worker: wires that lead to the platform's
        self._kept: list[Kept] = []
        self.supervisor: Kept
        self.beat: Kept

    @property
    def key(self) -> str:
        """The API key of the platform's first client."""
        return self._logs.key.read_text().strip()

    def start(self) -> None:
        """Bring everything up."""
        with ExitStack() as stack:
            self._start_servers(stack)
            self._start_platform(stack)
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Take everything down in good order, and leave no process behind."""
        self._stack.close()

    def settle(self, timeout: float = _START) -> None:
        """Wait until every process of the platform does its work.

        Raises:
            NotUp: it takes longer than `timeout` seconds.
        """
        give_up_at = time.monotonic() + timeout
        while not self.crew.all_run():
            if time.monotonic() > give_up_at:
                said = tail(self._logs.log("up"))
                raise NotUp(f"the platform is not up after {timeout:g} s; its log ends: {said}")
            time.sleep(_LOOK)

    def effects(self) -> list[str]:
        """The keys of all effects that keyed jobs left."""
        return [key for (key,) in self.sql("SELECT key FROM chaos_effects")]

    @property
    def deaths(self) -> list[Died]:
        """The ends of what no supervisor of the platform tells of, and of the supervisors."""
        return [died for kept in self._kept for died in kept.deaths]

    @contextmanager
    def second_worker(self, *queues: str, pool: Pool | None = None) -> Iterator[str]:
        """One more worker of some queues, for as long as a `with` block; its name.

        It has a wire to the ledger of its own, which ends where the platform's begins.

        Args:
            queues: that it consumes.
            pool: the queue table's otherwise.
        """
        name = f"worker-{queues[0]}-{pool or 'second'}"
        words = ("worker", *queues, *(("--pool", pool) if pool else ()))
        with Proxy(self.to_ledger.port) as wire:
            kept = self._keep(name, _WORKER_GRACE, *words, wire=wire)
            self.to_ledger_of[name] = wire
            self.crew.join(name, lambda: kept.pid)
            try:
                yield name
            finally:
                self.crew.leave(name)
                del self.to_ledger_of[name]
                kept.stop()

    @contextmanager
    def superuser(self) -> Iterator[Connection]:
        """A connection to the ledger's database that no wire carries and no limit of connections refuses."""
        url = make_url(self._postgres.url)
        connection = psycopg2.connect(
            host=url.host,
            port=url.port,
            dbname=url.database,
            user=SUPERUSER,
            password=password(self._secrets, "database-superuser"),
            connect_timeout=_PATIENCE,
        )
        with closing(connection):
            connection.autocommit = True
            yield connection

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement returns, as the superuser."""
        with self.superuser() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def user(self) -> Connection:
        """A connection of the platform's own account; it counts against the limit."""
        url = make_url(self._postgres.url)
        return psycopg2.connect(
            host=url.host,
            port=url.port,
            dbname=url.database,
            user=url.username,
            password=url.password,
            connect_timeout=_PATIENCE,
        )

    @contextmanager
    def valkey(self) -> Iterator["redis.Redis"]:
        """A connection to the broker that no wire carries; it must be Valkey."""
        with redis.Redis.from_url(self._broker.url, socket_timeout=_PATIENCE) as client:
            yield client

    @property
    def rabbitmq(self) -> RabbitMQServer:
        """The broker; it must be RabbitMQ."""
        if not isinstance(self._broker, RabbitMQServer):
            raise TypeError(f"the broker is {self._broker.name}")
        return self._broker

    @property
    def broker_url(self) -> str:
        """The broker's URL, past the wire."""
        return self._broker.url

    def _start_servers(self, stack: ExitStack) -> None:
        if isinstance(self._broker, RabbitMQServer):
            stack.enter_context(self._broker.name_server())
        for server in (self.ledger, self.broker):
            stack.callback(server.stop)
            server.start()
        for setting in _HASTE:
            self.sql(f"ALTER SYSTEM SET {setting}")
        self.sql("SELECT pg_reload_conf()")
        with closing(self.user()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(_EFFECTS)
        for wire in (self.to_ledger, self.to_broker):
            stack.enter_context(wire)

    def _start_platform(self, stack: ExitStack) -> None:
        stack.callback(self._leave_nothing)
        self.supervisor = self._keep("up", _UP_GRACE, "up")
        stack.callback(self.supervisor.stop)
        self.settle()
        # Only now: the ledger that it needs was made by the platform's first step.
        self.beat = self._keep(SECOND_BEAT, _BEAT_GRACE, "beat")
        stack.callback(self.beat.stop)
        self.crew.join(SECOND_BEAT, lambda: self.beat.pid)
        stack.callback(self._wake)

    def _keep(self, name: str, grace: float, *words: str, wire: Proxy | None = None) -> Kept:
        kept = Kept(name, self._logs, self._command(*words, wire=wire or self.to_ledger), grace)
        self._kept.append(kept)
        return kept

    def _command(self, *words: str, wire: Proxy) -> Command:
        kept = {name: value for name, value in self._environ.items() if not name.startswith(PREFIX)}
        ledger = _through(self._postgres.url, wire.port)
        given = {
            "HOME": str(self.home),
            "DATABASE_URL": ledger,
            "BROKER_URL": _through(self._broker.url, self.to_broker.port),
            "SOURCE_CHAOS_URL": ledger,
            "DEFINITIONS": str(_SHIPPED),
            "KINDS": "ops.chaos.kinds",
            "API_PORT": str(self.api_port),
            "FLOWER_PORT": str(self._flower_port),
            "LOG_ROTATION": "20 MB",
        }
        variables = {PREFIX + name: value for name, value in given.items()}
        return Command((sys.executable, "-m", "ops", *words), kept | variables)

    def _wake(self) -> None:
        """What a fault stopped cannot end."""
        send(self.crew.everybody(), signal.SIGCONT)

    def _leave_nothing(self) -> None:
        """End what nobody supervises any more."""
        left = [process for process in self.crew.everybody() if process.pid != os.getpid()]
        send(filter(lives, left), signal.SIGKILL)


@contextmanager
def running(folder: Path, environ: Mapping[str, str], carrier: Carrier = Carrier.VALKEY) -> Iterator[Rig]:
    """A platform for as long as a `with` block."""
    rig = Rig(folder, environ, carrier)
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()


def _through(url: str, port: int) -> str:
    """The URL of the same server, reached at another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)
