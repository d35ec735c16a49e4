"""How the queues stand, and pausing, resuming and purging them, over HTTP."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from falcon.testing import Result
from sqlalchemy import text

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker
from worker.contract import Scopes
from worker.ledger import audit, jobs, messages
from worker.ledger.engines import Ledger

HELLO = {"kind": "test.greet", "payload": {"name": "Ada"}}


@pytest.fixture
def operator(new_caller: NewCaller) -> Caller:
    return new_caller(scopes=Scopes.of(["operate"]))


@pytest.fixture(autouse=True)
def _empty(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for table in ("jobs", "attempts", "queues"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a name from here


def purge(caller: Caller, name: str = "email", **asked: object) -> Result:
    body = msgspec.json.encode(asked)
    return caller.call("POST", f"/v1/queues/{name}/purge", {"Content-Type": "application/json"}, body=body)


def claimable(ledger: Ledger, job: dict[str, Any]) -> bool:
    with ledger.write() as connection:
        return messages.claimable_in(connection, [job["queue"]], "isolation")


def entries(ledger: Ledger, act: str, operator: Caller) -> list[dict[str, Any]]:
    with ledger.read() as connection:
        found = [dict(entry) for entry in audit.page(connection, 50, act=act)]
    return [entry for entry in found if entry["actor"] == f"client {operator.client.name}"]


def test_queues_show_what_waits_what_runs_and_who_works(
    caller: Caller, operator: Caller, worker: FakeWorker
) -> None:
    running = caller.accepted()
    caller.accepted()
    worker.claim(running)
    queues = {queue["name"]: queue for queue in operator.get("/v1/queues").json["queues"]}
    email = operator.get("/v1/queues/email").json
    assert queues["email"].keys() == email.keys()
    assert (email["depth"], email["running"], email["accepted_per_minute"]) == (1, 1, 2.0)
    assert email["oldest_due_at"].endswith("Z")
    assert email["oldest_age"] >= 0
    assert worker.name in email["workers"]
    assert (email["paused_at"], email["paused_by"]) == (None, None)
    report = operator.get("/v1/queues/report").json
    assert (report["depth"], report["oldest_due_at"], report["oldest_age"]) == (0, None, 0.0)
    assert "isolation" not in queues


def test_what_ended_is_a_rate(caller: Caller, operator: Caller, worker: FakeWorker) -> None:
    worker.succeed(worker.claim(caller.accepted()), {"text": "hello"})
    worker.fail(worker.claim(caller.accepted()), "no")
    email = operator.get("/v1/queues/email").json
    assert (email["finished_per_minute"], email["failed_per_minute"]) == (2.0, 1.0)


def test_a_queue_that_there_is_not_is_named(operator: Caller) -> None:
    for answer in (
        operator.get("/v1/queues/emial"),
        operator.post("/v1/queues/emial/pause"),
        purge(operator, "x"),
    ):
        assert (answer.status_code, answer.json["type"]) == (404, "urn:jobyard:no-such-queue")
        assert "email, web" in answer.json["detail"]


def test_nothing_of_a_paused_queue_is_claimed_and_all_of_it_goes_on_after(
    caller: Caller, operator: Caller, ledger: Ledger, worker: FakeWorker
) -> None:
    refused = caller.accepted()  # its message reaches a worker while the queue is paused
    paused = operator.post("/v1/queues/email/pause").json
    assert paused["paused_at"]
    assert paused["paused_by"] == f"operator {operator.client.name}"
    again = operator.post("/v1/queues/email/pause")
    assert (again.status_code, again.json["paused_at"]) == (200, paused["paused_at"])
    with pytest.raises(ValueError, match="not enough values"):
        worker.claim(refused)
    during = caller.accepted()
    assert not claimable(ledger, during)
    resumed = operator.post("/v1/queues/email/resume")
    assert (resumed.status_code, resumed.json["paused_at"]) == (200, None)
    assert operator.post("/v1/queues/email/resume").status_code == 200
    with ledger.read() as connection:
        for job in (refused, during):
            found = jobs.find(connection, UUID(job["id"]))
            assert found is not None
            assert found["published_at"] is None, "nobody would publish it again"
    worker.succeed(worker.claim(refused), {"text": "hello"})
    assert [len(entries(ledger, act, operator)) for act in ("queue.pause", "queue.resume")] == [1, 1]
    (entry,) = entries(ledger, "queue.pause", operator)
    assert entry["subject"] == "email"
    assert UUID(entry["details"]["key"])


def test_a_purge_cancels_what_waits_whosever_it_is(
    caller: Caller, new_caller: NewCaller, operator: Caller, ledger: Ledger
) -> None:
    mine, theirs = caller.accepted(), new_caller().accepted()
    dry = purge(operator, dry_run=True).json
    assert (dry["dry_run"], dry["matched"], dry["changed"], dry["more"]) == (True, 2, 0, False)
    assert caller.job(mine["id"])["state"] == "queued"
    after = caller.accepted()
    done = purge(operator, confirm="email", until=dry["until"]).json
    assert (done["dry_run"], done["matched"], done["changed"], done["more"]) == (False, 2, 2, False)
    states = [operator.job(job["id"])["state"] for job in (mine, theirs, after)]
    assert states == ["cancelled", "cancelled", "queued"]
    (act,) = caller.job(mine["id"])["history"]
    assert (act["act"], act["actor"]) == ("cancel", f"operator {operator.client.name}")
    (entry,) = entries(ledger, "queue.purge", operator)
    assert (entry["subject"], entry["details"]["jobs"]) == ("email", 2)


def test_a_purge_leaves_alone_what_runs_ended_or_is_due_later(
    caller: Caller, operator: Caller, worker: FakeWorker, tomorrow: str
) -> None:
    running, ended, retrying = caller.accepted(), caller.accepted(), caller.accepted()
    worker.claim(running)
    worker.succeed(worker.claim(ended), {"text": "hello"})
    worker.fail(worker.claim(retrying), "not yet", again=True, delay=3600.0)
    later = caller.accepted(HELLO | {"scheduled_at": tomorrow})
    assert purge(operator, confirm="email").json["changed"] == 0
    states = [caller.job(job["id"])["state"] for job in (running, ended, retrying, later)]
    assert states == ["running", "succeeded", "retrying", "scheduled"]


def test_a_purge_takes_any_offset_and_no_year_that_nobody_knows(operator: Caller) -> None:
    assert purge(operator, dry_run=True, until="2027-02-11T17:28:01-18:20").status_code == 200
    refused = purge(operator, dry_run=True, until="9999-12-31T23:59:59-12:00")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "until")


@pytest.mark.parametrize("asked", [{}, {"confirm": None}, {"confirm": "web"}, {"confirm": "email "}])
def test_a_purge_needs_the_queues_name(caller: Caller, operator: Caller, asked: dict[str, object]) -> None:
    job = caller.accepted()
    answer = purge(operator, **asked)
    assert (answer.status_code, answer.json["type"]) == (422, "urn:jobyard:purge-not-confirmed")
    assert answer.json["errors"][0]["field"] == "confirm"
    assert caller.job(job["id"])["state"] == "queued"


def test_a_large_backlog_is_purged_in_several_requests(
    caller: Caller, operator: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resources.queues.MOST", 4)
    monkeypatch.setattr("api.resources.queues._SLICE", 2)
    for _ in range(7):
        caller.accepted()
    dry = purge(operator, dry_run=True).json
    assert (dry["matched"], dry["more"]) == (4, True)
    seen = []
    until = dry["until"]
    for _ in range(2):
        done = purge(operator, confirm="email", until=until).json
        seen.append((done["changed"], done["more"]))
    assert seen == [(4, True), (3, False)]


@pytest.mark.parametrize("scopes", ["read", "submit"])
def test_a_key_without_operate_sees_and_steers_no_queue(new_caller: NewCaller, scopes: str) -> None:
    caller = new_caller(scopes=Scopes.of([scopes]))
    answers = [
        caller.get("/v1/queues"),
        caller.get("/v1/queues/email"),
        caller.post("/v1/queues/email/pause"),
        caller.post("/v1/queues/email/resume"),
        purge(caller, confirm="email"),
    ]
    assert [(answer.status_code, answer.json["scope"]) for answer in answers] == [(403, "operate")] * 5
