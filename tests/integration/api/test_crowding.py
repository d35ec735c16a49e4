"""One large request must not stop the others of the same process."""

import threading
import time
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from tests.integration.api.server import Answer, Server, Wire
from tests.stalls import stalls
from worker.ledger import clients
from worker.ledger.engines import Ledger
from worker.settings import Settings

URL = {"url": "http://127.0.0.1/"}
# Ten thousand, of which every second one comes after the one before it, and takes what that made.
JOBS = [
    job
    for number in range(5_000)
    for job in (
        {"name": f"first-{number}", "kind": "web.fetch", "payload": URL, "tags": ["large"]},
        {
            "kind": "web.fetch",
            "payload": {"url": {"$from": f"first-{number}", "result": "/url"}},
            "after": [f"first-{number}"],
        },
    )
]
# One, and a thousand that take its result at as many places as one may.
TAKING = [
    {"name": "first", "kind": "web.fetch", "payload": URL},
    *[
        {
            "kind": "report.render",
            "payload": {
                "report": "sales",
                "params": {f"p{place}": {"$from": "first", "result": "/url"} for place in range(50)},
            },
            "after": ["first"],
        }
    ]
    * 1_000,
]
LONGEST_STALL = 1.0  # seconds; a machine at rest shows a tenth of it


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.mark.parametrize(
    ("jobs", "counts"),
    [(JOBS, {"queued": 5_000, "scheduled": 5_000}), (TAKING, {"queued": 1, "scheduled": 1_000})],
    ids=["many", "taking"],
)
def test_others_are_answered_while_a_large_batch_is_accepted(
    server: Server, ledger: Ledger, jobs: Sequence[object], counts: Mapping[str, int]
) -> None:
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "crowd")
        key = clients.add_key(connection, client.id, "test")[1]
    headers = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
    answers: list[Answer] = []
    body = msgspec.json.encode({"jobs": jobs})

    def submit() -> None:
        answers.append(server.call("POST", "/v1/batches", body=body, **headers))

    thread = threading.Thread(target=submit)
    waits = []
    with stalls() as machine, Wire(server.port) as wire:
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
    assert answers[0].json["counts"] == counts
    assert len(waits) > 10
    # Checking references without a breath is half of all the time, however slow the machine is.
    longest = max(LONGEST_STALL + machine.longest, 0.4 * seconds)
    assert max(waits) < longest, (max(waits), seconds)
