"""Connections to data sources, each for one transaction of one job."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, NullPool, create_engine

from worker.adapters.sql.failures import translated
from worker.contract import Fatal
from worker.definitions import Definitions, Source
from worker.ledger.engines import connect_args, for_psycopg2
from worker.settings import PREFIX, Settings

LEDGER = "ledger"  # the shipped source that is the platform's own ledger


class Sources:
    """Opens the data sources that the definitions name."""

    def __init__(self, settings: Settings, definitions: Definitions) -> None:
        self._settings = settings
        self._definitions = definitions

    def find(self, name: str) -> Source:
        """A source's definition.

        Raises:
            Fatal: there is none of that name.
        """
        source = self._definitions.sources.get(name)
        if source is None:
            raise Fatal(f"there is no data source {name!r}")
        return source

    @contextmanager
    def reading(self, name: str) -> Iterator[Connection]:
        """A transaction that only reads, and sees one state of the source throughout.

        Raises:
            Fatal: there is no such source, or PostgreSQL refuses what is asked of it.
            Retryable: it is away, or a statement ran out of time.
        """
        with self._connected(name) as connection:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            yield connection.execution_options(**options)

    @contextmanager
    def writing(self, name: str) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by an exception. Raises as `reading` does."""
        if name == LEDGER:
            raise Fatal(
                f"nothing can be written to the data source {name!r}: it is the platform's own ledger"
            )
        with self._connected(name) as connection, connection.begin():
            yield connection

    @contextmanager
    def _connected(self, name: str) -> Iterator[Connection]:
        engine = self._engine(name)
        with translated(name), engine.connect() as connection:
            yield connection

    def _engine(self, name: str) -> Engine:
        timeout = self.find(name).statement_timeout
        return create_engine(
            for_psycopg2(self._url(name)),
            poolclass=NullPool,  # a job is long and rare; nothing is kept open between two of them
            hide_parameters=True,
            connect_args=connect_args(self._settings, "source", timeout),
        )

    def _url(self, name: str) -> str:
        own = self._settings.database_read_url or self._settings.database_url
        url = own if name == LEDGER else self._settings.sources.get(name)
        if url is None:
            raise Fatal(f"the data source {name!r} has no database: set {PREFIX}SOURCE_{name.upper()}_URL")
        return url
