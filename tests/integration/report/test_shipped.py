"""The reports that come along, over a ledger with a past."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from sqlalchemy import Connection, Engine, RowMapping, create_engine, text

from tests.integration.report.history import SECRET, write_history
from tests.unit.worker.adapters.report.pages import text_of
from worker import definitions
from worker.adapters.report import DefinedReports
from worker.adapters.sql import Sources
from worker.contract import Fatal
from worker.contract.ports import RenderedReport, ReportOrder
from worker.settings import Settings

KNOWN = definitions.load(None)
SHIPPED = sorted(KNOWN.reports)
NOW = ("queues", "backlog")  # the one that is about no period
TABLES = [(report, table) for report in SHIPPED for table in KNOWN.reports[report].tables]
PERIOD = {"since": "2026-03-10T06:00:00Z", "until": "2026-03-11T18:00:00Z"}


@pytest.fixture(scope="module")
def ledger(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        write_history(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs, attempts"))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def jobs(ledger: Engine) -> list[RowMapping]:
    """The jobs of the period, as the ledger itself tells them."""
    statement = "SELECT * FROM jobs WHERE created_at >= :since AND created_at < :until"
    with ledger.connect() as connection:
        return list(connection.execute(text(statement), PERIOD).mappings())


def render(ledger: Engine, report: str, format_: Any, **wanted: Any) -> tuple[bytes, RenderedReport]:
    settings = Settings(database_url=ledger.url.render_as_string(hide_password=False))
    file = io.BytesIO()
    order = ReportOrder(report=report, format=format_, **({"params": PERIOD, "operator": True} | wanted))
    done = DefinedReports(KNOWN, Sources(settings, KNOWN)).render(order, file, lambda _: None)
    return file.getvalue(), done


@pytest.mark.parametrize("report", SHIPPED)
def test_no_clients_job_renders_what_tells_of_everybodys(ledger: Engine, report: str) -> None:
    with pytest.raises(Fatal, match=r"for operators: submit it as report\.oversee"):
        render(ledger, report, "csv", operator=False)


def rows(ledger: Engine, report: str, table: str) -> list[dict[str, str]]:
    content, _ = render(ledger, report, "csv", table=table)
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("format_", ["pdf", "html", "xlsx", "csv"])
@pytest.mark.parametrize("report", SHIPPED)
def test_a_report_renders_in_every_format(ledger: Engine, report: str, format_: str) -> None:
    content, done = render(ledger, report, format_)
    assert len(content) == done.bytes > 50
    assert done.truncated == ()


@pytest.mark.parametrize("report", SHIPPED)
def test_a_report_without_parameters_is_about_the_last_day_and_may_be_empty(
    ledger: Engine, report: str
) -> None:
    assert b"no rows" in render(ledger, report, "html", params={})[0]


@pytest.mark.parametrize("report", SHIPPED)
def test_a_report_shows_no_word_of_a_client(ledger: Engine, report: str) -> None:
    content, _ = render(ledger, report, "xlsx")
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
    assert len(cells) > 50
    assert not [cell for cell in cells if SECRET in cell]


def test_activity_counts_every_job_of_the_period_once(ledger: Engine, jobs: list[RowMapping]) -> None:
    states = Counter(job["state"] for job in jobs)
    (summary,) = rows(ledger, "activity", "summary")
    assert int(summary["Accepted"]) == len(jobs) > 500
    assert int(summary["Succeeded"]) == states["succeeded"]
    assert int(summary["Failed"]) == states["failed"] > 0
    assert int(summary["Cancelled"]) == states["cancelled"] > 0
    for table in ("kinds", "hours"):
        assert sum(int(row["Accepted"]) for row in rows(ledger, "activity", table)) == len(jobs)
    kinds = {row["Kind"]: int(row["Accepted"]) for row in rows(ledger, "activity", "kinds")}
    assert kinds == Counter(job["kind"] for job in jobs)
    errors = {row["Error"]: int(row["Jobs"]) for row in rows(ledger, "activity", "errors")}
    assert errors == Counter(job["error"]["type"] for job in jobs if job["state"] == "failed")


def test_activity_tells_waiting_and_running_times(ledger: Engine, jobs: list[RowMapping]) -> None:
    waited = sorted(
        (job["started_at"] - job["created_at"]).total_seconds()
        for job in jobs
        if job["kind"] == "web.fetch" and job["attempt"] == 1 and job["state"] in {"succeeded", "failed"}
    )
    (row,) = [row for row in rows(ledger, "activity", "times") if row["Kind"] == "web.fetch"]
    middle = len(waited) // 2
    assert waited[middle - 1] - 1e-6 <= float(row["Waited, median"]) <= waited[middle] + 1e-6
    at = 0.95 * (len(waited) - 1)
    assert waited[int(at)] - 1e-6 <= float(row["Waited, 95 %"]) <= waited[int(at) + 1] + 1e-6


def test_failures_count_every_attempt_that_went_wrong(ledger: Engine, jobs: list[RowMapping]) -> None:
    ids = [job["id"] for job in jobs]
    with ledger.connect() as connection:
        wrong = connection.execute(
            text(
                "SELECT job_id, error ->> 'type' AS type FROM attempts"
                " WHERE job_id = ANY(:ids) AND outcome = 'failed'"
            ),
            {"ids": ids},
        ).all()
    kinds = {job["id"]: job["kind"] for job in jobs}
    expected = Counter((kinds[attempt.job_id], attempt.type) for attempt in wrong)
    found = {(row["Kind"], row["Error"]): int(row["Times"]) for row in rows(ledger, "failures", "errors")}
    assert found == expected
    (summary,) = rows(ledger, "failures", "summary")
    assert int(summary["Attempts that failed"]) == len(wrong) > 20
    assert int(summary["Jobs that failed for good"]) == sum(job["state"] == "failed" for job in jobs)


def test_failures_can_be_narrowed_to_a_kind(ledger: Engine) -> None:
    content, _ = render(ledger, "failures", "csv", table="errors", params=PERIOD | {"kind": "email.send"})
    assert {row["Kind"] for row in csv.DictReader(io.StringIO(content.decode()))} == {"email.send"}


def test_the_slowest_jobs_come_first(ledger: Engine, jobs: list[RowMapping]) -> None:
    longest = sorted(jobs, key=lambda job: job["finished_at"] - job["started_at"], reverse=True)[:25]
    assert [row["Job"] for row in rows(ledger, "slowest", "jobs")] == [str(job["id"]) for job in longest]


def test_queues_tell_what_waits_now(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET state = 'queued' WHERE id = (SELECT id FROM jobs ORDER BY id LIMIT 1)")
        )
    (row,) = rows(ledger, "queues", "backlog")
    with ledger.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'succeeded' WHERE state = 'queued'"))
    assert row["Queued"] == "1"
    assert float(row["Oldest waits for"]) > 0


def test_the_page_of_activity_has_its_sums(ledger: Engine, jobs: list[RowMapping]) -> None:
    words = text_of(render(ledger, "activity", "pdf")[0])
    assert f"{len(jobs):,}" in words
    assert "By kind" in words
    assert "web.fetch" in words
    assert "since 2026-03-10 06:00:00 UTC" in words


@pytest.mark.parametrize(("report", "table"), [each for each in TABLES if each != NOW])
def test_only_the_days_of_the_period_are_read(ledger: Engine, report: str, table: str) -> None:
    sql = KNOWN.reports[report].tables[table].sql
    values: dict[str, Any] = dict.fromkeys(KNOWN.reports[report].parameters)
    values |= {"since": "2026-03-11T06:00:00Z", "until": "2026-03-11T18:00:00Z"}
    with ledger.connect() as connection:
        plan = _plan(connection, sql, values | ({"limit": 25} if report == "slowest" else {}))
    touched = set(re.findall(r"on (?:jobs|attempts)_(\d{8}|\w+)", plan))
    assert touched == {"20260311"}


def test_the_backlog_is_read_by_the_indexes_of_unfinished_jobs(ledger: Engine) -> None:
    with ledger.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        plan = _plan(connection, KNOWN.reports["queues"].tables["backlog"].sql, {})
    assert "Seq Scan" not in plan
    assert "_pkey" not in plan


def _plan(connection: Connection, sql: str, values: dict[str, Any]) -> str:
    return "\n".join(connection.execute(text(f"EXPLAIN {sql}"), values).scalars())
