"""Lists: filters, and cursors that stay right."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.api.fakes import Caller, FakeWorker
from worker.ledger import jobs

HELLO: dict[str, Any] = {"kind": "test.greet", "payload": {"name": "Ada"}}


def listed(caller: Caller, **wanted: object) -> list[str]:
    """All that fits, over as many pages as it takes."""
    found: list[str] = []
    token = None
    while True:
        page = caller.call("GET", "/v1/jobs", params=wanted | ({"page_token": token} if token else {})).json
        found += [job["id"] for job in page["jobs"]]
        token = page["next_page_token"]
        if token is None:
            return found


def test_jobs_are_listed_by_the_time_of_their_submission(caller: Caller) -> None:
    first = caller.accepted()
    time.sleep(0.005)  # an id's time is exact to the millisecond
    between = datetime.now(UTC).isoformat()
    time.sleep(0.005)
    second = caller.accepted()
    assert listed(caller, created_before=between) == [first["id"]]
    assert listed(caller, created_after=between) == [second["id"]]
    assert listed(caller, created_after=between, created_before=between) == []
    assert listed(caller, created_before="1900-01-01T00:00:00Z") == []
    assert listed(caller, created_after="0001-01-01T00:00:00+14:00") == [second["id"], first["id"]]


def test_a_rare_job_is_found_however_many_others_there_are(
    caller: Caller, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOK", 3)
    rare = caller.accepted(HELLO | {"tags": ["rare"]})
    many = [caller.accepted() for _ in range(10)]
    worker.succeed(worker.claim(rare), {"text": "hello"})
    assert listed(caller, tag="rare") == listed(caller, state="succeeded") == [rare["id"]]
    assert listed(caller, queue="email", page_size=4) == [job["id"] for job in [*many[::-1], rare]]
    assert listed(caller, tag="none") == []


def test_pages_stay_right_while_jobs_arrive(caller: Caller) -> None:
    made = [caller.accepted()["id"] for _ in range(5)]
    page = caller.get("/v1/jobs?page_size=2&state=queued").json
    caller.accepted()
    rest = listed(caller, page_token=page["next_page_token"], state="queued")
    assert [job["id"] for job in page["jobs"]] + rest == made[::-1]
