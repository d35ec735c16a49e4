"""A broker that loses its data, again and again: everything is published again at once, the oldest first."""

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from schedules.dispatch import Dispatch
from schedules.mark import Mark
from schedules.metrics import Metrics
from schedules.reconcile import Reconcile
from schedules.rounds import Part, Round
from tests.awaiting import eventually
from tests.integration.ledger.situations import claim, enqueue, row
from tests.integration.schedules.carrying import carried
from tests.unit.schedules.stand_ins import todo
from worker.broker import Broker, BrokerDown
from worker.ledger import messages
from worker.ledger.engines import Ledger
from worker.ledger.records import Message
from worker.settings import Settings

MARKS = "jobyard.mark.*"
WITHIN = 10.0  # seconds, as the design promises


@pytest.fixture
def mark(ledger: Ledger, broker: Broker, metrics: Metrics) -> Mark:
    """A mark that lies in the broker."""
    found = Mark(ledger, broker, metrics)
    found.look()
    return found


@contextmanager
def beating(ledger: Ledger, settings: Settings, metrics: Metrics) -> Iterator[None]:
    """The broker's round of a beat with the default settings."""
    assert settings.broker_url
    broker, stopping = Broker(settings.broker_url), threading.Event()
    parts: list[Part] = [
        Dispatch(ledger, broker, settings.broker_depth, metrics),
        Reconcile(ledger, broker, settings, metrics),
    ]
    repeated = Round("broker", parts, ledger, settings.beat_tick, metrics)

    def repeat() -> None:
        while not stopping.wait(repeated.run()):
            pass
        broker.close()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def submit(ledger: Ledger, count: int, **fields: object) -> list[UUID]:
    with ledger.write() as connection:
        return [enqueue(connection, **fields) for _ in range(count)]


def publish(ledger: Ledger, broker: Broker) -> list[Message]:
    with ledger.write() as connection:
        taken = messages.take_publishable(connection, "web", 1000, alone=False)
    broker.publish(taken)
    return taken


def claimable(ledger: Ledger, redis_client: redis.Redis) -> int:
    """How many jobs have a message in the broker that a worker could claim them by."""
    with ledger.write() as connection:
        queued = set(connection.execute(text("SELECT id FROM jobs WHERE state = 'queued'")).scalars())
    return len(queued & set(carried(redis_client)))


