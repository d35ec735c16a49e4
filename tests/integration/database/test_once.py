"""However often a job is attempted, and however its attempts die, it takes effect once."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import make_url, text

from tests.awaiting import eventually
from tests.integration.database.warehouse import SOURCE, Warehouse, reasons
from worker.adapters.sql import markers
from worker.contract import Cancelled, Fatal, Retryable
from worker.definitions import Parameter
from worker.ledger.ids import floor_of, new_id

FILE = "id,name\n" + "".join(f"{number},Somebody\n" for number in range(1, 20_001))


def test_a_second_attempt_changes_nothing_and_returns_what_the_first_did(warehouse: Warehouse) -> None:
    job = str(uuid4())
    first = warehouse.load("id,name\n1,Ada\nx,Bad\n", job=job, max_rejected=1)
    # The file is not even opened again: it may be gone by then.
    second = warehouse.load(_unreadable(), job=job, max_rejected=1)
    assert second == msgspec.structs.replace(first, repeated=True)
    assert reasons(second) == reasons(first)
    assert warehouse.names() == {1: "Ada"}


def _unreadable() -> Iterator[bytes]:
    yield from ()
    raise AssertionError


def test_a_second_attempt_does_not_replace_what_came_after_the_first(warehouse: Warehouse) -> None:
    job = str(uuid4())
    warehouse.load("id,name\n1,Ada\n", job=job, mode="replace")
    warehouse.load("id,name\n2,Grace\n", mode="replace")
    warehouse.load("id,name\n1,Ada\n", job=job, mode="replace")
    assert warehouse.names() == {2: "Grace"}


def test_a_statement_is_not_run_again(warehouse: Warehouse) -> None:
    warehouse.load("id,name,age\n1,Ada,36\n")
    job = str(uuid4())
    sql = "UPDATE shop.people SET age = age + :more RETURNING age, score, born"
    runs = [
        warehouse.execute(sql, {"more": 1}, job=job, parameters={"more": Parameter(type="integer")})
        for _ in range(3)
    ]
    assert [run.repeated for run in runs] == [False, True, True]
    assert {msgspec.json.encode(run.rows) for run in runs} == {b'[{"age":37,"score":"1.5","born":null}]'}
    assert warehouse.rows("SELECT age FROM shop.people") == [(37,)]


def test_a_refused_load_may_be_tried_again(warehouse: Warehouse) -> None:
    job = str(uuid4())
    assert warehouse.load("id,name\nx,Ada\n", job=job).refusal
    assert warehouse.load("id,name\n1,Ada\n", job=job).rows_applied == 1


def test_a_load_whose_worker_is_killed_in_the_middle_of_a_copy_is_in_the_table_once(
    warehouse: Warehouse, database_url: str
) -> None:
    job = str(uuid4())
    # The COPY waits, half done, at the row that somebody else may add.
    with _rival(warehouse), _attempt(database_url, job) as attempt:
        eventually(lambda: _copying(warehouse))
        attempt.kill()
        attempt.wait()
    assert warehouse.load(FILE, job=job).rows_applied == 20_000
    assert warehouse.rows("SELECT count(*), count(DISTINCT id) FROM shop.people") == [(20_000, 20_000)]


def test_a_load_whose_worker_is_killed_after_the_commit_is_in_the_table_once(
    warehouse: Warehouse, database_url: str
) -> None:
    job = str(uuid4())
    with _attempt(database_url, job) as attempt:
        eventually(lambda: warehouse.rows("SELECT count(*) FROM shop.people") == [(20_000,)])
        attempt.kill()  # nobody has recorded an outcome, so the job is attempted again
    again = warehouse.load(FILE, job=job)
    assert (again.rows_applied, again.repeated) == (20_000, True)
    assert warehouse.rows("SELECT count(*) FROM shop.people") == [(20_000,)]


@contextmanager
def _rival(warehouse: Warehouse) -> Iterator[None]:
    """Somebody who is about to add one of the rows, and then does not."""
    with warehouse.engine.connect() as connection:
        connection.execute(text("INSERT INTO shop.people (id, name) VALUES (7000, 'Rival')"))
        yield
        connection.rollback()


@contextmanager
def _attempt(url: str, job: str) -> Iterator["subprocess.Popen[bytes]"]:
    program = [sys.executable, "-m", "tests.integration.database.attempt", url, job]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as attempt:
        assert attempt.stdin is not None
        attempt.stdin.write(FILE.encode())
        attempt.stdin.close()
        try:
            yield attempt
        finally:
            attempt.kill()


def _copying(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%COPY %' AND wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )


def test_the_statement_of_a_killed_worker_ends_before_its_time_limit(
    warehouse: Warehouse, database_url: str
) -> None:
    with _rival(warehouse), _attempt(database_url, str(uuid4())) as attempt:
        eventually(lambda: _copying(warehouse))
        attempt.kill()
        attempt.wait()
        eventually(lambda: not _copying(warehouse), seconds=30)  # the limit is 60 s


@pytest.mark.parametrize("first_ends_well", [True, False])
def test_a_twin_waits_for_the_attempt_that_is_at_it(warehouse: Warehouse, *, first_ends_well: bool) -> None:
    job, reached, go_on = str(uuid4()), threading.Event(), threading.Event()

    def between(_: int) -> None:
        reached.set()
        assert go_on.wait(30)
        if not first_ends_well:
            raise Cancelled("a cancel was requested")

    with ThreadPoolExecutor() as threads:
        first = threads.submit(warehouse.load, "id,name\n1,Ada\n", job=job, between=between)
        assert reached.wait(30)
        second = threads.submit(warehouse.load, "id,name\n1,Ada\n", job=job)
        eventually(lambda: _waiting(warehouse))
        go_on.set()
        assert second.result(30).repeated is first_ends_well
        assert (first.exception(30) is None) is first_ends_well
    assert warehouse.names() == {1: "Ada"}


def _waiting(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO shop.applied%'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    )


def test_two_that_replace_at_once_leave_the_rows_of_one(warehouse: Warehouse) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def between(_: int) -> None:
        reached.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(warehouse.load, "id,name\n1,Ada\n", mode="replace", between=between)
        assert reached.wait(30)
        second = threads.submit(warehouse.load, "id,name\n2,Grace\n", mode="replace")
        eventually(
            lambda: warehouse.rows(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LOCK %' AND wait_event_type = 'Lock'"
            )
        )
        go_on.set()
        assert first.result(30).rows_applied == second.result(30).rows_applied == 1
    assert warehouse.names() == {2: "Grace"}


def test_first_jobs_that_come_together_make_the_table_of_markers_together(warehouse: Warehouse) -> None:
    with ThreadPoolExecutor(8) as threads:
        files = [f"id,name\n{number},Ada\n" for number in range(8)]
        assert [loaded.rows_applied for loaded in threads.map(warehouse.load, files)] == [1] * 8
    assert warehouse.rows("SELECT count(*), count(DISTINCT job_id) FROM shop.applied") == [(8, 8)]


def test_a_marker_tells_kind_and_result(warehouse: Warehouse) -> None:
    job = str(uuid4())
    warehouse.load("id,name\n1,Ada\n", job=job)
    assert warehouse.rows("SELECT job_id, kind, result, rejected FROM shop.applied") == [
        (UUID(job), "database.load", {"rows_applied": 1, "rows_rejected": 0}, None)
    ]


def test_old_markers_are_deleted_a_few_at_a_time(warehouse: Warehouse) -> None:
    warehouse.load("id,name\n1,Ada\n")
    old = datetime.now(UTC) - markers.KEPT - timedelta(days=1)
    ids = [UUID(int=floor_of(old).int + number) for number in range(60)]
    young = new_id()  # of a job that is young, however old the marker says it is
    late = UUID(int=floor_of(old).int - 1)  # of a job that was made long ago and applied just now
    with warehouse.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO shop.applied (job_id, kind, applied_at) VALUES (:id, 'database.load', :at)"),
            [{"id": id_, "at": old} for id_ in [*ids, young]] + [{"id": late, "at": datetime.now(UTC)}],
        )
    warehouse.load("id,name\n2,Ada\n")
    assert warehouse.rows("SELECT count(*) FROM shop.applied") == [(1 + 62 - 50 + 1,)]
    warehouse.load("id,name\n3,Ada\n")
    left = {row[0] for row in warehouse.rows("SELECT job_id FROM shop.applied")}
    assert len(left) == 5
    assert {young, late} < left


def test_where_markers_may_not_be_made_the_client_reads_how_to_make_them(database_url: str) -> None:
    source = msgspec.structs.replace(SOURCE, markers="pg_catalog.applied")
    with Warehouse.at(database_url, source) as warehouse:
        warehouse.make()
        with pytest.raises(
            Fatal, match=r"run: CREATE TABLE pg_catalog.applied \( job_id UUID NOT NULL, .*; GRAN"
        ):
            warehouse.load("id,name\n1,Ada\n")
        assert warehouse.names() == {}
        warehouse.clear()


def test_a_table_of_markers_that_cannot_be_made_just_now_is_retried(database_url: str) -> None:
    source = msgspec.structs.replace(SOURCE, statement_timeout=1.5)
    with Warehouse.at(database_url, source) as warehouse:
        warehouse.make()
        with warehouse.engine.connect() as rival:
            rival.execute(text("CREATE TABLE shop.applied (job_id uuid)"))  # and does not commit
            with pytest.raises(Retryable, match="longer than its time limit"):
                warehouse.load("id,name\n1,Ada\n")
        assert warehouse.load("id,name\n1,Ada\n").rows_applied == 1
        warehouse.clear()


def test_what_the_client_reads_makes_the_table_of_markers(database_url: str) -> None:
    source = msgspec.structs.replace(SOURCE, markers="Nowhere.Applied")
    with Warehouse.at(database_url, source) as warehouse:
        warehouse.make()
        with pytest.raises(Fatal) as caught:
            warehouse.load("id,name\n1,Ada\n")
        statement = str(caught.value).partition("run: ")[2].partition(";")[0]
        warehouse.write(f'CREATE SCHEMA "Nowhere"; {statement}')
        assert warehouse.load("id,name\n1,Ada\n").rows_applied == 1
        warehouse.write('DROP SCHEMA "Nowhere" CASCADE')
        warehouse.clear()


def test_a_database_that_is_away_is_retried_and_its_password_stays_secret(database_url: str) -> None:
    away = make_url(database_url).set(port=1, password="hush").render_as_string(hide_password=False)
    with Warehouse.at(away) as warehouse, pytest.raises(Retryable) as caught:
        warehouse.load("id\n")
    assert str(caught.value) == "data source 'warehouse' is not available (OperationalError)"
