import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from falcon.testing import Result

from api.app import Deps
from tests.integration.api.fakes import Caller, FakeWorker

Later = Callable[..., "Future[Result]"]


@pytest.fixture
def later() -> Iterator[Later]:
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def until_waiting(deps: Deps) -> None:
    while not deps.waiters._events:
        time.sleep(0.001)


def test_a_waiting_client_gets_the_job_when_it_ends(
    caller: Caller, worker: FakeWorker, deps: Deps, later: Later
) -> None:
    job = caller.accepted()
    waiting = later(caller.get, f"/v1/jobs/{job['id']}", Prefer="wait=25")
    until_waiting(deps)
    worker.succeed(worker.claim(job), {"text": "hello"})
    answer = waiting.result()
    assert (answer.status_code, answer.json["state"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert "Retry-After" not in answer.headers


def test_a_submitting_client_may_wait_for_the_end(caller: Caller, worker: FakeWorker, later: Later) -> None:
    waiting = later(caller.submit, Prefer="wait=25")
    while not (jobs := caller.get("/v1/jobs").json["jobs"]):
        time.sleep(0.001)
    (listed,) = jobs
    worker.succeed(worker.claim(listed), {"text": "hello"})
    answer = waiting.result()
    assert (answer.status_code, answer.json["state"]) == (202, "succeeded")
    assert answer.json["result"] == {"text": "hello"}
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert answer.headers["Location"] == f"/v1/jobs/{listed['id']}"


def test_a_repeated_submission_waits_for_the_first_ones_job(
    caller: Caller, worker: FakeWorker, deps: Deps, later: Later
) -> None:
    job = caller.accepted(Idempotency_Key="abc")
    waiting = later(caller.submit, Idempotency_Key="abc", Prefer="wait=25")
    while job["id"] not in deps.waiters._events:
        time.sleep(0.001)
    worker.succeed(worker.claim(job), {"text": "hello"})
    assert (waiting.result().json["id"], waiting.result().json["state"]) == (job["id"], "succeeded")


def test_who_waits_in_vain_gets_the_job_as_it_is(caller: Caller) -> None:
    answer = caller.submit(Prefer="wait=1")
    assert (answer.status_code, answer.json["state"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.headers["Retry-After"] == "1"


def test_nobody_waits_for_a_job_that_ended_already(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    worker.succeed(worker.claim(job), {"text": "hello"})
    began = time.monotonic()
    answer = caller.get(f"/v1/jobs/{job['id']}", Prefer="wait=30")
    assert answer.json["state"] == "succeeded"
    assert time.monotonic() - began < 5


def test_nobody_waits_longer_than_is_granted(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    worker.succeed(worker.claim(job), {"text": "hello"})
    answer = caller.get(f"/v1/jobs/{job['id']}", Prefer="wait=9999")
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_nobody_waits_for_another_clients_job(caller: Caller) -> None:
    answer = caller.get("/v1/jobs/01890000-0000-7000-8000-000000000000", Prefer="wait=30")
    assert answer.status_code == 404


def test_a_cancelled_job_ends_the_waiting(caller: Caller, deps: Deps, later: Later) -> None:
    job = caller.accepted()
    waiting = later(caller.get, f"/v1/jobs/{job['id']}", Prefer="wait=25")
    until_waiting(deps)
    caller.post(f"/v1/jobs/{job['id']}/cancel")
    assert waiting.result().json["state"] == "cancelled"


def test_a_stopping_process_answers_with_the_job_as_it_is(caller: Caller, deps: Deps, later: Later) -> None:
    job = caller.accepted()
    waiting = later(caller.get, f"/v1/jobs/{job['id']}", Prefer="wait=25")
    until_waiting(deps)
    deps.waiters.close()
    assert (waiting.result().status_code, waiting.result().json["state"]) == (200, "queued")


def test_waiting_holds_no_connection(caller: Caller, deps: Deps, later: Later) -> None:
    job = caller.accepted()
    waiting = later(caller.get, f"/v1/jobs/{job['id']}", Prefer="wait=25")
    until_waiting(deps)
    pool = deps.ledger.pools["write"].pool
    while pool.checkedout():  # type: ignore[attr-defined]  # a look may be on its way
        time.sleep(0.001)
    assert not waiting.done()
    deps.waiters.close()
