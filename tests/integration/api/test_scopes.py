"""Each operation needs one scope, and only `operate` reaches beyond one's own jobs."""

import re
from uuid import UUID, uuid4

import pytest
from falcon.testing import TestClient

from api.operations import OPERATIONS, Route
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from tests.integration.api.test_batches import accepted
from worker.contract import Scope, Scopes
from worker.ledger import audit
from worker.ledger.engines import Ledger

GUARDED = {route: operation.scope for route, operation in OPERATIONS.items() if operation.scope}


def ask(caller: Caller, route: Route) -> int:
    """Ask for an operation, about something that there is not."""
    template, method = route
    return caller.call(method.upper(), re.sub(r"{\w+}", unknown_id(), template)).status_code


@pytest.fixture
def operator(new_caller: NewCaller) -> Caller:
    return new_caller(scopes=Scopes.of(["operate"]))


@pytest.mark.parametrize("route", GUARDED, ids=" ".join)
def test_an_operation_is_refused_to_every_key_without_its_scope(new_caller: NewCaller, route: Route) -> None:
    needed = GUARDED[route]
    for scope in Scope:
        scopes = Scopes.of([scope])
        assert (ask(new_caller(scopes=scopes), route) == 403) is not scopes.allow(needed), scope


def test_the_refusal_names_the_scope(new_caller: NewCaller) -> None:
    answer = new_caller(scopes=Scopes.of(["read"])).submit()
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="submit"'
    assert (answer.json["type"], answer.json["scope"]) == ("urn:jobyard:scope-missing", "submit")
    assert "this needs a key with the scope submit; this one has read" in answer.json["detail"]


def test_what_is_no_operation_is_answered_as_ever(http: TestClient, caller: Caller) -> None:
    assert caller.call("DELETE", "/v1/jobs").status_code == 405
    assert caller.call("OPTIONS", "/v1/jobs").status_code == 200
    for headers in ({}, {"Authorization": "Bearer jy_none"}):
        answer = http.simulate_options("/v1/jobs", headers=headers)
        assert (answer.status_code, answer.headers["Allow"]) == (200, "GET, HEAD, POST, OPTIONS")
    assert http.simulate_options("/v1/none").status_code == 404
    assert http.simulate_get("/v1/none").status_code == 404


def test_a_head_needs_what_its_get_needs(new_caller: NewCaller) -> None:
    assert new_caller(scopes=Scopes.of(["submit"])).call("HEAD", "/v1/jobs").status_code == 403


def test_an_operator_reads_and_cancels_everybodys_jobs(
    caller: Caller, operator: Caller, ledger: Ledger
) -> None:
    job_id = caller.accepted()["id"]
    assert operator.job(job_id)["id"] == job_id
    assert operator.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    (act,) = caller.job(job_id)["history"]
    assert (act["act"], act["actor"]) == ("cancel", f"operator {operator.client.name}")
    with ledger.read() as connection:
        (entry, *_) = audit.page(connection, 1)
    assert entry["actor"] == f"client {operator.client.name}"
    assert (entry["act"], entry["subject"]) == ("job.cancel", job_id)
    assert entry["details"]["client"] == caller.client.name
    assert UUID(entry["details"]["key"])


def test_an_operator_runs_everybodys_failed_jobs_again(
    caller: Caller, operator: Caller, worker: FakeWorker
) -> None:
    job = caller.accepted()
    worker.fail(worker.claim(job), "broken")
    assert operator.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
    assert caller.job(job["id"])["history"][-1]["actor"] == f"operator {operator.client.name}"


def test_what_changed_nothing_and_what_is_ones_own_is_not_in_the_audit_log(
    caller: Caller, operator: Caller, ledger: Ledger
) -> None:
    def entries() -> int:
        with ledger.read() as connection:
            return len(audit.page(connection, 1000))

    before = entries()
    theirs, own = caller.accepted()["id"], operator.accepted()["id"]
    caller.post(f"/v1/jobs/{theirs}/cancel")
    operator.post(f"/v1/jobs/{theirs}/cancel")
    operator.post(f"/v1/jobs/{own}/cancel")
    assert operator.post(f"/v1/jobs/{unknown_id()}/cancel").status_code == 404
    assert entries() == before
    assert operator.job(own)["history"][-1]["actor"] == f"client {operator.client.name}"


