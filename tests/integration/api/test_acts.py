"""Cancelling and re-running all jobs that fit a filter."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from falcon.testing import Result

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker
from worker.contract import Rights, Scopes
from worker.ledger import audit, jobs
from worker.ledger.engines import Ledger

HELLO: dict[str, Any] = {"kind": "test.greet", "payload": {"name": "Ada"}}


def act(caller: Caller, what: str, **wanted: object) -> Result:
    body = msgspec.json.encode(wanted)
    return caller.call("POST", f"/v1/jobs/{what}", {"Content-Type": "application/json"}, body=body)


def acted(caller: Caller, what: str, **wanted: object) -> tuple[int, int]:
    answer = act(caller, what, **wanted)
    assert answer.status_code == 200, answer.text
    assert answer.json["next_page_token"] is None
    return answer.json["matched"], answer.json["changed"]


def test_jobs_are_cancelled_by_filter(caller: Caller, worker: FakeWorker) -> None:
    wanted, other = caller.accepted(HELLO | {"tags": ["old"]}), caller.accepted()
    running = caller.accepted(HELLO | {"tags": ["old"]})
    worker.claim(running)
    assert acted(caller, "cancel", tag="old", dry_run=True) == (2, 0)
    assert caller.job(wanted["id"])["state"] == "queued"
    assert acted(caller, "cancel", tag="old") == (2, 2)
    assert acted(caller, "cancel", tag="old") == (0, 0)
    cancelled = caller.job(wanted["id"])
    assert cancelled["state"] == "cancelled"
    assert [(entry["act"], entry["actor"]) for entry in cancelled["history"]] == [
        ("cancel", f"client {caller.client.name}")
    ]
    assert caller.job(running["id"])["cancel_requested_at"] is not None
    assert caller.job(other["id"])["state"] == "queued"


def test_jobs_are_run_again_by_filter(caller: Caller, worker: FakeWorker) -> None:
    failed, done, cancelled = caller.accepted(), caller.accepted(), caller.accepted()
    worker.fail(worker.claim(failed), "no")
    worker.succeed(worker.claim(done), {"text": "hello"})
    caller.post(f"/v1/jobs/{cancelled['id']}/cancel")
    assert acted(caller, "retry", kind="test.greet", dry_run=True) == (2, 0)
    assert acted(caller, "retry", kind="test.greet", state="failed") == (1, 1)
    assert caller.job(failed["id"])["state"] == "queued"
    assert caller.job(failed["id"])["history"][-1]["act"] == "retry"
    assert caller.job(cancelled["id"])["state"] == "cancelled"
    assert acted(caller, "retry", kind="test.greet") == (1, 1)


def test_a_job_of_next_month_that_was_cancelled_waits_for_its_time_again(caller: Caller) -> None:
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    job = caller.accepted(HELLO | {"scheduled_at": later, "tags": ["later"]})
    for again in (
        lambda: caller.post(f"/v1/jobs/{job['id']}/retry"),
        lambda: acted(caller, "retry", tag="later"),
    ):
        caller.post(f"/v1/jobs/{job['id']}/cancel")
        again()
        shown = caller.job(job["id"])
        assert (shown["state"], shown["scheduled_at"]) == ("scheduled", job["scheduled_at"])


def test_jobs_of_kinds_that_a_key_may_not_submit_are_left_alone(
    caller: Caller, new_caller: NewCaller
) -> None:
    for job in (caller.accepted(), caller.accepted({"kind": "test.idle"})):
        caller.post(f"/v1/jobs/{job['id']}/cancel")
    bound = new_caller(Rights.of(["test.idle"]), of=caller)
    assert acted(bound, "retry", state="cancelled") == (1, 1)


def test_jobs_of_other_clients_are_not_touched(caller: Caller, new_caller: NewCaller) -> None:
    job, other = caller.accepted(HELLO | {"tags": ["x"]}), new_caller()
    assert acted(other, "cancel", tag="x") == (0, 0)
    caller.post(f"/v1/jobs/{job['id']}/cancel")
    assert acted(other, "retry", tag="x") == (0, 0)
    assert caller.job(job["id"])["state"] == "cancelled"


@pytest.fixture
def operator(new_caller: NewCaller) -> Caller:
    return new_caller(scopes=Scopes.of(["operate"]))


def entries(ledger: Ledger, name: str) -> list[Any]:
    with ledger.read() as connection:
        return [dict(entry) for entry in audit.page(connection, 10, act=name)]


def test_an_operator_acts_on_everybodys_jobs_and_the_audit_log_says_so(
    caller: Caller, new_caller: NewCaller, operator: Caller, ledger: Ledger
) -> None:
    other, tag = new_caller(), str(uuid4())
    theirs = {who.client.name: who.accepted(HELLO | {"tags": [tag]}) for who in (caller, other, operator)}
    assert acted(operator, "cancel", tag=tag, client=caller.client.name, dry_run=True) == (1, 0)
    assert acted(operator, "cancel", tag=tag, client="*") == (3, 3)
    actors = {
        who.client.name: who.job(job["id"])["history"][-1]["actor"]
        for who, job in zip((caller, other, operator), theirs.values(), strict=True)
    }
    assert actors == {
        caller.client.name: f"operator {operator.client.name}",
        other.client.name: f"operator {operator.client.name}",
        operator.client.name: f"client {operator.client.name}",
    }
    found = [entry for entry in entries(ledger, "jobs.cancel") if entry["details"]["filter"] == {"tag": tag}]
    assert {entry["subject"] for entry in found} == {caller.client.name, other.client.name}
    assert {entry["actor"] for entry in found} == {f"client {operator.client.name}"}
    assert [entry["details"]["jobs"] for entry in found] == [1, 1]
    assert acted(operator, "retry", tag=tag) == (1, 1)
    assert acted(operator, "retry", tag=tag, client=other.client.name) == (1, 1)
    (entry,) = [
        entry for entry in entries(ledger, "jobs.retry") if entry["details"]["filter"] == {"tag": tag}
    ]
    assert entry["details"]["client"] == other.client.name


def test_only_an_operator_acts_on_jobs_of_others(caller: Caller, operator: Caller) -> None:
    job = caller.accepted(HELLO | {"tags": ["x"]})
    for name in (operator.client.name, "nobody", "*"):
        assert act(caller, "cancel", tag="x", client=name).json["scope"] == "operate"
    assert acted(operator, "cancel", tag="x") == (0, 0)
    refused = act(operator, "cancel", tag="x", client="nobody")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "client")
    assert caller.job(job["id"])["state"] == "queued"


def test_very_many_jobs_are_acted_on_in_several_requests(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resources.acts.MOST", 3)
    made = [caller.accepted(HELLO | {"tags": ["many"]}) for _ in range(5)]
    first = act(caller, "cancel", tag="many").json
    assert first["changed"] == 3
    rest = act(caller, "cancel", tag="many", page_token=first["next_page_token"]).json
    assert (rest["changed"], rest["next_page_token"]) == (2, None)
    assert {caller.job(job["id"])["state"] for job in made} == {"cancelled"}


def test_a_search_goes_on_where_few_jobs_fit(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOK", 2)
    caller.accepted(HELLO | {"tags": ["rare"]})
    for _ in range(5):
        caller.accepted()
    assert acted(caller, "cancel", tag="rare") == (1, 1)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"dry_run": True},
        {"client": "*"},
        {"state": "succeeded", "kind": "a.b"},
        {"tags": "x"},
        {"batch": "x"},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(operator: Caller, wanted: dict[str, object]) -> None:
    for what in ("cancel", "retry"):
        assert act(operator, what, **wanted).status_code == 422
