"""The ground that all contenders stand on: one PostgreSQL, one Valkey, and whole processes on them.

PostgreSQL's durability stays as it comes. Every process has a session and a log of its own, and is ended by
who started it.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import redis
from sqlalchemy import Connection, create_engine, make_url, text

from ops.bench.course import Course
from ops.bench.process import Process
from ops.embedded import EmbeddedServers
from ops.embedded.ports import answers, free_ports
from worker.ledger import clients, migrate
from worker.ledger.engines import Ledger
from worker.settings import PREFIX, Settings

KINDS = "ops.bench.kinds"

_CLEAR = text("TRUNCATE jobs, attempts, batches, endings, dependencies")
_END = text("""
    UPDATE jobs SET state = 'cancelled', finished_at = now()
    WHERE client_id = :client AND state IN ('scheduled', 'queued', 'retrying')
""")  # as a client would; nobody works for their queue, and a beat would publish them again and again
_NO_MARK = text("TRUNCATE broker_mark")  # or a beat would look for what the broker seems to have lost


class Ground(msgspec.Struct):
    """Servers, and a client of the platform on them."""

    folder: Path  # HOME
    settings: Settings  # of the platform's roles
    warehouse: str  # the URL of a database beside the ledger
    ledger: Ledger  # for preparing and checking
    client: UUID
    key: str
    keep: bool = False  # whether what a round leaves stays in the history; the next one has another client

    @property
    def redis_url(self) -> str:
        """Valkey's URL."""
        return self.settings.broker_url or ""

    @property
    def redis_address(self) -> tuple[str, int]:
        """Where Valkey listens."""
        url = make_url(self.redis_url)
        return url.host or "", url.port or 0

    @property
    def api_address(self) -> tuple[str, int]:
        """Where the API listens, once it is started."""
        return self.settings.api_host, self.settings.api_port

    @contextmanager
    def redis(self) -> Iterator["redis.Redis"]:
        """Valkey, for preparing and checking."""
        with redis.Redis.from_url(self.redis_url) as client:
            yield client

    def clear(self) -> None:
        """Forget all jobs and messages of the platform; only while neither beat nor worker runs."""
        with self.ledger.write() as connection:
            connection.execute(_NO_MARK)
            if self.keep:
                connection.execute(_END, {"client": self.client})
                self.client, self.key = _new_client(connection)
            else:
                connection.execute(_CLEAR)
        with self.redis() as client:
            client.flushdb()

    def count(self, condition: str = "true") -> int:
        """How many jobs of this client meet a condition of ours."""
        statement = text(f"SELECT count(*) FROM jobs WHERE client_id = :client AND ({condition})")  # noqa: S608 - a constant's
        with self.ledger.write() as connection:
            return int(connection.execute(statement, {"client": self.client}).scalar_one())

    def any(self, condition: str) -> bool:
        """Whether any job of this client meets a condition of ours; costs less than counting them."""
        statement = text(f"SELECT EXISTS (SELECT FROM jobs WHERE client_id = :client AND ({condition}))")  # noqa: S608 - a constant's
        with self.ledger.write() as connection:
            return bool(connection.execute(statement, {"client": self.client}).scalar_one())

    @contextmanager
    def role(self, *words: str, name: str = "", **settings: object) -> Iterator[Process]:
        """`jobyard WORDS` as a whole process.

        Args:
            words: of the command.
            name: of its log; the first word where not given.
            settings: beside those of all roles.
        """
        argv = (sys.executable, "-m", "ops", *words)
        with self.program(argv, name=name or words[0], **settings) as process:
            yield process

    @contextmanager
    def program(self, argv: Sequence[str], *, name: str, **settings: object) -> Iterator[Process]:
        """A program with the settings of a role, and an empty folder for its metrics."""
        own = {PREFIX + variable.upper(): str(value) for variable, value in settings.items()}
        metrics = self.folder / "metrics" / name
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(parents=True)
        environ = {
            **os.environ,
            **self.settings.environment(),
            **own,
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        }
        with self.process(argv, environ, name) as process:
            yield process

    @contextmanager
    def process(self, argv: Sequence[str], environ: Mapping[str, str], name: str) -> Iterator[Process]:
        """Any program as a whole process."""
        process = Process.start(argv, environ, self.folder / "logs" / f"{name}.log")
        try:
            yield process
        finally:
            process.stop()

    @contextmanager
    def api(self) -> Iterator[Process]:
        """The API as users start it, ready to answer."""
        with self.role("api") as process:
            process.wait(lambda: answers(self.settings.api_port, self.settings.api_host, "/readyz"))
            yield process

    @contextmanager
    def worker(self, *words: str) -> Iterator[Process]:
        """A worker as users start it, ready to work."""
        (port,) = free_ports(1)
        with self.role("worker", *words, name=f"worker-{words[0]}", metrics_port=port) as process:
            process.wait(lambda: answers(port, "127.0.0.1", "/readyz"))
            yield process


def libpq(url: str) -> str:
    """SQLAlchemy's URL of a database as everybody else's."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def ground(course: Course, name: str = "home") -> Iterator[Ground]:
    """Servers of their own in the course's folder, with a fresh ledger.

    Args:
        course: whose folder.
        name: of a folder in it, where there are several.
    """
    home = str(course.folder / name)
    with EmbeddedServers(Settings(home=home)) as urls:
        api_port, metrics_port = free_ports(2)
        settings = Settings(
            home=home,
            database_url=urls.database_url,
            broker_url=urls.broker_url,
            api_port=api_port,
            api_metrics_port=metrics_port,
            kinds=KINDS,
            web_allow="127.0.0.0/8",
        )
        client, key = _migrated(settings)
        ledger = Ledger.open(settings, "bench")
        try:
            yield Ground(Path(home), settings, urls.sources["warehouse"], ledger, client, key)
        finally:
            ledger.close()


def _migrated(settings: Settings) -> tuple[UUID, str]:
    engine = create_engine(settings.database_url or "")
    try:
        with engine.begin() as connection:
            migrate.upgrade(connection)
            return _new_client(connection)
    finally:
        engine.dispose()


def _new_client(connection: Connection) -> tuple[UUID, str]:
    client = clients.ensure_client(connection, f"bench-{uuid4().hex[:8]}")
    _, key = clients.add_key(connection, client.id, "bench")
    return client.id, key
