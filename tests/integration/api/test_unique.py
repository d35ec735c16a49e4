"""Unique keys, queues and callbacks of a submission."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker
from tests.integration.api.test_batches import problems, submit
from worker.ledger.engines import Ledger

HELLO: dict[str, Any] = {"kind": "test.greet", "payload": {"name": "Ada"}}
UNIQUE = HELLO | {"unique_key": "nightly"}


def test_a_second_submission_is_answered_with_the_job_that_stands(caller: Caller) -> None:
    first = caller.accepted(UNIQUE)
    assert first["unique_key"] == "nightly"
    answer = caller.submit(UNIQUE | {"payload": {"name": "Eve"}})
    assert answer.status_code == 200
    assert answer.json == first
    assert answer.headers["Content-Location"] == f"/v1/jobs/{first['id']}"
    assert len(caller.get("/v1/jobs").json["jobs"]) == 1


def test_the_key_is_free_once_its_job_has_ended(caller: Caller, worker: FakeWorker) -> None:
    first = caller.accepted(UNIQUE)
    worker.succeed(worker.claim(first), {"text": "hello"})
    assert caller.accepted(UNIQUE)["id"] != first["id"]


def test_with_a_window_the_key_is_held_after_a_success(caller: Caller, worker: FakeWorker) -> None:
    windowed = HELLO | {"unique_key": {"key": "hourly", "window": 3600}}
    first = caller.accepted(windowed)
    worker.succeed(worker.claim(first), {"text": "hello"})
    assert caller.submit(windowed).json["id"] == first["id"]


def test_no_more_states_are_taken_than_there_are(caller: Caller, ledger: Ledger) -> None:
    answer = caller.submit(HELLO | {"unique_key": {"key": "k", "states": ["failed"] * 8}})
    assert answer.status_code == 422
    assert "unique_key.states: Expected `array` of length <= 7" in answer.json["detail"]
    job = caller.accepted(HELLO | {"unique_key": {"key": "twice", "states": ["failed", "failed"]}})
    with ledger.write() as connection:
        states = text("SELECT states FROM unique_keys WHERE job_id = :id")
        assert connection.execute(states, {"id": job["id"]}).scalar_one() == ["failed"]


def test_the_states_that_hold_a_key_can_be_named(caller: Caller) -> None:
    first = caller.accepted(HELLO | {"unique_key": {"key": "k", "states": ["cancelled"]}})
    caller.post(f"/v1/jobs/{first['id']}/cancel")
    assert caller.submit(HELLO | {"unique_key": "k"}).json["id"] == first["id"]


def test_clients_have_unique_keys_of_their_own(caller: Caller, new_caller: NewCaller) -> None:
    assert caller.accepted(UNIQUE)["id"] != new_caller().accepted(UNIQUE)["id"]


def test_only_what_was_accepted_is_remembered_under_an_idempotency_key(
    caller: Caller, worker: FakeWorker
) -> None:
    first = caller.accepted(UNIQUE)
    assert caller.submit(UNIQUE, Idempotency_Key="k").status_code == 200
    worker.succeed(worker.claim(first), {"text": "hello"})
    assert caller.submit(UNIQUE, Idempotency_Key="k").status_code == 202


def test_a_job_whose_key_another_one_holds_cannot_run_again(caller: Caller) -> None:
    first = caller.accepted(UNIQUE)
    caller.post(f"/v1/jobs/{first['id']}/cancel")
    second = caller.accepted(UNIQUE)
    answer = caller.post(f"/v1/jobs/{first['id']}/retry")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:unique-key-held")
    assert "unique key" in answer.json["detail"]
    caller.post(f"/v1/jobs/{second['id']}/cancel")
    assert caller.post(f"/v1/jobs/{first['id']}/retry").status_code == 202
    assert caller.submit(UNIQUE).json["id"] == first["id"]


def test_a_batch_with_a_key_that_is_held_is_refused(caller: Caller) -> None:
    first = caller.accepted(UNIQUE)
    found = problems(submit(caller, {"jobs": [HELLO, UNIQUE]}))
    assert found == {"jobs[1].unique_key": f"the job {first['id']} holds it"}
    twins = HELLO | {"unique_key": "new"}
    found = problems(submit(caller, {"jobs": [twins, twins]}))
    assert found == {"jobs[1].unique_key": "jobs[0] of this batch has the same"}


def test_a_job_waits_in_a_queue_that_its_kind_allows(caller: Caller) -> None:
    assert caller.accepted({"kind": "test.idle"})["queue"] == "web"
    assert caller.accepted({"kind": "test.idle", "queue": "email"})["queue"] == "email"
    found = problems(caller.submit({"kind": "test.idle", "queue": "report"}))
    assert found == {"queue": "is none of those that test.idle allows: web, email"}


def test_a_callback_is_kept(caller: Caller) -> None:
    job = caller.accepted(HELLO | {"callback": "https://example.com/hook?a=b"})
    assert job["callback"] == caller.job(job["id"])["callback"] == "https://example.com/hook?a=b"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://",
        "https:///hook",
        "/hook",
        "https://user:secret@example.com/",
        "https://example.com/#there",
        "https://example.com/ x",
        "https://example.com:99999/",
        "https://[::1",
        "ftp://example.com/",
    ],
)
def test_a_callback_must_be_a_plain_https_url(caller: Caller, url: str) -> None:
    assert problems(caller.submit(HELLO | {"callback": url})).keys() == {"callback"}
    assert problems(submit(caller, {"jobs": [HELLO], "callback": url})).keys() == {"callback"}
