"""`jobyard jobs`, many at once, over a running API."""

import csv
import io
import json
from pathlib import Path
from uuid import UUID

import pytest

from tests.integration.api.conftest import Command
from tests.integration.ledger.situations import claimed, finish, state
from worker.contract.states import State
from worker.ledger import clients
from worker.ledger.engines import Ledger
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
    assert command("jobs", "retry-all", *wanted, "--dry-run").output == "2 jobs are meant\n"
    assert command("jobs", "retry-all", *wanted, said="n\n").exit_code == 1
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


@pytest.mark.parametrize("moment", ["yesterday", "2 h", "2027-01-31", "2027-01-31T08:00:00", "5y"])
def test_what_is_no_moment_is_refused(command: Command, moment: str) -> None:
    answer = command("jobs", "failures", "--since", moment)
    assert answer.exit_code == 2
    assert "is no moment: write 2h, 7d or 2027-01-31T08:00:00Z" in answer.output
