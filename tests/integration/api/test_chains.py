"""Chains: jobs that come after others, and take what those have made."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from tests.integration.api.conftest import NewCaller, Settle
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from tests.integration.api.test_batches import problems, submit
from worker.ledger.engines import Ledger
from worker.payloads import Payloads

HELLO: dict[str, Any] = {"kind": "test.greet", "payload": {"name": "Ada"}}


def named(name: str, *after: str, **more: object) -> dict[str, Any]:
    return HELLO | {"name": name, "after": after} | more


def refused(caller: Caller, submission: object) -> dict[str, str]:
    return problems(caller.submit(submission))


def test_a_job_waits_until_those_before_it_have_succeeded(
    caller: Caller, worker: FakeWorker, settle: Settle
) -> None:
    first, second = caller.accepted(), caller.accepted()
    job = caller.accepted(HELLO | {"after": [first["id"], second["id"]]})
    assert (job["state"], job["after"]) == ("scheduled", [first["id"], second["id"]])
    assert caller.job(job["id"]) == job
    for before in (first, second):
        assert caller.job(job["id"])["state"] == "scheduled"
        worker.succeed(worker.claim(before), {"text": "hello"})
        settle()
    assert caller.job(job["id"])["state"] == "queued"


def test_a_job_after_one_that_has_succeeded_does_not_wait(caller: Caller, worker: FakeWorker) -> None:
    first = caller.accepted()
    worker.succeed(worker.claim(first), {"text": "hello"})
    assert caller.accepted(HELLO | {"after": [first["id"]]})["state"] == "queued"


def test_a_job_fails_with_the_one_before_it(caller: Caller, worker: FakeWorker, settle: Settle) -> None:
    first = caller.accepted()
    job = caller.accepted(HELLO | {"after": [first["id"]]})
    worker.fail(worker.claim(first), "no")
    settle()
    failed = caller.job(job["id"])
    assert (failed["state"], failed["error"]["type"]) == ("failed", "DependencyFailed")
    assert failed["error"]["message"] == (
        f"the job {first['id']} (test.greet), which had to succeed before this one, is failed"
    )


def test_nothing_can_come_after_what_failed_already(caller: Caller) -> None:
    first = caller.accepted()
    caller.post(f"/v1/jobs/{first['id']}/cancel")
    assert "cancelled already" in refused(caller, HELLO | {"after": [first["id"]]})["after[0]"]


def test_nothing_can_come_after_what_is_no_job_of_the_clients(caller: Caller, new_caller: NewCaller) -> None:
    strange = new_caller().accepted()["id"]
    for id_ in (strange, unknown_id()):
        assert refused(caller, HELLO | {"after": [id_]}) == {"after[0]": "there is no such job"}
        assert problems(submit(caller, {"jobs": [HELLO, HELLO | {"after": [id_]}]})) == {
            "jobs[1].after[0]": "there is no such job"
        }
    assert "after[0]" in refused(caller, HELLO | {"after": ["fetch"]})
    assert caller.get("/v1/jobs").json["jobs"] == []


def test_a_chain_is_run_again_from_where_it_failed(
    caller: Caller, worker: FakeWorker, settle: Settle
) -> None:
    batch = submit(caller, {"jobs": [named("a"), named("b", "a"), named("c", "b")]}).json
    first, second, third = batch["job_ids"]
    worker.fail(worker.claim(caller.job(first)), "no")
    for _ in range(3):
        settle()
    assert caller.get(f"/v1/batches/{batch['id']}").json["counts"] == {"failed": 3}
    # Alone it fails again, for what it comes after still has not succeeded.
    caller.post(f"/v1/jobs/{third}/retry")
    settle()
    assert caller.job(third)["error"]["type"] == "DependencyFailed"
    body = msgspec.json.encode({"batch": batch["id"]})
    caller.call("POST", "/v1/jobs/retry", {"Content-Type": "application/json"}, body=body)
    for job_id in (first, second, third):
        assert caller.job(job_id)["state"] == "queued"
        worker.succeed(worker.claim(caller.job(job_id)), {"text": "hello"})
        settle()
    assert caller.get(f"/v1/batches/{batch['id']}").json["counts"] == {"succeeded": 3}


def test_jobs_of_a_batch_come_after_one_another_by_name(caller: Caller) -> None:
    batch = submit(caller, {"jobs": [named("last", "first"), named("first")]}).json
    last, first = (caller.job(job_id) for job_id in batch["job_ids"])
    assert (first["state"], last["state"]) == ("queued", "scheduled")
    assert last["after"] == [first["id"]]


@pytest.mark.parametrize(
    ("jobs", "field", "reason"),
    [
        ([named("a", "a")], "jobs[0].after", "a after a"),
        ([HELLO, named("a", "c"), named("b", "a"), named("c", "b")], "jobs[1].after", "goes round"),
        ([named("a"), named("a")], "jobs[1].name", "another job of this batch is called 'a' too"),
        ([named("a", "b")], "jobs[0].after[0]", "neither the id of a job nor the name"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(
    caller: Caller, jobs: list[object], field: str, reason: str
) -> None:
    found = problems(submit(caller, {"jobs": jobs}))
    assert reason in found[field]


def test_a_payload_takes_a_result(caller: Caller, worker: FakeWorker, settle: Settle) -> None:
    takes = {"name": {"$from": "a", "result": "/text"}, "times": 2}
    batch = submit(caller, {"jobs": [named("a"), named("b", "a", payload=takes)]}).json
    first, second = (caller.job(job_id) for job_id in batch["job_ids"])
    assert second["payload"] == {"name": {"$from": first["id"], "result": "/text"}, "times": 2}
    held = worker.claim(first)
    assert not held.refers
    worker.succeed(held, {"text": "hello"})
    settle()
    assert worker.claim(second).refers  # so the worker fills its payload in


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"name": {"$from": "x", "result": "/text"}}, "payload.name"),
        ({"name": {"$from": "a", "result": "/nothing"}}, "payload.name"),
        ({"name": {"$from": "a", "result": "text"}}, "payload.name"),
        ({"name": {"$from": "a", "result": ""}}, "payload.name"),
        ({"name": {"$from": "a", "result": "/text"}, "times": 99}, "payload.times"),
    ],
)
def test_a_reference_that_cannot_be_is_refused(caller: Caller, payload: dict[str, Any], field: str) -> None:
    batch = {"jobs": [named("a"), named("b", "a", payload=payload)]}
    assert problems(submit(caller, batch)).keys() == {f"jobs[1].{field}"}
    first = caller.accepted()
    payload["name"]["$from"] = payload["name"]["$from"].replace("a", first["id"])
    assert refused(caller, HELLO | {"after": [first["id"]], "payload": payload}).keys() == {field}


def test_a_callback_that_no_kind_can_deliver_holds_nothing_up(
    caller: Caller, worker: FakeWorker, settle: Settle
) -> None:
    first = caller.accepted(HELLO | {"callback": "https://example.com/hook"})  # no webhook.deliver here
    job = caller.accepted(HELLO | {"after": [first["id"]]})
    worker.succeed(worker.claim(first), {"text": "hello"})
    settle()
    assert caller.job(job["id"])["state"] == "queued"


def test_no_job_is_locked_while_what_is_taken_of_it_is_checked(
    caller: Caller, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking takes as long as the client likes, and a locked job could not end meanwhile."""
    first = caller.accepted()["id"]
    check, looked = Payloads.check_results, []

    def looking(*given: Any) -> None:
        with ledger.write() as other:
            locked = text("SELECT 1 FROM jobs WHERE id = CAST(:id AS uuid) FOR NO KEY UPDATE NOWAIT")
            looked.append(other.execute(locked, {"id": first}).scalar())
        check(*given)

    monkeypatch.setattr(Payloads, "check_results", looking)
    text_of_it = {"$from": first, "result": "/text"}
    caller.accepted(HELLO | {"after": [first], "payload": {"name": text_of_it}})
    assert looked == [1]
