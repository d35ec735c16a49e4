"""What follows from an end, settled by a beat."""

from collections.abc import Iterable
from uuid import UUID

import pytest
from sqlalchemy import text

from schedules.followups import FollowUps
from schedules.metrics import Metrics
from tests.integration.ledger.situations import CLIENT, claim, enqueue, finish, row, state
from tests.unit.schedules.stand_ins import todo
from worker import catalog
from worker.contract.states import State
from worker.enqueue import Enqueuer
from worker.ledger import batches, transitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.notices import Notices


class FakeNotices(Notices):
    """Remembers of what it was to tell."""

    def __init__(self) -> None:
        super().__init__("amqp://127.0.0.1:1//")
        self.told: list[UUID] = []

    def ended(self, ids: Iterable[UUID]) -> None:
        self.told.extend(ids)


@pytest.fixture
def notices() -> FakeNotices:
    return FakeNotices()


@pytest.fixture
def part(ledger: Ledger, metrics: Metrics, notices: FakeNotices) -> FollowUps:
    return FollowUps(ledger, Enqueuer(catalog.load()), metrics, notices)


def told(ledger: Ledger) -> int:
    with ledger.write() as connection:
        callbacks = text("SELECT count(*) FROM jobs WHERE kind = 'webhook.deliver'")
        return int(connection.execute(callbacks).scalar_one())


def test_a_client_is_not_told_again_of_an_end_because_another_job_waits_for_it_again(
    ledger: Ledger, part: FollowUps
) -> None:
    with ledger.write() as connection:
        first = enqueue(connection, followed=True, callback="https://example.org/hook")
        after = enqueue(connection, after=[first], unmet=[first])
        transitions.cancel(connection, after, "client")
        token = claim(connection, first)
        assert token
        finish(connection, first, token, State.SUCCEEDED)
    part.run(todo(ended=True))
    assert told(ledger) == 1

    with ledger.write() as connection:
        transitions.run_again(connection, after, "client")
    part.run(todo(ended=True))

    assert told(ledger) == 1
    with ledger.write() as connection:
        assert row(connection, after)["waits_for"] == 0


def test_a_client_is_told_of_a_second_end_although_another_job_learned_of_the_first_meanwhile(
    ledger: Ledger, part: FollowUps
) -> None:
    with ledger.write() as connection:
        first = enqueue(connection, followed=True, callback="https://example.org/hook")
        after = enqueue(connection, after=[first], unmet=[first])
        transitions.cancel_all(connection, [first, after], "client")
    part.run(todo(ended=True))
    assert told(ledger) == 1

    with ledger.write() as connection:
        transitions.run_again(connection, after, "client")
        transitions.run_again(connection, first, "client")
        transitions.cancel(connection, first, "client")
    part.run(todo(ended=True))

    assert told(ledger) == 2
    with ledger.write() as connection:
        assert state(connection, after) is State.FAILED


def test_what_fails_with_another_job_is_counted_by_its_kind(
    ledger: Ledger, part: FollowUps, metrics: Metrics
) -> None:
    metrics.expect(["web.fetch"], [])
    with ledger.write() as connection:
        first = enqueue(connection, followed=True)
        for _ in range(2):
            enqueue(connection, kind="web.fetch", after=[first], unmet=[first])
        transitions.cancel(connection, first, "client")

    part.run(todo(ended=True))

    failed = {"kind": "web.fetch", "state": "failed"}
    assert metrics.registry.get_sample_value("jobyard_jobs_finished_total", failed) == 2


def test_whoever_waits_for_a_batch_or_for_a_job_that_fails_with_another_is_told(
    ledger: Ledger, part: FollowUps, notices: FakeNotices
) -> None:
    batch = batches.NewBatch(id=new_id(), client_id=CLIENT, size=2)
    with ledger.write() as connection:
        batches.add(connection, batch)
        first = enqueue(connection, followed=True, batch_id=batch.id)
        after = enqueue(connection, followed=True, batch_id=batch.id, after=[first], unmet=[first])
        transitions.cancel(connection, first, "client")

    part.run(todo(ended=True))

    assert notices.told == [after, batch.id]
