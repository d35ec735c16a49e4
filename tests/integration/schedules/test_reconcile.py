"""Whatever the broker loses, every job is run, and none of them often."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import text

from ops.chaos.proxy import Proxy
from schedules import reconcile
from schedules.dispatch import Dispatch
from schedules.metrics import Metrics
from schedules.reconcile import Reconcile
from schedules.rounds import Part, Round
from tests.awaiting import eventually
from tests.integration.ledger.situations import WORKER, change, enqueue, row
from tests.unit.schedules.stand_ins import todo
from worker.broker import Broker, BrokerDown, connect
from worker.contract.states import State
from worker.ledger import agenda, dispatches, messages, transitions
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.records import Bundle, Claim, Message, Outcome
from worker.settings import Settings

DEPTH = 50


class Consumer:
    """A worker reduced to what matters here: takes messages, claims their jobs, and records outcomes."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self._ledger = ledger
        self._url = url
        self.messages: Counter[UUID] = Counter()  # taken, by job
        self.pace = 0.001  # seconds between two messages
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def working(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()

    def take(self) -> UUID | None:
        """One message off the broker, and into the hands of this worker."""
        with connect(self._url) as connection:
            return self._take(connection.default_channel)

    def _take(self, channel: object) -> UUID | None:
        message = channel.basic_get("web", no_ack=True)  # type: ignore[attr-defined]
        if message is None:
            return None
        job_id = UUID(message.headers["id"])
        self.messages[job_id] += 1
        return job_id

    def _run(self) -> None:
        with connect(self._url) as connection:
            channel = connection.default_channel
            while not self._stopping.wait(self.pace):
                if job_id := self._take(channel):
                    self.work(job_id)

    def work(self, job_id: UUID) -> None:
        wish = Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=False)
        with self._ledger.write() as connection:
            held = transitions.claim(connection, [wish])
        for job in held:
            outcome = Outcome(job_id=job.id, token=job.token, worker="w", state=State.SUCCEEDED)
            with self._ledger.write() as connection:
                transitions.finish(connection, [outcome])


@pytest.fixture
def consumer(ledger: Ledger, broker_url: str) -> Consumer:
    return Consumer(ledger, broker_url)


