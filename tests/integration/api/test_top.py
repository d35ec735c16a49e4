"""`jobyard top`, over a running API."""

from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console

from api.client import Client
from ops.cli.frame import Frame, take
from tests.integration.api.conftest import Command
from tests.integration.api.server import Server
from tests.integration.ledger.situations import claimed, enqueue, finish
from worker.contract.states import State
from worker.ledger import clients, leases
from worker.ledger.engines import Ledger
from worker.ledger.records import JobFailure
from worker.settings import Settings


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.fixture(scope="module")
def running(ledger: Ledger) -> UUID:
    """A job that runs, on a platform where others wait and failed."""
    error = JobFailure(type="ServerError", message="[bold]answered 502")
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "acme")
        leases.renew(connection, UUID(int=7), name="web@here", host="here", pid=1, queues=["web", "email"])
        finish(connection, *claimed(connection, client_id=client.id), State.FAILED, error=error)
        job_id, _ = claimed(connection, client_id=client.id, kind="web.fetch")
        for _ in range(2):
            enqueue(connection, client_id=client.id)
    return job_id


def test_one_picture_shows_queues_workers_jobs_and_failures(command: Command, running: UUID) -> None:
    shown = command("top", "--once")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    words = [line.split() for line in lines]
    assert lines[0].startswith("jobyard top  http://127.0.0.1:")
    assert ["web", "2"] in [line[:2] for line in words]
    assert ["web@here", "email,", "web"] in words
    assert [str(running), "web.fetch", "web", "acme", "1/3"] in [line[:5] for line in words]
    assert ["1", "test.kind", "ServerError", "[bold]answered", "N"] in words
    rates = {line[0]: line[1] for line in words[1:4]}
    assert rates == {"accepted": "4/min", "finished": "1/min", "failed": "1/min"}
    assert "█" in lines[1]


@pytest.mark.usefixtures("running")
def test_the_past_becomes_a_plot_and_trouble_is_told(server: Server, operator_key: str) -> None:
    shown = Console(file=StringIO(), width=100)
    with Client(f"http://127.0.0.1:{server.port}", operator_key) as client:
        frame = Frame(client.url)
        for _ in range(3):
            frame.add(take(client))
    shown.print(frame.draw(100, "no newer picture: gone"))
    assert isinstance(shown.file, StringIO)
    lines = shown.file.getvalue().splitlines()
    assert "no newer picture: gone" in lines[0]
    assert "███" in lines[1]
    assert max(map(len, lines)) <= 100


def test_who_may_not_operate_is_told_what_is_missing(command: Command, key: str) -> None:
    answer = command("top", "--once", key=key)
    assert answer.exit_code == 1
    assert "this needs a key with the scope operate" in answer.output
