"""`jobyard jobs`, many at once, over a running API."""

import csv
import io
import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection

from tests.integration.api.conftest import Command
from tests.integration.ledger.situations import claimed, finish, state
from worker.contract.states import State
from worker.ledger import clients
from worker.ledger.engines import Ledger
from worker.ledger.ids import floor_of, new_id
from worker.ledger.records import JobFailure
from worker.settings import Settings


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.fixture
def failed(ledger: Ledger) -> list[UUID]:
    """Three failed jobs of a client, two of them for one cause."""
    causes = (("ServerError", "answered 500"), ("ServerError", "answered 502"), ("Fatal", "=1+1"))
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "unlucky")
        held = [claimed(connection, client_id=client.id, kind="web.fetch") for _ in causes]
        for each, (type_, message) in zip(held, causes, strict=True):
            finish(connection, *each, State.FAILED, error=JobFailure(type=type_, message=message))
    return [job_id for job_id, _ in held]


THEIRS = ("--client", "unlucky")


def test_failures_are_shown_exported_and_run_again(
    command: Command, ledger: Ledger, failed: list[UUID], tmp_path: Path
) -> None:
    shown = [
        line.split() for line in command("jobs", "failures", *THEIRS, "--since", "2h").output.splitlines()
    ]
    assert shown[1][:5] == ["2", "web.fetch", "ServerError", "answered", "N"]
    assert shown[2][:4] == ["1", "web.fetch", "Fatal", "=N+N"]

    lines = command("jobs", "export", *THEIRS, "--state", "failed").output.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(id_) for id_ in reversed(failed)]
    file = tmp_path / "failed.csv"
    assert command("jobs", "export", *THEIRS, "--format", "csv", "--output", str(file)).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["error_message"] for row in rows] == ["'=1+1", "answered 502", "answered 500"]
    assert rows[0]["client"] == "unlucky"

    wanted = (*THEIRS, "--error-type", "ServerError", "--since", "1d")
    meant = command("jobs", "retry-all", *wanted, "--dry-run").output
    assert "2 jobs are meant, of client unlucky, error type ServerError, accepted since 20" in meant
    refused = command("jobs", "retry-all", *wanted, said="n\n")
    assert refused.exit_code == 1
    assert "Run again 2 jobs, of client unlucky, error type ServerError" in refused.output
    assert command("jobs", "retry-all", *wanted, "--yes").output == "2 jobs changed\n"
    with ledger.read() as connection:
        assert [state(connection, id_) for id_ in failed] == ["queued", "queued", "failed"]
    assert command("jobs", "cancel-all", *THEIRS, "--state", "queued", said="y\n").output.endswith(
        "2 jobs changed\n"
    )


def test_a_filter_that_asks_for_nothing_is_refused(command: Command) -> None:
    answer = command("jobs", "cancel-all", "--yes")
    assert answer.exit_code == 1
    assert "a filter must ask for something" in answer.output


def test_yesterdays_jobs_of_one_client_run_again_and_nobody_elses(command: Command, ledger: Ledger) -> None:
    today = datetime.combine(datetime.now(UTC), time(), UTC)
    hours = {"before": -25, "first": -24, "last": -1, "today": 0}
    with ledger.write() as connection:
        ids = {
            (name, when): failed_at(connection, name, today + timedelta(hours=hour, minutes=5))
            for name in ("shop", "crm")
            for when, hour in hours.items()
        }
    wanted = ("--client", "shop", "--kind", "email.send", "--since", "yesterday", "--until", "today")
    said = command("jobs", "retry-all", *wanted, "--state", "failed", "--yes").output
    assert said == "2 jobs changed\n"
    listed = command("jobs", "list", *wanted).stdout
    assert [str(id_) in listed for id_ in ids.values()] == [False, True, True, False] + [False] * 4
    with ledger.read() as connection:
        again = {key for key, id_ in ids.items() if state(connection, id_) == "queued"}
    assert again == {("shop", "first"), ("shop", "last")}


def failed_at(connection: Connection, name: str, moment: datetime) -> UUID:
    """A mail of a client that was accepted at a time, and failed."""
    client = clients.ensure_client(connection, name)
    job_id = UUID(int=floor_of(moment).int + new_id().int % 2**64)
    held = claimed(connection, id=job_id, client_id=client.id, kind="email.send")
    finish(connection, *held, State.FAILED, error=JobFailure(type="Fatal", message="[/no] such mailbox"))
    return job_id


def test_a_list_shows_whose_jobs_they_are_and_strangers_words_as_they_are(
    command: Command, ledger: Ledger
) -> None:
    with ledger.write() as connection:
        job_id = failed_at(connection, "crm", datetime.now(UTC))
    shown = command("jobs", "list", "--client", "*", "--state", "failed").stdout.splitlines()
    (line,) = [line.split() for line in shown if str(job_id) in line]
    assert line[1:5] == ["crm", "email.send", "failed", "1/3"]
    assert line[5].endswith("Z")
    assert line[6:] == ["[/no]", "such", "mailbox"]


def test_a_filter_that_nothing_fits_says_what_it_was_understood_as(command: Command) -> None:
    listed = command("jobs", "list", "--queue", "reports")
    assert listed.stderr == "no job fits, of this key's client (--client NAME for another), queue reports\n"
    failures = command("jobs", "failures", "--client", "*", "--kind", "email.sent", "--since", "2026-01-31")
    wanted = "all clients, kind email.sent, accepted since 2026-01-31T00:00:00Z"
    assert failures.stderr == f"nothing failed of {wanted}\n"


@pytest.mark.parametrize("moment", ["tomorrow", "2 h", "2027-01-31T08:00:00", "5y"])
def test_what_is_no_moment_is_refused(command: Command, moment: str) -> None:
    answer = command("jobs", "failures", "--since", moment)
    assert answer.exit_code == 2
    assert "is no moment: write 2h, 7d, today, yesterday, 2027-01-31 or 2027-01-31T08:00:00Z" in answer.output
