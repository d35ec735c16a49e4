"""Messages that no job stands behind, or not any more: they change nothing, and the worker works on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
import pytest

from tests.smoke.client import Client
from worker.ledger.ids import new_id


def test_a_doubled_message_runs_its_job_once(client: Client, queue: str, gate: Path) -> None:
    job = client.prepare("probe.wait", queue, gate=str(gate))
    client.accept(job)
    client.publish([job])
    client.running(job.id)
    client.publish([job] * 5)
    _works_on(client, queue)
    gate.touch()
    client.succeeded(job.id)
    client.publish([job] * 5)
    _works_on(client, queue)
    assert client.outcomes(job.id) == ["succeeded"]


def test_the_message_of_a_cancelled_job_runs_nothing(client: Client, queue: str) -> None:
    job = client.prepare("probe.echo", queue)
    client.accept(job)
    client.cancel(job.id)
    client.publish([job])
    _works_on(client, queue)
    assert client.job(job.id)["state"] == "cancelled"
    assert client.history(job.id) == []


def test_a_message_of_no_job_runs_nothing(client: Client, queue: str) -> None:
    client.publish([client.prepare("probe.echo", queue) for _ in range(3)])
    _works_on(client, queue)


def test_a_message_of_an_unknown_kind_leaves_its_job_queued(client: Client, queue: str) -> None:
    """A worker of an older version must not decide about it."""
    job = client.prepare("probe.echo", queue)
    client.accept(job)
    _post(client, queue, headers={"task": "probe.of_tomorrow", "id": str(job.id)})
    _works_on(client, queue)
    assert client.job(job.id)["state"] in {"queued", "succeeded"}  # reconcile publishes it as it is


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"headers": {"id": "no uuid"}}, id="an id that is none"),
        pytest.param({"headers": {"id": None}}, id="no id"),
        pytest.param({"headers": {"task": ""}}, id="no kind"),
        pytest.param({"body": b"\x00\xff not JSON"}, id="a body that is no JSON"),
        pytest.param({"body": b'{"a": "dict"}'}, id="a body of another shape"),
        pytest.param({"body": b"[" * 100_000}, id="a body that is too deep"),
        pytest.param({"content_type": "application/x-python-serialize"}, id="pickle"),
        pytest.param({"content_type": "text/x-unheard-of"}, id="an unheard-of type"),
    ],
)
def test_a_message_that_is_none_is_dropped(client: Client, queue: str, message: dict[str, Any]) -> None:
    _post(client, queue, **message)
    _works_on(client, queue)


def test_a_message_with_arguments_runs_its_job_with_the_payload_of_the_ledger(
    client: Client, queue: str
) -> None:
    job = client.prepare("probe.echo", queue, text="of the ledger")
    client.accept(job)
    body = json.dumps([["of", "the", "broker"], {"text": "of the broker"}, {}]).encode()
    _post(client, queue, body=body, headers={"id": str(job.id)})
    assert client.succeeded(job.id)["result"]["text"] == "of the ledger"


def _works_on(client: Client, queue: str) -> None:
    """Whatever came before in the queue was dealt with, and the worker lives."""
    client.succeeded(client.submit("probe.echo", queue))


def _post(
    client: Client,
    queue: str,
    *,
    body: bytes = b"[[], {}, {}]",
    content_type: str = "application/json",
    headers: Mapping[str, object] | None = None,
) -> None:
    """Publish what the platform itself never would."""
    usual = {"lang": "py", "task": "probe.echo", "id": str(new_id()), "retries": 0}
    with kombu.Connection(client.broker_url) as connection:
        connection.Producer().publish(
            body,
            exchange="",
            routing_key=queue,
            content_type=content_type,
            content_encoding="binary",
            correlation_id=str(uuid4()),
            headers={**usual, **(headers or {})},
        )
