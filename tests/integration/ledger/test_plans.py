"""Statements that run often must not read the history, however long it is."""

import pytest
from sqlalchemy import Connection, TextClause, text

from worker.ledger import jobs, leases


@pytest.mark.parametrize(
    "statement", [jobs._WAITING, jobs._COUNTS, leases._HELD], ids=["waiting", "counts", "held"]
)
def test_live_jobs_are_found_by_the_partial_indexes(connection: Connection, statement: TextClause) -> None:
    # A table as small as a test's would be read whole for good reasons; forbidden that, the planner shows
    # whether an index can serve at all.
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    words = {"id": "00000000-0000-0000-0000-000000000000"} if ":id" in statement.text else {}
    plan = connection.execute(text(f"EXPLAIN {statement.text}"), words).scalars().all()
    assert not [line for line in plan if "Seq Scan on jobs" in line]
    assert [line for line in plan if "Index" in line]
