"""A client of the ledger that vanishes without a word in the middle of a transaction."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually
from tests.integration.ledger.situations import change, claim, claimed, enqueue, state
from worker.contract.states import State
from worker.ledger import transitions
from worker.ledger.engines import Ledger
from worker.settings import Settings

IDLE = 3.0  # seconds

_WAITING = text("""
    SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobyard-far' AND wait_event_type = 'Lock'
""")


@pytest.fixture
def wire(database_url: str) -> Iterator[Proxy]:
    with Proxy(make_url(database_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def far(database_url: str, wire: Proxy) -> Iterator[Ledger]:
    """The ledger, as a machine sees it that will lose its network."""
    url = make_url(database_url).set(port=wire.port).render_as_string(hide_password=False)
    ledger = Ledger.open(Settings(database_url=url, database_idle_timeout=IDLE), "far")
    yield ledger
    ledger.close()


def test_its_jobs_are_rescued_although_it_held_their_locks(ledger: Ledger, far: Ledger, wire: Proxy) -> None:
    with ledger.write() as connection:
        job_id, _ = claimed(connection)

    def rescued() -> bool:
        with ledger.write() as connection:
            return job_id in transitions.rescue(connection, 0.0, 3)

    holding = far._write.connect()
    change(holding, job_id, progress="'1'")
    wire.silence()
    try:
        assert not rescued()
        eventually(rescued)
    finally:
        holding.invalidate()
        holding.close()


def test_a_claim_that_waits_ends_with_who_sent_it(ledger: Ledger, far: Ledger, wire: Proxy) -> None:
    with ledger.write() as connection:
        job_id = enqueue(connection)

    def claim_from_afar() -> None:
        with far.write_at_once() as connection:
            claim(connection, job_id)

    with ThreadPoolExecutor(1) as thread, ledger.write() as connection:
        change(connection, job_id, progress="'1'")
        sent = thread.submit(claim_from_afar)
        eventually(lambda: waiting(ledger) == 1)
        wire.cut()
        with pytest.raises(OperationalError):
            sent.result()
        eventually(lambda: waiting(ledger) == 0, seconds=5.0)  # and not by its own limit
    with ledger.write() as connection:
        assert state(connection, job_id) == State.QUEUED


def waiting(ledger: Ledger) -> int:
    """How many statements of the far side wait for a lock."""
    with ledger.write() as connection:
        found: int = connection.execute(_WAITING).scalar_one()
    return found


def test_the_server_looks_for_clients_that_vanished(far: Ledger) -> None:
    with far.read() as connection:
        names = ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"]
        shown = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    assert shown == ["5", "2", "3", "10000"]
