"""Dispatch: what is due is queued, and what is queued is published while the broker has room."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import text

from schedules import dispatch
from schedules.dispatch import Dispatch, Due
from schedules.metrics import Metrics
from tests.integration.ledger.situations import change, enqueue, row, state
from tests.integration.schedules.carrying import carried
from worker.broker import Broker, BrokerDown
from worker.contract.queues import QUEUES
from worker.contract.states import Priority, State
from worker.ledger import agenda, dispatches
from worker.ledger.engines import Ledger
from worker.ledger.records import Message


def tick(ledger: Ledger, part: Dispatch | Due) -> bool:
    with ledger.write() as connection:
        todo = agenda.read(connection)
    return part.run(todo)


def submit(ledger: Ledger, count: int = 1, **fields: object) -> list[UUID]:
    with ledger.write() as connection:
        return [enqueue(connection, **fields) for _ in range(count)]


def published(ledger: Ledger, ids: Sequence[UUID]) -> list[UUID]:
    with ledger.write() as connection:
        return [job_id for job_id in ids if row(connection, job_id)["published_at"] is not None]


def depths(broker: Broker) -> dict[str, int]:
    return {name: depth for name, depth in broker.depths(QUEUES).items() if depth}


@pytest.fixture
def part(ledger: Ledger, broker: Broker, metrics: Metrics) -> Dispatch:
    return Dispatch(ledger, broker, depth=10, metrics=metrics)


def test_queued_jobs_are_published_to_their_queue(
    ledger: Ledger, broker: Broker, part: Dispatch, metrics: Metrics
) -> None:
    ids = submit(ledger, 3) + submit(ledger, 2, queue="email")

    assert not tick(ledger, part)

    assert depths(broker) == {"web": 3, "email": 2}
    assert published(ledger, ids) == ids
    sample = metrics.registry.get_sample_value
    assert sample("jobyard_beat_dispatched_total", {"lane": "web"}) == 3


def test_the_broker_stays_shallow(ledger: Ledger, broker: Broker, part: Dispatch) -> None:
    ids = submit(ledger, 25)

    for _ in range(3):
        assert not tick(ledger, part), "there is no room, so there is nothing to do at once"

    assert depths(broker) == {"web": 10}
    assert published(ledger, ids) == ids[:10], "the oldest first"


def test_what_was_taken_makes_room(
    ledger: Ledger, broker: Broker, part: Dispatch, redis_client: redis.Redis
) -> None:
    submit(ledger, 25)
    tick(ledger, part)
    (key,) = redis_client.scan_iter("web*")
    redis_client.rpop(key, 4)

    tick(ledger, part)

    assert depths(broker) == {"web": 10}


def test_a_priority_overtakes_the_backlog(ledger: Ledger, part: Dispatch) -> None:
    submit(ledger, 20)
    urgent = submit(ledger, 2, priority=Priority.HIGH)

    tick(ledger, part)

    assert published(ledger, urgent) == urgent


def test_a_large_backlog_keeps_no_other_queue_waiting(
    ledger: Ledger, broker: Broker, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "BATCH", 5)
    part = Dispatch(ledger, broker, depth=100, metrics=metrics)
    submit(ledger, 30)
    submit(ledger, 7, queue="email")

    assert tick(ledger, part), "there is more to do at once"
    assert depths(broker) == {"web": 5, "email": 5}
    while tick(ledger, part):
        pass
    assert depths(broker) == {"web": 30, "email": 7}


def test_a_paused_queue_is_passed_over_and_the_others_are_not(
    ledger: Ledger, broker: Broker, part: Dispatch
) -> None:
    submit(ledger), submit(ledger, queue="email")
    with ledger.write() as connection:
        connection.execute(text("INSERT INTO queues (name, paused_at) VALUES ('web', now())"))

    tick(ledger, part)
    assert depths(broker) == {"email": 1}

    with ledger.write() as connection:
        connection.execute(text("UPDATE queues SET paused_at = NULL"))
    tick(ledger, part)
    assert depths(broker) == {"email": 1, "web": 1}


def test_jobs_that_must_run_alone_share_one_lane(ledger: Ledger, broker: Broker, part: Dispatch) -> None:
    for job_id in submit(ledger, 6) + submit(ledger, 6, queue="email"):
        with ledger.write() as connection:
            change(connection, job_id, wants_alone="true")

    tick(ledger, part)

    assert depths(broker) == {"isolation": 10}


def test_room_for_bundles_is_not_filled_with_what_cannot_be_bundled(
    ledger: Ledger, broker: Broker, metrics: Metrics, redis_client: redis.Redis
) -> None:
    part = Dispatch(ledger, broker, depth=10, metrics=metrics, short=["report.brief"])
    submit(ledger, 500, queue="report", kind="report.brief")
    while depths(broker).get("report", 0) < 10:
        tick(ledger, part)
    (key,) = redis_client.scan_iter("report*")
    redis_client.rpop(key, 5)
    ids = submit(ledger, 100, queue="report", kind="report.long", priority=Priority.HIGH)

    tick(ledger, part)

    assert depths(broker) == {"report": 10}
    assert published(ledger, ids) == ids[:5], "the oldest; the others wait in the ledger as before"


def test_a_backlog_of_short_jobs_is_published_in_bundles_each_of_which_is_one_message(
    ledger: Ledger, broker: Broker, metrics: Metrics
) -> None:
    part = Dispatch(ledger, broker, depth=100, metrics=metrics, short=["report.brief"])
    ids = submit(ledger, 400, queue="report", kind="report.brief")
    submit(ledger, 5, queue="email", kind="report.brief")

    for _ in range(3):
        tick(ledger, part)

    assert depths(broker) == {"report": 2 + 6, "email": 5}, "of 50 each; and too few for bundles"
    assert published(ledger, ids) == ids
    sample = metrics.registry.get_sample_value
    assert sample("jobyard_beat_dispatched_total", {"lane": "report"}) == 400


def test_bundles_leave_the_broker_as_shallow_as_single_messages(
    ledger: Ledger, broker: Broker, metrics: Metrics
) -> None:
    part = Dispatch(ledger, broker, depth=10, metrics=metrics, short=["report.brief"])
    ids = submit(ledger, 600, queue="report", kind="report.brief")

    while tick(ledger, part):
        pass
    for _ in range(5):
        tick(ledger, part)

    assert depths(broker) == {"report": 10}
    assert 10 < len(published(ledger, ids)) < 600


def test_what_follows_a_backlog_that_the_broker_holds_is_bundled_as_that_was(
    ledger: Ledger, broker: Broker, metrics: Metrics
) -> None:
    part = Dispatch(ledger, broker, depth=200, metrics=metrics, short=["report.brief"])
    submit(ledger, 100, queue="report", kind="report.render")  # of a kind that is not short
    tick(ledger, part)

    submit(ledger, 10, queue="report", kind="report.brief")
    tick(ledger, part)

    assert depths(broker) == {"report": 100 + 1}, "nobody is idle, so the ten need not be shared out"


def test_jobs_that_cannot_be_bundled_leave_it_as_shallow_beside_others_that_can(
    ledger: Ledger, broker: Broker, metrics: Metrics
) -> None:
    part = Dispatch(ledger, broker, depth=10, metrics=metrics, short=["report.brief"])
    submit(ledger, 30, queue="report", kind="report.render")

    for _ in range(3):
        tick(ledger, part)

    assert depths(broker) == {"report": 10}


def test_a_flushed_broker_has_room_whatever_the_ledger_believes(
    ledger: Ledger, broker: Broker, metrics: Metrics, redis_client: redis.Redis
) -> None:
    part = Dispatch(ledger, broker, depth=100, metrics=metrics, short=["report.brief"])
    submit(ledger, 200, queue="report", kind="report.brief")
    tick(ledger, part)
    assert depths(broker) == {"report": 2}
    redis_client.flushdb()

    tick(ledger, part)

    assert depths(broker) == {"report": 4}


def test_a_job_under_which_a_process_died_is_published_for_itself(
    ledger: Ledger, broker: Broker, metrics: Metrics
) -> None:
    ids = submit(ledger, 20, queue="report", kind="report.brief")
    with ledger.write() as connection:
        change(connection, ids[3], shared_losses="1")
        change(connection, ids[7], overran="true")

    tick(ledger, Dispatch(ledger, broker, depth=100, metrics=metrics, short=["report.brief"]))

    assert depths(broker) == {"report": 2 + 2}, "two bundles of the 18, and the two"


class DownWhilePublishing(Broker):
    """Dies between the commit and the publication."""

    def publish(self, messages: Sequence[Message]) -> None:  # noqa: ARG002 - the broker's
        raise BrokerDown("ConnectionError")


def test_what_the_broker_did_not_take_waits_for_it(
    ledger: Ledger, broker_url: str, broker: Broker, part: Dispatch, metrics: Metrics
) -> None:
    ids = submit(ledger, 3)
    down = DownWhilePublishing(broker_url)

    for _ in range(3):
        with pytest.raises(BrokerDown):
            tick(ledger, Dispatch(ledger, down, 10, metrics))
    down.close()

    assert published(ledger, ids) == []
    tick(ledger, part)
    assert depths(broker) == {"web": 3}
    with ledger.write() as connection:
        assert [row(connection, job_id)["publications"] for job_id in ids] == [1, 1, 1]


def test_a_job_is_marked_before_its_message_leaves(ledger: Ledger, broker_url: str, metrics: Metrics) -> None:
    """The other way round, a mark that comes after the claim would stay for ever."""
    (job_id,) = submit(ledger)
    marked: list[UUID] = []

    class Looking(Broker):
        def publish(self, messages: Sequence[Message]) -> None:
            marked.extend(published(ledger, [message.job_id for message in messages]))

    looking = Looking(broker_url)
    tick(ledger, Dispatch(ledger, looking, 10, metrics))
    looking.close()

    assert marked == [job_id]


def test_a_backlog_that_two_beats_find_keeps_its_order(
    ledger: Ledger,
    broker_url: str,
    part: Dispatch,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "BATCH", 3)
    ids = submit(ledger, 6)
    (mail,) = submit(ledger, queue="email")

    class Overtaken(Broker):
        """Before it sends its first batch, another beat has its turn."""

        turns = iter([part])

        def publish(self, messages: Sequence[Message]) -> None:
            for beat in self.turns:
                tick(ledger, beat)
            super().publish(messages)

    slow = Overtaken(broker_url)
    beat = Dispatch(ledger, slow, 10, Metrics())
    while tick(ledger, beat):
        pass
    slow.close()

    assert published(ledger, [mail]) == [mail]
    assert carried(redis_client) == ids


@pytest.mark.parametrize("stopped_at", ["the beginning", "the end"])
def test_a_beat_that_was_stopped_in_a_transaction_keeps_others_from_its_lane_alone(
    ledger: Ledger, broker: Broker, part: Dispatch, stopped_at: str
) -> None:
    stopped = uuid4()
    if stopped_at == "the end":
        with ledger.write() as connection:
            assert dispatches.begin(connection, stopped, "email")
    submit(ledger, queue="email"), submit(ledger)

    with ledger.write() as held:
        if stopped_at == "the end":
            dispatches.end(held, stopped)
        else:
            assert dispatches.begin(held, stopped, "email")
        began = time.monotonic()
        tick(ledger, part)
        assert time.monotonic() - began < 10.0
        assert depths(broker) == {"web": 1}
        dispatches.end(held, stopped)
    tick(ledger, part)
    assert depths(broker) == {"web": 1, "email": 1}


@pytest.fixture
def due(ledger: Ledger, metrics: Metrics) -> Due:
    return Due(ledger, metrics)


def test_a_job_whose_time_has_come_is_queued(ledger: Ledger, due: Due, metrics: Metrics) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    ready, waiting = submit(ledger, 2, scheduled_at=later)
    with ledger.write() as connection:
        change(connection, ready, due_at="now()")

    assert not tick(ledger, due)

    with ledger.write() as connection:
        assert [state(connection, job_id) for job_id in (ready, waiting)] == [State.QUEUED, State.SCHEDULED]
    assert metrics.registry.get_sample_value("jobyard_beat_due_total") == 1


def test_a_job_past_its_expiry_ends_failed_and_is_not_queued(
    ledger: Ledger, due: Due, metrics: Metrics
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    (job_id,) = submit(ledger, scheduled_at=later)
    with ledger.write() as connection:
        change(connection, job_id, due_at="now()", expires_at="now()")

    tick(ledger, due)

    with ledger.write() as connection:
        assert state(connection, job_id) == State.FAILED
    assert metrics.registry.get_sample_value("jobyard_beat_expired_total") == 1
    ended = {"kind": "unknown", "state": "failed"}  # of a kind that this beat does not know
    assert metrics.registry.get_sample_value("jobyard_jobs_finished_total", ended) == 1


def test_more_than_a_batch_is_due_over_several_rounds(
    ledger: Ledger, due: Due, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "BATCH", 4)
    ids = submit(ledger, 10)
    with ledger.write() as connection:
        for job_id in ids:
            change(connection, job_id, state="'retrying'")

    assert [tick(ledger, due) for _ in range(3)] == [True, True, False]
    with ledger.write() as connection:
        assert {state(connection, job_id) for job_id in ids} == {State.QUEUED}