def lost(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("jobyard_beat_reconciled_total", {"rule": "mark"}) or 0


def most_publications(ledger: Ledger) -> int:
    with ledger.write() as connection:
        return int(connection.execute(text("SELECT max(publications) FROM jobs")).scalar_one())


def unpublished(ledger: Ledger, ids: list[UUID]) -> list[UUID]:
    with ledger.write() as connection:
        return [job_id for job_id in ids if row(connection, job_id)["published_at"] is None]


def test_flushed_three_times_in_a_row_it_holds_every_job_again_within_seconds(
    ledger: Ledger, settings: Settings, metrics: Metrics, redis_client: redis.Redis
) -> None:
    submit(ledger, 1000)
    with beating(ledger, settings, metrics), beating(ledger, settings, Metrics()):
        eventually(lambda: claimable(ledger, redis_client) == 1000)
        eventually(lambda: redis_client.keys(MARKS))
        began = time.monotonic()
        for _ in range(3):
            redis_client.flushall()
            eventually(lambda: claimable(ledger, redis_client) == 1000, WITHIN)

    assert time.monotonic() - began < 2 * WITHIN
    assert most_publications(ledger) == 1, "no wait grows by what was the broker's fault"


def test_without_a_loss_nothing_is_published_twice(
    ledger: Ledger, broker: Broker, mark: Mark, metrics: Metrics, redis_client: redis.Redis
) -> None:
    ids = submit(ledger, 5)
    publish(ledger, broker)

    for beat in (mark, Mark(ledger, broker, metrics), Mark(ledger, broker, metrics)):
        beat.look()

    assert unpublished(ledger, ids) == []
    assert len(redis_client.keys(MARKS)) == 1, "one that starts knows the mark of the others"


def test_the_first_mark_accuses_nobody(
    ledger: Ledger, broker: Broker, metrics: Metrics, redis_client: redis.Redis
) -> None:
    """The version before left none."""
    ids = submit(ledger, 5)
    publish(ledger, broker)

    Mark(ledger, broker, metrics).look()

    assert unpublished(ledger, ids) == []
    assert redis_client.keys(MARKS)


def test_what_was_lost_goes_before_what_is_younger(
    ledger: Ledger, broker: Broker, metrics: Metrics, redis_client: redis.Redis
) -> None:
    dispatch = Dispatch(ledger, broker, 10, metrics)
    ids = submit(ledger, 25)
    dispatch.run(todo(publishable=True))
    redis_client.flushall()

    dispatch.run(todo(publishable=True))

    assert carried(redis_client) == ids[:10]


def test_what_is_lost_while_a_beat_looks_goes_before_what_is_younger_too(
    ledger: Ledger,
    broker: Broker,
    metrics: Metrics,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatch = Dispatch(ledger, broker, 10, metrics)
    ids = submit(ledger, 25)
    dispatch.run(todo(publishable=True))

    def flushed_depths(names: Collection[str]) -> dict[str, int]:
        redis_client.flushall()
        return dict.fromkeys(names, 0)

    with monkeypatch.context() as unlucky:
        unlucky.setattr(broker, "depths", flushed_depths)
        dispatch.run(todo(publishable=True))

    assert carried(redis_client) == ids[:10]


def test_a_loss_is_seen_while_no_job_waits_to_be_published(
    ledger: Ledger, broker: Broker, settings: Settings, metrics: Metrics, redis_client: redis.Redis
) -> None:
    reconcile = Reconcile(ledger, broker, settings, metrics)
    reconcile.run(todo(published=True))
    ids = submit(ledger, 3)
    publish(ledger, broker)
    redis_client.flushall()

    Reconcile(ledger, broker, settings, metrics).run(todo(published=True))

    assert unpublished(ledger, ids) == ids
    assert lost(metrics) == 3


def test_several_beats_that_see_a_loss_note_it_once(
    ledger: Ledger, broker: Broker, metrics: Metrics, broker_url: str, redis_client: redis.Redis
) -> None:
    submit(ledger, 50)
    publish(ledger, broker)
    brokers = [Broker(broker_url) for _ in range(4)]
    marks = [Mark(ledger, each, metrics) for each in brokers]
    for each in marks:
        each.look()
    redis_client.flushall()

    with ThreadPoolExecutor(len(marks)) as threads:
        for looked in [threads.submit(each.look) for each in marks]:
            looked.result()

    assert lost(metrics) == 50
    assert len(redis_client.keys(MARKS)) == 1
    for each in brokers:
        each.close()


def test_another_broker_is_none_that_forgot_nothing(
    ledger: Ledger, broker: Broker, mark: Mark, redis_client: redis.Redis
) -> None:
    """A replaced server may hold a mark of its own, of an earlier time."""
    ids = submit(ledger, 5)
    publish(ledger, broker)
    redis_client.flushall()
    broker.leave("of another time")

    mark.look()

    assert unpublished(ledger, ids) == ids


def test_a_loss_while_no_beat_ran_is_seen_by_the_next_one(
    ledger: Ledger, broker: Broker, mark: Mark, metrics: Metrics, redis_client: redis.Redis
) -> None:
    ids = submit(ledger, 5)
    publish(ledger, broker)
    mark.look()
    redis_client.flushall()

    Mark(ledger, broker, metrics).look()

    assert unpublished(ledger, ids) == ids


def test_what_is_being_claimed_is_left_alone(
    ledger: Ledger, broker: Broker, mark: Mark, redis_client: redis.Redis
) -> None:
    (job_id,) = submit(ledger, 1)
    publish(ledger, broker)
    redis_client.flushall()

    with ledger.write() as connection:
        assert claim(connection, job_id)
        mark.look()  # does not wait for it

    with ledger.write() as connection:
        assert row(connection, job_id)["published_at"] is not None


def test_a_full_broker_that_takes_no_mark_is_an_outage(
    ledger: Ledger, broker: Broker, mark: Mark, redis_client: redis.Redis
) -> None:
    ids = submit(ledger, 5)
    publish(ledger, broker)
    redis_client.flushall()
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerDown):
            mark.look()
    finally:
        redis_client.config_set("maxmemory", 0)
    assert unpublished(ledger, ids) == []

    mark.look()

    assert unpublished(ledger, ids) == ids


@pytest.mark.parametrize("quicker", [False, True], ids=["it remembers one later", "another beat does"])
def test_marks_that_could_not_be_remembered_do_not_pile_up(
    ledger: Ledger,
    broker: Broker,
    mark: Mark,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    *,
    quicker: bool,
) -> None:
    def fail(_connection: object) -> int:
        raise TimeoutError

    redis_client.flushall()
    with monkeypatch.context() as failing:
        failing.setattr(messages, "forget_all", fail)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                mark.look()
    assert len(redis_client.keys(MARKS)) == 1

    if quicker:
        Mark(ledger, broker, Metrics()).look()
        assert len(redis_client.keys(MARKS)) == 2
    mark.look()

    assert len(redis_client.keys(MARKS)) == 1


def test_a_mark_that_was_replaced_is_taken_away(
    broker: Broker, mark: Mark, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = redis_client.keys(MARKS)
    with monkeypatch.context() as mistaken:
        mistaken.setattr(broker, "holds", lambda _: False)
        mark.look()

    after = redis_client.keys(MARKS)
    assert len(after) == 1
    assert after != before