@pytest.fixture
def beat(
    ledger: Ledger, broker: Broker, settings: Settings, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The broker's round, with all its times shortened."""
    monkeypatch.setattr(reconcile, "EVERY", 0.1)
    monkeypatch.setattr(reconcile, "SELDOM", 0.3)
    hasty = Settings(
        database_url=settings.database_url,
        broker_url=settings.broker_url,
        reconcile_empty=0.5,
        reconcile_overtaken=0.5,
        reconcile_stale=5.0,
    )
    parts: list[Part] = [Dispatch(ledger, broker, DEPTH, metrics), Reconcile(ledger, broker, hasty, metrics)]
    repeated, stopping = Round("broker", parts, ledger, 0.05, metrics), threading.Event()

    def repeat() -> None:
        while not stopping.wait(repeated.run()):
            pass

    thread = threading.Thread(target=repeat)
    thread.start()
    yield
    stopping.set()
    thread.join()


def submit(ledger: Ledger, count: int) -> list[UUID]:
    with ledger.write() as connection:
        return [enqueue(connection) for _ in range(count)]


def left(ledger: Ledger) -> int:
    with ledger.write() as connection:
        unfinished = text("SELECT count(*) FROM jobs WHERE state <> 'succeeded'")
        return int(connection.execute(unfinished).scalar_one())


def published(ledger: Ledger) -> int:
    with ledger.write() as connection:
        marked = text("SELECT count(*) FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL")
        return int(connection.execute(marked).scalar_one())


def reconciled(metrics: Metrics, rule: str) -> float:
    return metrics.registry.get_sample_value("jobyard_beat_reconciled_total", {"rule": rule}) or 0


def all_done(ledger: Ledger) -> Callable[[], bool]:
    return lambda: left(ledger) == 0


@pytest.mark.usefixtures("beat")
def test_after_a_flush_every_job_is_run(
    ledger: Ledger, consumer: Consumer, redis_client: redis.Redis
) -> None:
    ids = submit(ledger, 400)
    with consumer.working():
        eventually(lambda: left(ledger) < 380)
        redis_client.flushdb()
        eventually(lambda: left(ledger) < 200)
        redis_client.flushdb()
        eventually(all_done(ledger), 60)

    assert set(consumer.messages) == set(ids)
    assert max(consumer.messages.values()) <= 3


@pytest.mark.usefixtures("beat")
def test_a_message_lost_out_of_a_busy_queue_is_published_again(
    ledger: Ledger, consumer: Consumer, metrics: Metrics
) -> None:
    submit(ledger, 300)
    eventually(lambda: published(ledger) == DEPTH)
    lost = [consumer.take() for _ in range(3)]
    consumer.messages.clear()
    consumer.pace = 0.02

    with consumer.working():
        eventually(lambda: all(consumer.messages[job_id] for job_id in lost if job_id))
        assert left(ledger) > 0, "the queue was busy all the time"
        eventually(all_done(ledger), 60)

    assert reconciled(metrics, "overtaken") >= 3


@pytest.mark.usefixtures("beat")
def test_what_a_worker_took_into_its_grave_is_published_again(ledger: Ledger, consumer: Consumer) -> None:
    submit(ledger, 5)
    eventually(lambda: published(ledger) == 5)
    for _ in range(5):
        assert consumer.take()

    with consumer.working():
        eventually(all_done(ledger))

    assert set(consumer.messages.values()) == {2}


@pytest.mark.usefixtures("beat")
def test_a_publisher_that_died_before_publishing_is_made_up_for(ledger: Ledger, consumer: Consumer) -> None:
    """The API commits a job as published, and is killed."""
    with ledger.write() as connection:
        enqueue(connection, published=True)

    with consumer.working():
        eventually(all_done(ledger))


@pytest.mark.usefixtures("beat")
def test_messages_in_the_hands_of_a_slow_worker_do_not_pile_up(
    ledger: Ledger, consumer: Consumer, metrics: Metrics
) -> None:
    """They look lost, and are published again; but with every copy the wait doubles."""
    ids = submit(ledger, 5)
    for _ in ids:
        eventually(consumer.take)

    began = reconciled(metrics, "empty")
    eventually(lambda: reconciled(metrics, "empty") - began >= 5)
    copies: list[UUID] = []

    def take_copies() -> bool:
        while job_id := consumer.take():
            copies.append(job_id)
        with ledger.write() as connection:
            # 0.5 + 1 + 2 seconds have passed since the first publication
            fourth = text("SELECT count(*) FROM jobs WHERE publications >= 4")
            return connection.execute(fourth).scalar() == 5

    eventually(take_copies)
    assert 10 <= len(copies) <= 15
    assert max(consumer.messages.values()) <= 4


def test_what_a_beat_marked_and_died_before_it_sent_it_is_published_within_seconds(
    ledger: Ledger, settings: Settings, metrics: Metrics, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is never empty meanwhile."""
    (sent,) = submit(ledger, 1)
    Dispatch(ledger, broker, DEPTH, metrics).run(todo(publishable=True))
    ids = submit(ledger, 5)
    monkeypatch.setattr(broker, "publish", _die)
    with pytest.raises(KeyboardInterrupt):
        Dispatch(ledger, broker, DEPTH, metrics).run(todo(publishable=True))
    Reconcile(ledger, broker, settings, metrics).run(look(ledger))
    assert published(ledger) == 6, "it may be slow"

    monkeypatch.setattr(reconcile, "ABANDONED", timedelta())
    Reconcile(ledger, broker, settings, metrics).run(look(ledger))

    assert reconciled(metrics, "abandoned") == 5
    monkeypatch.undo()
    Dispatch(ledger, broker, DEPTH, metrics).run(look(ledger))
    assert published(ledger) == 6, "its lane is free for others"
    with ledger.write() as connection:
        assert [row(connection, job_id)["publications"] for job_id in (sent, *ids)] == [1] * 6


def test_the_lane_of_a_beat_that_died_after_all_of_its_jobs_ran_is_freed_too(
    ledger: Ledger, settings: Settings, metrics: Metrics, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(ledger, 1)
    with monkeypatch.context() as dying:
        dying.setattr(dispatches, "end", _die)
        with pytest.raises(KeyboardInterrupt):
            Dispatch(ledger, broker, DEPTH, metrics).run(look(ledger))
    with ledger.write() as connection:
        connection.execute(text("UPDATE jobs SET state = 'cancelled', finished_at = now()"))
        connection.execute(text("UPDATE dispatches SET began_at = began_at - interval '5 seconds'"))
    submit(ledger, 1)

    Reconcile(ledger, broker, settings, metrics).run(look(ledger))

    Dispatch(ledger, broker, DEPTH, metrics).run(look(ledger))
    assert published(ledger) == 1


def test_a_beat_that_waits_for_a_silent_broker_is_not_taken_for_dead(
    ledger: Ledger, settings: Settings, metrics: Metrics, broker: Broker
) -> None:
    """What it could not send it takes back itself."""
    ids = submit(ledger, 5)
    url = urlsplit(settings.broker_url or "")
    with Proxy(url.port or 0) as wire:

        class FarBroker(Broker):
            def publish(self, messages: Sequence[Message | Bundle]) -> None:
                wire.silence()
                super().publish(messages)

        far = FarBroker(url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{wire.port}").geturl())
        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(Dispatch(ledger, far, DEPTH, Metrics()).run, todo(publishable=True))
            while not sending.done():
                Reconcile(ledger, broker, settings, metrics).run(look(ledger))
            with pytest.raises(BrokerDown):
                sending.result()

    assert reconciled(metrics, "abandoned") == 0
    Dispatch(ledger, broker, DEPTH, metrics).run(look(ledger))
    with ledger.write() as connection:
        assert [row(connection, job_id)["publications"] for job_id in ids] == [1] * 5


def look(ledger: Ledger) -> Agenda:
    with ledger.write() as connection:
        return agenda.read(connection)


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_waited_too_long_is_published_again_though_the_queue_is_not_empty(
    ledger: Ledger, broker: Broker, settings: Settings, metrics: Metrics
) -> None:
    with ledger.write() as connection:
        lost, queued = enqueue(connection, published=True), enqueue(connection)
        change(connection, lost, published_at="now() - interval '11 minutes'")
        (message,) = messages.take_publishable(connection, "web", 10, alone=False)
    broker.publish([message])

    Reconcile(ledger, broker, settings, metrics).run(todo(published=True))

    assert reconciled(metrics, "stale") == 1
    with ledger.write() as connection:
        assert row(connection, lost)["published_at"] is None
        assert row(connection, queued)["published_at"] is not None
