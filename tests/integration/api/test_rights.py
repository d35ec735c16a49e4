"""A key submits the kinds that its rights name, and reads everything of its client's."""

from dataclasses import replace
from uuid import uuid4

import msgspec
import pytest
from falcon.testing import Result, TestClient

from api.app import Deps, create_app
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from worker import catalog
from worker.contract import Rights, Scopes

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
    assert marks(free).items() >= {"test.greet": True, "test.idle": True}.items()
    assert [name for name, mark in marks(bound).items() if mark] == ["test.idle"]
    tag = free.get("/v1/kinds").headers["ETag"]
    assert bound.get("/v1/kinds", If_None_Match=tag).status_code == 200


OVERSEE = {"kind": "report.oversee", "payload": {"report": "slowest"}}


@pytest.fixture
def http(deps: Deps) -> TestClient:
    """With the kinds that there are, beside those of tests."""
    kinds = {**catalog.of_clients(catalog.load()), **deps.catalog}
    return TestClient(create_app(replace(deps, catalog=kinds)))


@pytest.fixture
def operator(new_caller: NewCaller) -> Caller:
    return new_caller(scopes=Scopes.of(["operate"]))


def assert_for_operators(answer: Result) -> None:
    assert answer.status_code == 403, answer.text
    assert (answer.json["type"], answer.json["scope"]) == ("urn:jobyard:scope-missing", "operate")
    assert "report.oversee is for operators" in answer.json["detail"]


@pytest.mark.parametrize("patterns", [("*",), ("report.*",), ("report.oversee",)])
def test_what_tells_of_everybodys_jobs_needs_an_operator_however_it_is_submitted(
    operator: Caller, new_caller: NewCaller, patterns: tuple[str, ...]
) -> None:
    key = str(uuid4())
    operator.accepted(OVERSEE, Idempotency_Key=key)
    plain = new_caller(Rights(patterns), of=operator)  # of the same client: it is the key that counts
    as_json = {"Content-Type": "application/json"}
    for wish in (OVERSEE, OVERSEE | {"payload": {"report": {"$from": "x", "result": ""}}, "after": ["x"]}):
        assert_for_operators(plain.submit(wish))
        assert_for_operators(plain.submit(wish, Idempotency_Key=key))
        batch = msgspec.json.encode({"jobs": [OVERSEE | {"name": "x"}, wish]})
        assert_for_operators(plain.call("POST", "/v1/batches", as_json, body=batch))
    assert len(operator.get("/v1/jobs").json["jobs"]) == 1


def test_what_an_operator_submitted_runs_again_for_an_operator_alone(
    operator: Caller, new_caller: NewCaller
) -> None:
    plain = new_caller(of=operator)
    job_id = operator.accepted(OVERSEE)["id"]
    assert plain.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    assert_for_operators(plain.post(f"/v1/jobs/{job_id}/retry"))
    meant = {"body": b'{"kind": "report.oversee"}', "headers": {"Content-Type": "application/json"}}
    assert plain.call("POST", "/v1/jobs/retry", **meant).json["changed"] == 0
    assert operator.call("POST", "/v1/jobs/retry", **meant).json["changed"] == 1


def test_the_list_of_kinds_tells_which_are_for_operators(operator: Caller, new_caller: NewCaller) -> None:
    def allowed(caller: Caller) -> dict[tuple[str, bool], bool]:
        kinds = caller.get("/v1/kinds").json["kinds"]
        return {(kind["name"], kind["operator"]): kind["allowed"] for kind in kinds if kind["name"][0] == "r"}

    plain = new_caller()
    assert allowed(plain) == {("report.oversee", True): False, ("report.render", False): True}
    assert allowed(operator) == {("report.oversee", True): True, ("report.render", False): True}