def test_an_operator_lists_ones_own_jobs_a_clients_or_everybodys(caller: Caller, operator: Caller) -> None:
    theirs, own = caller.accepted()["id"], operator.accepted()["id"]

    def listed(query: str = "") -> list[str]:
        return [job["id"] for job in operator.get(f"/v1/jobs{query}").json["jobs"]]

    assert listed() == [own]
    assert listed(f"?client={caller.client.name}") == [theirs]
    assert listed("?client=*")[:2] == [own, theirs]
    names = [job["client"] for job in operator.get("/v1/jobs?client=*").json["jobs"]]
    assert names[:2] == [operator.client.name, caller.client.name]
    assert operator.job(theirs)["client"] == caller.client.name
    assert {job["client"] for job in caller.get("/v1/jobs").json["jobs"]} == {None}
    answer = operator.get("/v1/jobs?client=nobody")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (400, "client")


def test_a_client_lists_its_own_jobs_alone(caller: Caller, operator: Caller) -> None:
    assert caller.get(f"/v1/jobs?client={caller.client.name}").status_code == 200
    for name in (operator.client.name, "nobody", "*"):
        assert caller.get(f"/v1/jobs?client={name}").json["scope"] == "operate"


def test_an_admin_reads_the_audit_log_page_by_page(
    caller: Caller, operator: Caller, new_caller: NewCaller
) -> None:
    admin = new_caller(scopes=Scopes.of(["admin"]))
    jobs = [caller.accepted()["id"] for _ in range(3)]
    for job_id in jobs:
        operator.post(f"/v1/jobs/{job_id}/cancel")
    first = admin.get("/v1/audit?page_size=2").json
    second = admin.get(f"/v1/audit?page_size=2&page_token={first['next_page_token']}").json
    subjects = [entry["subject"] for page in (first, second) for entry in page["entries"]]
    assert subjects[:3] == jobs[::-1]
    assert first["entries"][0]["acted_at"].endswith("Z")
    assert admin.get("/v1/audit?act=key.add").json == {"entries": [], "next_page_token": None}
    assert operator.get("/v1/audit").json["scope"] == "admin"


def test_a_key_that_only_submits_sees_no_payload_and_no_result(
    caller: Caller, new_caller: NewCaller, worker: FakeWorker
) -> None:
    secret, key = {"name": "a secret"}, str(uuid4())
    wish = {"kind": "test.greet", "payload": secret, "unique_key": {"key": "one", "window": 900}}
    done = caller.accepted(wish, Idempotency_Key=key)
    worker.succeed(worker.claim(done), {"text": "a secret"})
    gone = caller.accepted({"kind": "test.greet", "payload": secret, "callback": "https://a.example/secret"})
    failed = caller.accepted({"kind": "test.greet", "payload": secret})
    worker.fail(worker.claim(failed), "no")
    bare = new_caller(of=caller, scopes=Scopes.of(["submit"]))
    fresh = {"kind": "test.greet", "payload": secret}
    answers = [
        bare.submit(wish),  # its key is held
        bare.submit(wish, Idempotency_Key=key),  # it was accepted before
        bare.submit(fresh),
        bare.submit(fresh, Prefer="wait=1"),
        bare.post(f"/v1/jobs/{gone['id']}/cancel"),
        bare.post(f"/v1/jobs/{gone['id']}/cancel"),
        bare.post(f"/v1/jobs/{failed['id']}/retry"),
    ]
    assert [answer.status_code for answer in answers] == [200, 202, 202, 202, 200, 200, 202]
    for answer in answers:
        assert "secret" not in answer.text
        assert {"id", "state"} <= answer.json.keys()
        assert answer.json.keys().isdisjoint({"payload", "result", "history", "callback", "artifacts"})
    assert caller.job(done["id"])["result"] == {"text": "a secret"}


def test_a_key_that_only_submits_does_not_see_who_is_told_of_a_batch(
    caller: Caller, new_caller: NewCaller
) -> None:
    batch = accepted(caller, callback="https://a.example/secret")
    bare = new_caller(of=caller, scopes=Scopes.of(["submit"]))
    answer = bare.post(f"/v1/batches/{batch['id']}/cancel")
    assert (answer.status_code, answer.json["counts"]) == (200, {"cancelled": 2})
    assert "secret" not in answer.text
