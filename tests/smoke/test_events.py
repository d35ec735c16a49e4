"""What Flower is told: Celery's events, which must say what the ledger recorded."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import pytest
from celery import Celery

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.platform import Platform


class Listener:
    """Hears the events of all workers, in a thread."""

    def __init__(self, app: Celery) -> None:
        self._heard: list[dict[str, Any]] = []
        self._connection = app.connection_for_read()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._heard.append})
        self._thread = threading.Thread(target=self._listen, name="listener")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join()
        self._connection.release()

    def of(self, job_id: UUID) -> list[dict[str, Any]]:
        return [event for event in list(self._heard) if event.get("uuid") == str(job_id)]

    def types(self, job_id: UUID) -> list[str]:
        return [event["type"] for event in self.of(job_id)]

    def heartbeats(self) -> set[str]:
        return {event["hostname"] for event in list(self._heard) if event["type"] == "worker-heartbeat"}

    def _listen(self) -> None:
        self._receiver.capture(limit=None, timeout=None)


@pytest.fixture(scope="module")
def listener(platform: Platform) -> Iterator[Listener]:
    with Listener(platform.app) as listener:
        eventually(listener.heartbeats)
        yield listener


def test_a_success(listener: Listener, client: Client, queue: str) -> None:
    job_id = client.submit("probe.echo", queue, text="a secret")
    _hears(listener, job_id, ["task-received", "task-started", "task-succeeded"])
    received = listener.of(job_id)[0]
    assert (received["name"], received["args"]) == ("probe.echo", "text")
    assert "a secret" not in str(listener.of(job_id))


def test_a_failed_attempt_that_will_run_again_is_no_failure(
    listener: Listener, client: Client, queue: str
) -> None:
    job_id = client.submit("probe.flaky", queue, failures=1)
    first = ["task-received", "task-started", "task-retried"]
    _hears(listener, job_id, [*first, "task-received", "task-started", "task-succeeded"])
    assert "Retryable" in listener.of(job_id)[2]["exception"]


def test_a_failure(listener: Listener, client: Client, queue: str) -> None:
    job_id = client.submit("probe.fatal", queue)
    _hears(listener, job_id, ["task-received", "task-started", "task-failed"])
    assert "Fatal" in listener.of(job_id)[2]["exception"]
    assert "no attempt can help" not in str(listener.of(job_id))  # the text is the client's alone


def test_a_cancelled_job(listener: Listener, client: Client, queue: str, gate: Path) -> None:
    job_id = client.submit("probe.wait", queue, gate=str(gate))
    client.running(job_id)
    client.cancel(job_id)
    _hears(listener, job_id, ["task-received", "task-started", "task-revoked"])


def test_each_job_of_a_bundle_under_its_own_id(listener: Listener, client: Client, queue: str) -> None:
    echo, fatal = client.prepare("probe.echo", queue, text="a secret"), client.prepare("probe.fatal", queue)
    flaky = client.prepare("probe.flaky", queue, failures=1)
    client.submit_bundle(echo, fatal, flaky)
    begun = ["task-received", "task-started"]
    _hears(listener, echo.id, [*begun, "task-succeeded"])
    _hears(listener, fatal.id, [*begun, "task-failed"])
    _hears(listener, flaky.id, [*begun, "task-retried", *begun, "task-succeeded"])
    received = listener.of(echo.id)[0]
    assert (received["name"], received["args"]) == ("probe.echo", "text")
    assert listener.of(echo.id)[2]["result"] == listener.of(flaky.id)[-1]["result"] == "'succeeded'"
    assert listener.of(fatal.id)[2]["exception"] == "JobFailed('Fatal')"
    assert "a secret" not in str(listener.of(echo.id))


def _hears(listener: Listener, job_id: UUID, types: list[str]) -> None:
    eventually(lambda: len(listener.types(job_id)) >= len(types))
    assert listener.types(job_id) == types
