"""One large request must not stop the others of the same process."""

import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from ops.embedded.ports import free_ports
from tests.integration.api.server import Answer, Server, Wire, serving
from worker.ledger import clients
from worker.ledger.engines import Ledger
from worker.settings import Settings

JOB = {"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}, "tags": ["large"]}


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    port, metrics_port = free_ports(2)
    return Settings(
        home=str(tmp_path_factory.mktemp("home")),
        database_url=database_url,
        broker_url=broker_url,
        api_port=port,
        api_metrics_port=metrics_port,
        api_workers=1,
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as server:
        yield server


def test_others_are_answered_while_a_batch_of_ten_thousand_is_accepted(
    server: Server, ledger: Ledger
) -> None:
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "crowd")
        key = clients.add_key(connection, client.id, "test")[1]
    headers = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
    answers: list[Answer] = []
    body = msgspec.json.encode({"jobs": [JOB] * 10_000})

    def submit() -> None:
        answers.append(server.call("POST", "/v1/batches", body=body, **headers))

    thread = threading.Thread(target=submit)
    waits = []
    with Wire(server.port) as wire:
        thread.start()
        began = time.monotonic()
        while thread.is_alive():
            asked = time.monotonic()
            wire.request("GET", "/healthz")
            assert wire.answer().status == 200
            waits.append(time.monotonic() - asked)
        seconds = time.monotonic() - began
    thread.join()
    assert answers[0].status == 202
    assert len(waits) > 10
    assert max(waits) < max(1.0, seconds / 2), (max(waits), seconds)
