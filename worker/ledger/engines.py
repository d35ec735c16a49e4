"""Connections to the ledger: one engine that writes, one that reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, make_url

from worker.ledger.gate import Gate
from worker.settings import Settings

_SILENCE = 10.0  # seconds
_LEASE_CONNECT = 2  # seconds that a worker's heartbeats give a new connection
_SHORTEST_SILENCE = 1.0  # seconds: a connection in order may be late by less


class Ledger:
    """The engines of one process. Create it after a fork; a child that inherited one calls `disown`."""

    def __init__(self, write: Engine, read: Engine) -> None:
        self._write = write
        self._read = read

    @classmethod
    def open(cls, settings: Settings, role: str) -> "Ledger":
        """Engines after the settings; nothing is connected before the first use.

        Args:
            settings: their `database_url` must be set.
            role: who connects, as PostgreSQL's `pg_stat_activity` shows it.
        """
        write = _engine(settings, writing_url(settings), role)
        read_url = settings.database_read_url
        return cls(write, _engine(settings, for_psycopg2(read_url), role) if read_url else write)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction on the writing server: committed at the end, rolled back by an exception."""
        with self._write.begin() as connection:
            yield connection

    @contextmanager
    def write_at_once(self) -> Iterator[Connection]:
        """For one statement; see `at_once`."""
        with self._write.connect() as connection, at_once(connection):
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, on the replica where there is one."""
        with self._read.connect() as connection:
            yield connection

    @property
    def pools(self) -> dict[str, Engine]:
        """The engines by what they do, for the metrics of their pools."""
        return {"write": self._write} | ({} if self._read is self._write else {"read": self._read})

    def close(self) -> None:
        """Close all connections."""
        for pool in self.pools.values():
            pool.dispose()

    def disown(self) -> None:
        """Forget inherited connections without closing them: they belong to the parent process."""
        for pool in self.pools.values():
            pool.dispose(close=False)


@contextmanager
def at_once(connection: Connection) -> Iterator[None]:
    """Make each statement a transaction of its own: nothing is sent before it and after it.

    Not by SQLAlchemy's level AUTOCOMMIT, which asks the server for the usual level at the end: three more
    messages to and fro.
    """
    driver: Any = connection.connection.driver_connection
    driver.autocommit = True
    try:
        yield
    finally:
        if not driver.closed:
            driver.autocommit = False


def writing_url(settings: Settings) -> URL:
    """The URL of the ledger, for psycopg2.

    Raises:
        ValueError: there is none in the settings.
    """
    if settings.database_url is None:
        raise ValueError("no ledger: set JOBYARD_DATABASE_URL, or run `jobyard up`")
    return for_psycopg2(settings.database_url)


def connect_args(
    settings: Settings, role: str, statement_timeout: float, silence: float = _SILENCE
) -> dict[str, Any]:
    """What every connection is opened with; times are in seconds.

    Args:
        settings: with the time that a connect may take.
        role: who connects.
        statement_timeout: how long a statement may run.
        silence: after which a server that vanished without a word counts as gone, about.
    """
    return {
        "connect_timeout": settings.database_connect_timeout,
        "application_name": f"jobyard-{role}",
        "options": f"-c statement_timeout={_milliseconds(statement_timeout)} -c timezone=UTC"
        " -c jit=off",  # compiling a short statement costs more than running it
        **{f"keepalives_{name}": value for name, value in _keepalives(silence).items()},
        "tcp_user_timeout": _milliseconds(silence),
    }


def ledger_args(
    settings: Settings, role: str, statement_timeout: float, silence: float = _SILENCE, idle: float = 0.0
) -> dict[str, Any]:
    """`connect_args` for the ledger, whose server shall not keep the locks of a client that vanished either.

    Its own keepalives would tell after two hours, and whatever passes over locked rows would pass over
    these for as long.

    Args:
        settings: with the time that a transaction may wait.
        role: who connects.
        statement_timeout: how long a statement may run.
        silence: after which the other side counts as gone, about.
        idle: how long a transaction may wait for its next statement; 0: as the settings say.
    """
    given = connect_args(settings, role, statement_timeout, silence)
    bounds = {
        "idle_in_transaction_session_timeout": _milliseconds(idle or settings.database_idle_timeout),
        "client_connection_check_interval": 1000,  # ms: a statement that waits ends with who sent it
        **{f"tcp_keepalives_{name}": value for name, value in _keepalives(silence).items()},
        "tcp_user_timeout": _milliseconds(silence),
    }
    options = "".join(f" -c {name}={value}" for name, value in bounds.items())
    return given | {"options": given["options"] + options}


def lease_args(settings: Settings) -> dict[str, Any]:
    """`ledger_args` for heartbeats: a lost connection is noticed, and replaced, within the lease.

    The row of the lease may be locked by the session that was lost, so the server ends that as soon.
    """
    silence = max(settings.heartbeat, _SHORTEST_SILENCE)
    given = ledger_args(settings, "lease", settings.heartbeat, silence, idle=silence)
    return given | {"connect_timeout": min(settings.database_connect_timeout, _LEASE_CONNECT)}


def _keepalives(silence: float) -> dict[str, int]:
    """Half of the silence passes before the first probe, and the rest between three."""
    return {"idle": max(1, round(silence / 2)), "interval": max(1, round(silence / 6)), "count": 3}


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def for_psycopg2(url: str) -> URL:
    """A URL of settings as the driver takes it."""
    # libpq asks Kerberos at each connect, unless it is told otherwise: slow, and no thing to do beside forks.
    plain = {"gssencmode": "disable"}
    given = make_url(url).set(drivername="postgresql+psycopg2")
    return given.update_query_dict({name: plain[name] for name in plain.keys() - given.query.keys()})


def _engine(settings: Settings, url: URL, role: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        pool_timeout=settings.database_pool_timeout,
        pool_recycle=settings.database_pool_recycle,
        pool_use_lifo=True,  # lets connections that a peak opened grow old and be recycled
        hide_parameters=True,  # payloads must not reach logs and errors
        connect_args=ledger_args(settings, role, settings.database_statement_timeout),
    )
    Gate().guard(engine)
    return engine
