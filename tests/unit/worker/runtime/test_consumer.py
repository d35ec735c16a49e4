"""Our consumer against Celery's: what it changes, and that it changes nothing else."""

from typing import Any

import pytest
import redis
from celery import Celery
from celery.worker.consumer import Consumer as CeleryConsumer

from worker.runtime.consumer import Consumer, Dispatcher


class Connection:
    """Writes down how it was asked to connect."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def ensure_connection(self, _errback: object, max_retries: object, **options: Any) -> "Connection":
        self.asked.append({"max_retries": max_retries, **options})
        return self


def test_it_reconnects_every_second_and_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure_connected(_self: object, connection: Any) -> Any:
        return connection.ensure_connection(print, None, callback=print)

    monkeypatch.setattr(CeleryConsumer, "ensure_connected", ensure_connected)
    connection = Connection()
    assert Consumer.ensure_connected(object.__new__(Consumer), connection) is connection
    (asked,) = connection.asked
    assert asked["max_retries"] is None
    assert (asked["interval_start"], asked["interval_step"], asked["interval_max"]) == (1, 0, 1)
    assert asked["callback"] is print


def test_nothing_is_declared_for_eta_tasks_and_every_other_step_is_celerys() -> None:
    ours, theirs = Consumer.Blueprint.default_steps, CeleryConsumer.Blueprint.default_steps
    assert set(theirs) - set(ours) == {"celery.worker.consumer.delayed_delivery:DelayedDelivery"}
    assert [step for step in theirs if step in ours] == ours


class Events:
    """What sends events, over a connection of its own."""

    def __init__(self) -> None:
        self.enabled = True
        self.collected = 0
        self.connection = self.transport = self
        self.driver_type = "amqp"

    def collect(self) -> None:
        self.collected += 1


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """On RabbitMQ, with its events."""
    events = Events()
    monkeypatch.setattr(CeleryConsumer, "connection_for_write", lambda *_, **__: events)
    monkeypatch.setattr(CeleryConsumer, "on_connection_error_after_connected", lambda *_: None)
    made: Consumer = object.__new__(Consumer)
    made.event_dispatcher = events
    return made


def test_no_event_is_sent_while_rabbitmq_takes_no_messages(consumer: Consumer) -> None:
    connection = consumer.connection_for_write()
    connection.on_blocked("low on memory")
    assert not consumer.event_dispatcher.enabled
    connection.on_unblocked()
    assert consumer.event_dispatcher.enabled


def test_nobody_says_goodbye_to_a_broker_that_is_lost(consumer: Consumer) -> None:
    consumer.on_connection_error_after_connected(OSError("gone"))
    assert consumer.event_dispatcher.collected == 1


@pytest.fixture
def rejected(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    errors: list[Exception] = []

    def on_invalid_task(_self: object, _body: object, _message: object, error: Exception) -> None:
        errors.append(error)

    monkeypatch.setattr(CeleryConsumer, "on_invalid_task", on_invalid_task)
    return errors


def _handler(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    def take(_message: object) -> None:
        raise error

    monkeypatch.setattr(CeleryConsumer, "create_task_handler", lambda *_, **__: take)
    return Consumer.create_task_handler(object.__new__(Consumer))


@pytest.mark.parametrize(
    "error", [ValueError("not enough values"), TypeError("no dict"), KeyError("id"), RecursionError("deep")]
)
def test_a_malformed_message_is_rejected(
    monkeypatch: pytest.MonkeyPatch, rejected: list[Exception], error: Exception
) -> None:
    _handler(monkeypatch, error)(object())
    assert rejected == [error]


@pytest.mark.parametrize("error", [redis.ConnectionError(), ConnectionResetError(), MemoryError()])
def test_trouble_that_is_not_the_messages_fault_is_celerys_to_handle(
    monkeypatch: pytest.MonkeyPatch, rejected: list[Exception], error: Exception
) -> None:
    with pytest.raises(type(error)):
        _handler(monkeypatch, error)(object())
    assert rejected == []


class Loop:
    """Celery's, as far as it is asked to do something soon or later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Any]] = []

    def call_soon(self, call: Any, *words: Any) -> None:
        call(*words)

    def call_later(self, delay: float, call: Any) -> None:
        self.later.append((delay, call))


class Flushes:
    """Counts how often it was told to send what it holds."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


def test_the_events_of_a_moment_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Consumer = object.__new__(Consumer)
    made.hub, made.event_dispatcher = Loop(), Flushes()
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for _ in range(100):
        made.on_send_event_buffered()
    ((delay, flush),) = made.hub.later
    now += delay
    flush()
    assert made.event_dispatcher.flushed == 1
    made.on_send_event_buffered()
    assert len(made.hub.later) == 2


def test_a_consumer_that_ends_sends_its_last_events(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Consumer = object.__new__(Consumer)
    made.event_dispatcher = Flushes()
    flushed: list[int] = []
    monkeypatch.setattr(CeleryConsumer, "shutdown", lambda _: flushed.append(made.event_dispatcher.flushed))
    made.shutdown()
    assert flushed == [1]


def test_events_that_waited_for_others_outlive_their_connection() -> None:
    with Celery(broker="memory://").connection_for_write() as connection:
        lost, fresh = (Dispatcher(connection, enabled=False) for _ in range(2))
    lost._group_buffer["task"].append({"type": "task-succeeded"})
    fresh.extend_buffer(lost)
    assert fresh._group_buffer["task"] == [{"type": "task-succeeded"}]
