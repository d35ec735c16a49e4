"""Claims and outcomes by the driver's own cursor: what fails is told as SQLAlchemy tells it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError

from tests.awaiting import eventually
from tests.integration.ledger.situations import change, claim, enqueue
from worker.ledger import calls
from worker.ledger.engines import Ledger

_SESSION = "SELECT pg_backend_pid() AS pid"
_END_WHO_WAITS = text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_claim_that_is_lost_with_its_connection_is_known_to_be_and_may_be_repeated(
    ledger: Ledger, *, at_once: bool
) -> None:
    with ledger.write() as connection:
        job_id = enqueue(connection)

    def send() -> None:
        with ledger.write_at_once() if at_once else ledger.write() as connection:
            assert claim(connection, job_id)

    def end_who_waits() -> bool:
        with ledger.write() as connection:
            return bool(connection.execute(_END_WHO_WAITS).scalar())

    with ThreadPoolExecutor(1) as thread:
        with ledger.write() as connection:
            change(connection, job_id, progress="'1'")
            sent = thread.submit(send)
            eventually(end_who_waits)
            with pytest.raises(DBAPIError) as lost:
                sent.result()
        assert lost.value.connection_invalidated
        thread.submit(send).result()


def test_with_a_lost_connection_those_that_were_opened_with_it_are_given_up(ledger: Ledger) -> None:
    def sessions() -> set[int]:
        with ledger.write_at_once() as one, ledger.write_at_once() as other:
            return {calls.rows(each, _SESSION, {})[0]["pid"] for each in (one, other)}

    before = sessions()
    with pytest.raises(DBAPIError), ledger.write_at_once() as connection:
        calls.rows(connection, "SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert not before & sessions()


def test_what_the_server_refuses_leaves_the_connection_as_it_was(ledger: Ledger) -> None:
    with ledger.write_at_once() as connection:
        with pytest.raises(DataError) as refused:
            calls.rows(connection, "SELECT CAST(%(word)s AS json)", {"word": "a client's own"})
        assert not refused.value.connection_invalidated
        assert refused.value.params is None
        assert refused.value.hide_parameters
        assert calls.rows(connection, "SELECT %(word)s AS word", {"word": "on"}) == [{"word": "on"}]
