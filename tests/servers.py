"""Real servers for the tests: PostgreSQL and Valkey once a session, a fresh part of them for whoever asks."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg2
import redis
from sqlalchemy import create_engine, make_url

from ops.embedded import EmbeddedServers, Urls
from ops.embedded.home import Home
from ops.embedded.passwords import password
from ops.embedded.postgres import SUPERUSER
from worker.ledger import migrate
from worker.settings import Settings

_TEMPLATE = "ledger_template"
_BROKERS = 16  # databases that Valkey has by default

# What a test writes need not survive a power failure.
_HASTE = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Servers:
    """The running servers of a session."""

    def __init__(self, urls: Urls, superuser_password: str) -> None:
        self._urls = urls
        self._superuser_password = superuser_password
        self._numbers = count(1)
        self._free_brokers = list(range(_BROKERS))
        for setting in _HASTE:
            self._administer(f"ALTER SYSTEM SET {setting}")
        self._administer("SELECT pg_reload_conf()")
        self._make_template()

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """A ledger of one's own, or a database where one may be made, as an URL."""
        name = f"ledger_{next(self._numbers)}"
        template = _TEMPLATE if migrated else "template1"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {self._owner}")
        yield self._url_of(name)
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def broker(self) -> Iterator[str]:
        """An empty database of the broker, as an URL."""
        number = self._free_brokers.pop()
        url = self._urls.broker_url.removesuffix("/0") + f"/{number}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        yield url
        self._free_brokers.append(number)

    def _make_template(self) -> None:
        self._administer(f"CREATE DATABASE {_TEMPLATE} OWNER {self._owner}")
        engine = create_engine(self._url_of(_TEMPLATE))
        with engine.begin() as connection:
            migrate.upgrade(connection)
        engine.dispose()  # PostgreSQL copies no database that somebody is connected to

    def _administer(self, statement: str) -> None:
        url = make_url(self._urls.database_url)
        connection = psycopg2.connect(
            host=url.host,
            port=url.port,
            dbname="postgres",
            user=SUPERUSER,
            password=self._superuser_password,
        )
        with closing(connection):
            connection.autocommit = True  # CREATE DATABASE runs in no transaction
            with connection.cursor() as cursor:
                cursor.execute(statement)

    @property
    def _owner(self) -> str:
        return make_url(self._urls.database_url).username or ""

    def _url_of(self, name: str) -> str:
        return make_url(self._urls.database_url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def running() -> Iterator[Servers]:
    """Start the servers, and stop them in the end."""
    with tempfile.TemporaryDirectory(prefix="jobyard-tests-") as folder:
        Path(folder).chmod(0o711)  # the servers' account passes through it to what belongs to it
        home = Home(Path(folder) / "home")
        with EmbeddedServers(Settings(home=str(home.path))) as urls:
            yield Servers(urls, password(home.secrets, "database-superuser"))
