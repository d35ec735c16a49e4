"""Pausing and resuming a queue over the API, while a real worker consumes it and dispatch goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from api.app import Deps, create_app
from api.metrics import Metrics
from api.waiting import Waiters
from tests.awaiting import eventually
from tests.integration.api.fakes import FakePublisher
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from tests.smoke.probes import CATALOG
from worker.contract import Scopes
from worker.ledger import clients
from worker.storage import Storage

QUEUE = "webhook"  # which no other test pauses


class Operator:
    """Who has a key with the scope `operate`."""

    def __init__(self, http: TestClient, key: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    def queue(self) -> dict[str, Any]:
        shown: dict[str, Any] = self._http.simulate_get(f"/v1/queues/{QUEUE}", headers=self._headers).json
        return shown

    def act(self, act: str) -> None:
        path = f"/v1/queues/{QUEUE}/{act}"
        assert self._http.simulate_post(path, headers=self._headers).status_code == 200


@pytest.fixture
def operator(platform: Platform, tmp_path: Path) -> Iterator[Operator]:
    ledger = platform.client.ledger
    deps = Deps(
        settings=platform.settings,
        catalog=CATALOG,
        ledger=ledger,
        storage=Storage(tmp_path),
        publisher=FakePublisher(),
        waiters=Waiters(lambda _: [], interval=1.0),
        metrics=Metrics(CollectorRegistry()),
    )
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "operator")
        key = clients.add_key(connection, client.id, "test", scopes=Scopes.of(["operate"]))[1]
    made = Operator(TestClient(create_app(deps)), key)
    yield made
    made.act("resume")


def test_a_paused_queue_stays_so_when_everything_restarts_and_goes_on_when_it_is_resumed(
    client: Client, start_worker: StartWorker, operator: Operator
) -> None:
    worker = start_worker("threads", QUEUE)
    operator.act("pause")
    refused = client.submit("probe.echo", QUEUE)  # published: the worker takes the message, and no job
    eventually(lambda: client.depth(QUEUE) == 0)
    worker.kill()
    start_worker("threads", QUEUE)
    during = client.submit("probe.echo", QUEUE)
    eventually(lambda: client.depth(QUEUE) == 0)
    assert [client.job(job_id)["attempt"] for job_id in (refused, during)] == [0, 0]
    assert operator.queue()["depth"] == 2
    operator.act("resume")
    client.succeeded(refused)
    client.succeeded(during)


def test_what_runs_when_its_queue_is_paused_ends_and_nothing_begins(
    client: Client, start_worker: StartWorker, operator: Operator, gate: Path
) -> None:
    worker = start_worker("threads", QUEUE)
    running = client.submit("probe.wait", QUEUE, gate=str(gate))
    client.running(running)
    operator.act("pause")
    waiting = client.submit("probe.echo", QUEUE)
    shown = operator.queue()
    assert (shown["running"], shown["depth"]) == (1, 1)
    assert worker.hostname() in shown["workers"]
    gate.touch()
    client.succeeded(running)
    assert operator.queue()["running"] == 0
    assert client.job(waiting)["state"] == "queued"
    operator.act("resume")
    client.succeeded(waiting)
