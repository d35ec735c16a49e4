"""Statements that run often must not read the history, however long it is."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import Connection, TextClause, text

from tests.integration.ledger.situations import CLIENT
from worker.contract.states import State
from worker.ledger import artifacts, batches, dispatches, jobs, leases, messages
from worker.ledger.batches import BatchFilter
from worker.ledger.ids import new_id
from worker.ledger.jobs import JobFilter

_NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "statement",
    [jobs._COUNTS, leases._HELD, messages._LOST_IN_LANES, messages._STALE, dispatches._UNSENT],
    ids=["counts", "held", "lost in lanes", "stale", "unsent"],
)
def test_live_jobs_are_found_by_the_partial_indexes(connection: Connection, statement: TextClause) -> None:
    # A table as small as a test's would be read whole for good reasons; forbidden that, the planner shows
    # whether an index can serve at all.
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    given = {"id": UUID(int=0), "lanes": ["web"], "isolation": "isolation", "age": 3.0, "moments": [_NOW]}
    words = {name: given[name] for name in statement.compile().params}
    plan = connection.execute(text(f"EXPLAIN {statement.text}"), words).scalars().all()
    assert not [line for line in plan if "Seq Scan on jobs" in line]
    assert [line for line in plan if "Index" in line]
    assert not [line for line in plan if "pkey" in line]


def plan_of(connection: Connection, statement: TextClause, words: dict[str, object]) -> list[str]:
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    return list(connection.execute(text(f"EXPLAIN {statement.text}"), words).scalars())


@pytest.mark.parametrize(
    ("states", "index"),
    [
        (None, "client_id_id_idx "),
        ({State.SUCCEEDED}, "client_id_id_idx "),
        ({State.QUEUED}, "client_id_id_idx1"),
        ({State.FAILED, State.CANCELLED}, "client_id_id_idx2"),
    ],
)
def test_a_list_reads_the_index_that_holds_its_states(
    connection: Connection, states: set[State] | None, index: str
) -> None:
    wanted = JobFilter(client_id=CLIENT, states=states and frozenset(states))
    lines = plan_of(connection, *jobs._statement(wanted, 10, new_id()))
    scans = [line + " " for line in lines if "Index" in line and "using" in line]
    assert scans
    assert all(index in line for line in scans), lines


def test_everybodys_running_jobs_are_read_from_their_own_index(connection: Connection) -> None:
    wanted = JobFilter(states=frozenset({State.RUNNING}))
    lines = plan_of(connection, *jobs._statement(wanted, 10, None))
    scans = [line for line in lines if "Scan" in line and " jobs_" in line]
    assert scans
    assert all("worker_id_idx" in line for line in scans), lines


def test_a_batch_is_counted_by_its_own_index_in_its_own_days(connection: Connection) -> None:
    lines = plan_of(connection, batches._COUNTS, dict(batches._words(new_id())))
    scans = [line for line in lines if "using" in line]
    assert all("batch_id" in line for line in scans)
    assert len(scans) <= 3  # its day, the next one near midnight, and the strays


@pytest.mark.parametrize(("finished", "index"), [(None, "batches_client "), (False, "batches_client_open ")])
def test_a_list_of_batches_reads_the_index_that_holds_them(
    connection: Connection, *, finished: bool | None, index: str
) -> None:
    wanted = BatchFilter(client_id=CLIENT, finished=finished)
    lines = plan_of(connection, *batches._statement(wanted, 10, new_id()))
    assert [line for line in lines if f"using {index}" in line], lines


def test_what_a_client_keeps_uploaded_is_counted_in_an_index(connection: Connection) -> None:
    lines = plan_of(connection, artifacts._UPLOADS, {"client_id": CLIENT, "most": 10})
    assert [line for line in lines if "using artifacts_uploads on" in line], lines
