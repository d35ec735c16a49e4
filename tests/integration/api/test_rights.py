"""A key submits the kinds that its rights name, and reads everything of its client's."""

from uuid import uuid4

import pytest
from falcon.testing import Result

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from worker.contract import Rights

IDLE = {"kind": "test.idle"}
GREETING = {"kind": "test.greet", "payload": {"name": "Ada"}}


def assert_not_allowed(answer: Result, kind: str, *patterns: str) -> None:
    assert answer.status_code == 403, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert answer.json["type"] == "urn:jobyard:kind-not-allowed"
    assert answer.json["allowed"] == list(patterns)
    assert kind in answer.json["detail"]
    assert all(pattern in answer.json["detail"] for pattern in patterns)


@pytest.mark.parametrize("patterns", [("test.idle",), ("test.*",), ("*",), ("email.*", "test.idle")])
def test_a_key_submits_what_its_patterns_stand_for(new_caller: NewCaller, patterns: tuple[str, ...]) -> None:
    new_caller(Rights(patterns)).accepted(IDLE)


@pytest.mark.parametrize("patterns", [("test.greet",), ("email.*", "tes.*"), ("test.idle_more",), ()])
def test_another_kind_is_forbidden_and_the_answer_says_what_is_not(
    new_caller: NewCaller, patterns: tuple[str, ...]
) -> None:
    caller = new_caller(Rights(patterns))
    assert_not_allowed(caller.submit(IDLE), "test.idle", *patterns)
    assert caller.get("/v1/jobs").json["jobs"] == []


def test_a_forbidden_kinds_payload_is_not_looked_at(new_caller: NewCaller) -> None:
    caller = new_caller(Rights(("test.idle",)))
    assert_not_allowed(caller.submit({"kind": "test.greet", "payload": {"no": 1}}), "test.greet", "test.idle")


def test_a_kind_that_there_is_not_is_unknown_and_not_forbidden(new_caller: NewCaller) -> None:
    answer = new_caller(Rights(("test.idle",))).submit({"kind": "test.none"})
    assert (answer.status_code, answer.json["type"]) == (422, "urn:jobyard:unknown-kind")


def test_a_repetition_under_an_idempotency_key_needs_the_right_too(new_caller: NewCaller) -> None:
    caller = new_caller()
    key = str(uuid4())
    caller.accepted(GREETING, Idempotency_Key=key)
    bound = new_caller(Rights(("test.idle",)), of=caller)
    assert_not_allowed(bound.submit(GREETING, Idempotency_Key=key), "test.greet", "test.idle")


def test_a_refusal_does_not_use_up_an_idempotency_key(new_caller: NewCaller) -> None:
    caller = new_caller()
    bound = new_caller(Rights(("test.idle",)), of=caller)
    key = str(uuid4())
    assert bound.submit(GREETING, Idempotency_Key=key).status_code == 403
    caller.accepted(GREETING, Idempotency_Key=key)


@pytest.fixture
def failed(caller: Caller, worker: FakeWorker) -> str:
    """A failed job of the caller."""
    job = caller.accepted(GREETING)
    worker.fail(worker.claim(job), "broken")
    return str(job["id"])


def test_a_job_runs_again_only_for_a_key_that_may_submit_its_kind(
    caller: Caller, new_caller: NewCaller, failed: str
) -> None:
    bound = new_caller(Rights(("test.idle",)), of=caller)
    assert_not_allowed(bound.post(f"/v1/jobs/{failed}/retry"), "test.greet", "test.idle")
    assert caller.job(failed)["state"] == "failed"
    allowed = new_caller(Rights(("test.greet",)), of=caller)
    assert allowed.post(f"/v1/jobs/{failed}/retry").status_code == 202
    assert caller.job(failed)["state"] == "queued"


def test_nobody_learns_the_kind_of_anothers_job(new_caller: NewCaller, failed: str) -> None:
    stranger = new_caller(Rights(("test.idle",)))
    for job_id in (failed, unknown_id()):
        assert stranger.post(f"/v1/jobs/{job_id}/retry").status_code == 404


def test_a_key_reads_and_cancels_jobs_that_it_may_not_submit(caller: Caller, new_caller: NewCaller) -> None:
    job = caller.accepted(GREETING)
    bound = new_caller(Rights(("test.idle",)), of=caller)
    assert bound.job(job["id"])["kind"] == "test.greet"
    assert bound.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_the_list_of_kinds_tells_which_of_them_the_key_may_submit(new_caller: NewCaller) -> None:
    def marks(caller: Caller) -> dict[str, bool]:
        return {kind["name"]: kind["allowed"] for kind in caller.get("/v1/kinds").json["kinds"]}

    free, bound = new_caller(), new_caller(Rights(("test.idle",)))
    assert marks(free) == {"test.greet": True, "test.idle": True}
    assert marks(bound) == {"test.greet": False, "test.idle": True}
    tag = free.get("/v1/kinds").headers["ETag"]
    assert bound.get("/v1/kinds", If_None_Match=tag).status_code == 200
