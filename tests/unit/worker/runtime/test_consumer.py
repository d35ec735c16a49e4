"""Our consumer against Celery's: what it changes, and that it changes nothing else."""

from typing import Any

import pytest
import redis
from celery.worker.consumer import Consumer as CeleryConsumer

from worker.runtime.consumer import Consumer


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
