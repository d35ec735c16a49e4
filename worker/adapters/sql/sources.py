"""Connections to data sources, each for one transaction of one job."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from worker.adapters.sql.failures import translated
from worker.contract import Fatal
from worker.definitions import LEDGER, Definitions, Source
from worker.ledger.engines import connect_args, for_psycopg2
from worker.settings import PREFIX, Settings, source_variable

_SHORTEST = 0.001  # seconds; 0 would be no limit at all


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
            known = ", ".join(sorted(self._definitions.sources)) or "none"
            raise Fatal(f"there is no data source {name!r}; there are: {known}")
        return source

    @contextmanager
    def reading(self, name: str) -> Iterator[Connection]:
        """A transaction that only reads, and sees one state of the source throughout.

        Raises:
            Fatal: there is no such source, or PostgreSQL refuses what is asked of it.
            Retryable: it is away, or a statement ran out of time.
        """
        with self._connected(name, "-c default_transaction_read_only=on") as connection:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            yield connection.execution_options(**options)

    @contextmanager
    def writing(self, name: str, timeout: float | None = None) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by an exception. Raises as `reading` does.

        Args:
            name: of the source.
            timeout: seconds that a statement may run, where the source does not allow less.
        """
        if name == LEDGER:
            raise Fatal(
                f"nothing can be written to the data source {name!r}: it is the platform's own ledger"
            )
        with self._connected(name, timeout=timeout) as opened:
            # Each statement sees what others have committed meanwhile: the marker of a twin attempt, for one.
            connection = opened.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                _end_with_the_client(connection)
                yield connection

    @contextmanager
    def _connected(self, name: str, options: str = "", timeout: float | None = None) -> Iterator[Connection]:
        engine = self._engine(name, options, timeout)
        with translated(name), engine.connect() as connection:
            yield connection

    def _engine(self, name: str, options: str, timeout: float | None) -> Engine:
        allowed = self.find(name).statement_timeout
        timeout = allowed if timeout is None else max(min(timeout, allowed), _SHORTEST)
        connect = connect_args(self._settings, "source", timeout)
        connect["options"] += f" {options}"  # holds after a query that ends its transaction, too
        return create_engine(
            for_psycopg2(self._url(name)),
            poolclass=NullPool,  # a job is long and rare; nothing is kept open between two of them
            hide_parameters=True,
            client_encoding="utf8",
            connect_args=connect,
        )

    def _url(self, name: str) -> str:
        own = self._settings.database_read_url or self._settings.database_url
        url = own if name == LEDGER else self._settings.sources.get(name)
        if url is None:
            variable = PREFIX + "DATABASE_URL" if name == LEDGER else source_variable(name)
            raise Fatal(f"the data source {name!r} has no database: set {variable}")
        return url


def _end_with_the_client(connection: Connection) -> None:
    """Let the server end a statement whose worker was killed, instead of holding its locks to the end."""
    # New in PostgreSQL 14, and not on every system; where it is refused, the statement's time limit is left.
    try:
        with connection.begin_nested():
            connection.execute(text("SET LOCAL client_connection_check_interval = '1s'"))
    except DBAPIError:
        if connection.invalidated:  # it was no refusal: the connection is gone
            raise
