"""Messages that no job stands behind, or not any more: they change nothing, and the worker works on."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import kombu
import pytest

from tests.smoke.client import Client
from tests.smoke.conftest import Fleet
from tests.smoke.process import WorkerNode
from worker.contract.queues import Pool
from worker.contract.states import State
from worker.ledger.ids import new_id
from worker.message import BUNDLE


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
    ("message", "reason"),
    [
        pytest.param({"headers": {"id": "no uuid"}}, "no_job_id", id="an id that is none"),
        pytest.param({"headers": {"id": None}}, "no_job_id", id="no id"),
        pytest.param({"headers": {"task": ""}}, "unknown_kind", id="no kind"),
        pytest.param({"headers": {"task": "probe.of_tomorrow"}}, "unknown_kind", id="an unknown kind"),
        pytest.param({"headers": {"task": BUNDLE, "jobs": []}}, "no_job_id", id="a bundle of nothing"),
        pytest.param({"headers": {"task": BUNDLE, "jobs": 7}}, "no_job_id", id="a bundle of a number"),
        pytest.param(
            {
                "headers": {
                    "task": BUNDLE,
                    "kind": "probe.echo",
                    "jobs": [[str(new_id()), ""], ["no uuid", ""]],
                }
            },
            "no_job_id",
            id="a bundle with an id that is none",
        ),
        pytest.param(
            {"headers": {"task": BUNDLE, "kind": "probe.of_tomorrow", "jobs": [[str(new_id()), ""]]}},
            "unknown_kind",
            id="a bundle of an unknown kind",
        ),
        pytest.param({"body": b"\x00\xff not JSON"}, "malformed", id="a body that is no JSON"),
        pytest.param({"body": b'{"a": "dict"}'}, "malformed", id="a body of another shape"),
        pytest.param({"body": b"[" * 100_000}, "malformed", id="a body that is too deep"),
        pytest.param({"content_type": "application/x-python-serialize"}, "malformed", id="pickle"),
        pytest.param({"content_type": "text/x-unheard-of"}, "malformed", id="an unheard-of type"),
    ],
)
def test_a_message_that_is_none_is_dropped_counted_and_logged_in_one_line(
    client: Client, queue: str, worker: WorkerNode, message: dict[str, Any], reason: str
) -> None:
    metric = f'jobyard_messages_dropped_total{{reason="{reason}"}}'
    before, counted = worker.logs(), _sample(worker, metric)
    _post(client, queue, **message)
    _works_on(client, queue)
    said = worker.logs().removeprefix(before).splitlines()
    others = [line for line in said if " echoed " not in line and " attempt_ended " not in line]
    assert len(others) == 1, others
    assert f"message_dropped reason={reason}" in others[0]
    assert _sample(worker, metric) == counted + 1


def test_a_message_that_comes_before_its_jobs_time_runs_nothing(client: Client, queue: str) -> None:
    job = client.prepare("probe.flaky", queue, after=60.0)
    client.accept(job)
    client.publish([job])
    client.wait_until(State.RETRYING, job.id)
    client.publish([job])
    _works_on(client, queue)
    assert client.outcomes(job.id) == ["failed"]  # its one attempt
    client.cancel(job.id)


def test_a_message_with_arguments_runs_its_job_with_the_payload_of_the_ledger(
    client: Client, queue: str
) -> None:
    job = client.prepare("probe.echo", queue, text="of the ledger")
    client.accept(job)
    body = json.dumps([["of", "the", "broker"], {"text": "of the broker"}, {}]).encode()
    _post(client, queue, body=body, headers={"id": str(job.id)})
    assert client.succeeded(job.id)["result"]["text"] == "of the ledger"


@pytest.fixture
def worker(fleet: Fleet, pool: Pool) -> WorkerNode:
    return fleet[pool]


def _sample(worker: WorkerNode, metric: str) -> float:
    """A number of its metrics; 0 where it counted nothing yet."""
    served = re.search(r"metrics_served port=(\d+)", worker.logs())
    assert served is not None
    with urlopen(f"http://127.0.0.1:{served[1]}/metrics", timeout=10) as answer:
        found = re.search(rf"^{re.escape(metric)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


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
