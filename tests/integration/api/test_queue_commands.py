"""`jobyard queues`, over a running API."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.integration.api.conftest import Command
from tests.integration.ledger.situations import claimed, enqueue, finish
from worker.contract.states import State
from worker.ledger import queues
from worker.ledger.engines import Ledger
from worker.settings import Settings


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.fixture(autouse=True)
def _empty(ledger: Ledger) -> Iterator[None]:
    yield
    with ledger.write() as connection:
        for table in ("jobs", "attempts", "queues"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a name from here


def waiting(ledger: Ledger, queue: str = "web") -> int:
    with ledger.write() as connection:
        return queues.waiting(connection, [queue])[queue].depth


def test_queues_are_listed_with_what_waits(command: Command, ledger: Ledger) -> None:
    with ledger.write() as connection:
        enqueue(connection)
        claimed(connection, queue="email")
    shown = {line.split()[0]: line.split() for line in command("queues").output.splitlines()}
    assert shown["queue"][:3] == ["queue", "waiting", "oldest"]
    assert shown["web"][1] == "1"
    assert shown["email"][1:3] == ["0", "1"]
    assert shown["report"][-1] == "none"  # no worker


def test_a_queue_is_paused_and_resumed(command: Command) -> None:
    assert "web is paused since 20" in command("queues", "pause", "web").output
    assert "by operator ada" in command("queues", "list").output
    assert command("queues", "resume", "web").output == "web goes on; 0 wait, 0 run\n"


def test_a_drain_waits_for_what_runs(command: Command, ledger: Ledger) -> None:
    with ledger.write() as connection:
        held = claimed(connection)
    impatient = command("queues", "drain", "web", "--timeout", "0.1")
    assert impatient.exit_code == 1
    assert "web is paused, and jobs of it still run after 0.1 s" in impatient.output
    with ledger.write() as connection:
        finish(connection, *held, State.SUCCEEDED)
    drained = command("queues", "drain", "web")
    assert drained.exit_code == 0
    assert "web is drained" in drained.output
    with ledger.read() as connection:
        assert set(queues.paused(connection)) == {"web"}


def test_a_purge_asks_first(command: Command, ledger: Ledger) -> None:
    with ledger.write() as connection:
        for _ in range(3):
            enqueue(connection)
    assert command("queues", "purge", "web", "--dry-run").output == "3 jobs would be cancelled\n"
    refused = command("queues", "purge", "web", said="n\n")
    assert refused.exit_code == 1
    assert "Cancel 3 jobs that wait in web?" in refused.output
    assert waiting(ledger) == 3
    assert command("queues", "purge", "web", "--yes").output == "3 jobs cancelled\n"
    assert waiting(ledger) == 0


def test_who_may_not_operate_is_told_what_is_missing(command: Command, key: str) -> None:
    for words in (["queues"], ["queues", "pause", "web"], ["queues", "purge", "web", "--yes"]):
        answer = command(*words, key=key)
        assert answer.exit_code == 1
        assert "this needs a key with the scope operate" in answer.output
        assert "`jobyard keys add CLIENT --scopes operate` makes one" in answer.output


def test_a_queue_that_there_is_not_is_named(command: Command) -> None:
    assert "there is no queue 'wbe': email, web" in command("queues", "pause", "wbe").output
