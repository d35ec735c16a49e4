"""The gate to the ledger's server: restarts, outages, and a server that keeps silent."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually
from tests.stalls import stalls
from worker.ledger.engines import Ledger
from worker.runtime.bookkeeping import is_outage
from worker.settings import Settings

POOL = 3
LIMIT = 1  # seconds that a connect may take
TIMED_OUT = "timeout expired"  # says the driver
AT_ONCE = 0.3  # seconds, on a busy machine
REST = 0.5  # seconds after a failure until one tries again


@pytest.fixture
def wire(database_url: str) -> Iterator[Proxy]:
    with Proxy(make_url(database_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def ledger(database_url: str, wire: Proxy) -> Iterator[Ledger]:
    settings = Settings(
        database_url=make_url(database_url).set(port=wire.port).render_as_string(hide_password=False),
        database_pool_size=POOL,
        database_pool_overflow=0,
        database_connect_timeout=LIMIT,
    )
    ledger = Ledger.open(settings, "gate")
    yield ledger
    ledger.close()


def test_connections_that_the_server_ended_meanwhile_fail_nobody(ledger: Ledger, database_url: str) -> None:
    before = _use_all(ledger)

    _end_connections(database_url)

    assert _use_all(ledger).isdisjoint(before)


def test_connections_that_broke_meanwhile_fail_nobody(ledger: Ledger, wire: Proxy) -> None:
    before = _use_all(ledger)

    wire.cut()
    wire.restore()

    assert _use_all(ledger).isdisjoint(before)


def test_new_connections_that_the_server_ends_at_once_are_an_outage(
    ledger: Ledger, database_url: str
) -> None:
    _use_all(ledger)
    _end_connections(database_url)
    (engine,) = ledger.pools.values()
    connect = engine.dialect.connect

    def connect_in_vain(*args: object, **options: object) -> object:
        connection = connect(*args, **options)
        _end_connections(database_url)
        return connection

    engine.dialect.connect = connect_in_vain  # type: ignore[method-assign, assignment]  # every time
    for _ in range(POOL + 1):
        with pytest.raises(SQLAlchemyError) as caught, ledger.write():
            pass
        assert is_outage(caught.value)


def test_a_connection_in_order_is_used_again(ledger: Ledger) -> None:
    assert _use_all(ledger) == _use_all(ledger)


def test_a_silent_server_costs_its_time_limit_once_and_not_everybody(ledger: Ledger, wire: Proxy) -> None:
    wire.swallow()
    assert TIMED_OUT in _failure(ledger)

    with stalls() as machine, ThreadPoolExecutor(20) as threads:
        seconds = sorted(threads.map(_seconds_to_fail, [ledger] * 20))

    assert seconds[-2] < AT_ONCE + machine.total
    assert seconds[-1] < AT_ONCE + machine.total or machine.total > REST  # then one tries again


def test_while_one_tries_again_the_others_do_not_wait_for_it(ledger: Ledger, wire: Proxy) -> None:
    wire.swallow()
    _failure(ledger)
    (engine,) = ledger.pools.values()
    trying = threading.Event()
    connect = engine.dialect.connect

    def tell_and_connect(*args: object, **options: object) -> object:
        trying.set()
        return connect(*args, **options)

    engine.dialect.connect = tell_and_connect  # type: ignore[method-assign, assignment]  # to see it begin
    with ThreadPoolExecutor(1) as threads:
        probe = threads.submit(eventually, lambda: TIMED_OUT in _failure(ledger))
        assert trying.wait(60)
        with stalls() as machine:
            seconds = _seconds_to_fail(ledger)
        assert seconds < AT_ONCE + machine.total
        assert probe.result()


def test_after_an_outage_the_ledger_is_reached_again_within_a_second(ledger: Ledger, wire: Proxy) -> None:
    wire.cut()
    _failure(ledger)
    wire.restore()
    with stalls() as machine:
        began = time.monotonic()

        eventually(lambda: _reached(ledger))

        seconds = time.monotonic() - began
    assert seconds < 1.0 + machine.total


def _use_all(ledger: Ledger) -> set[int]:
    """Use every connection of the pool at once; returns which processes of the server answered."""
    with ledger.write() as one, ledger.write() as two, ledger.write() as three:
        return {_pid(connection) for connection in (one, two, three)}


def _pid(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _end_connections(database_url: str) -> None:
    """As a restart of the server ends them; returns once they are gone."""
    engine = create_engine(database_url)
    mine = "FROM pg_stat_activity WHERE application_name = 'jobyard-gate'"
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) {mine}"))
    engine.dispose()


def _failure(ledger: Ledger) -> str:
    with pytest.raises(OperationalError) as caught, ledger.write():
        pass
    return str(caught.value)


def _seconds_to_fail(ledger: Ledger) -> float:
    began = time.monotonic()
    _failure(ledger)
    return time.monotonic() - began


def _reached(ledger: Ledger) -> bool:
    try:
        return _pid_of_one(ledger) > 0
    except OperationalError:
        return False


def _pid_of_one(ledger: Ledger) -> int:
    with ledger.write() as connection:
        return _pid(connection)
