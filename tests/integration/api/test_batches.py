"""Batches: many jobs submitted together and watched as one."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from falcon.testing import Result, TestClient
from sqlalchemy import Connection, text

from api.app import Deps, create_app
from tests.awaiting import eventually
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakePublisher, FakeWorker, unknown_id
from tests.unit.api.kinds import CATALOG
from worker import catalog
from worker.contract import Rights, Scopes
from worker.contract.states import State
from worker.ledger import audit, batches
from worker.ledger.engines import Ledger

JSON = "application/json"
NDJSON = "application/x-ndjson"
HELLO: dict[str, Any] = {"kind": "test.greet", "payload": {"name": "Ada"}}


def submit(caller: Caller, batch: object, **headers: str) -> Result:
    named = {"Content-Type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.call("POST", "/v1/batches", named, body=msgspec.json.encode(batch))


def accepted(caller: Caller, *jobs: object, **more: object) -> dict[str, Any]:
    answer = submit(caller, {"jobs": jobs or [HELLO, HELLO], **more})
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json
    return batch


def problems(answer: Result) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["reason"] for error in answer.json["errors"]}


def jobs_of(caller: Caller) -> int:
    return len(caller.get("/v1/jobs").json["jobs"])


def test_all_jobs_of_a_batch_are_accepted_together(caller: Caller) -> None:
    answer = submit(caller, {"jobs": [HELLO, HELLO | {"priority": "high"}], "tags": ["nightly"]})
    batch = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/batches/{batch['id']}"
    assert (batch["size"], batch["done"], batch["counts"]) == (2, False, {"queued": 2})
    assert (batch["tags"], batch["finished_at"]) == (["nightly"], None)
    first, second = (caller.job(job_id) for job_id in batch["job_ids"])
    assert (first["priority"], second["priority"]) == ("normal", "high")
    assert first["batch_id"] == second["batch_id"] == batch["id"]
    assert first["links"]["batch"] == f"/v1/batches/{batch['id']}"


def marked(ledger: Ledger, batch: Mapping[str, Any]) -> list[str]:
    """Which of its jobs count as published."""
    with ledger.write() as connection:
        query = text("SELECT id FROM jobs WHERE batch_id = :id AND published_at IS NOT NULL ORDER BY id")
        return [str(job_id) for job_id in connection.execute(query, {"id": batch["id"]}).scalars()]


def test_a_small_batch_is_published_after_its_commit_but_for_what_has_to_wait(
    caller: Caller, publisher: FakePublisher, ledger: Ledger
) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first = HELLO | {"name": "first"}
    batch = accepted(caller, first, HELLO | {"after": ["first"]}, HELLO | {"scheduled_at": later}, HELLO)

    sent = [str(message.job_id) for message in publisher.published]
    assert sent == [batch["job_ids"][place] for place in (0, 3)]
    assert marked(ledger, batch) == sent


def test_jobs_of_a_batch_without_room_in_the_broker_are_left_to_dispatch(
    caller: Caller, publisher: FakePublisher, ledger: Ledger
) -> None:
    publisher.room = False
    assert marked(ledger, accepted(caller)) == []
    assert publisher.published == []


def test_a_large_batch_is_left_to_dispatch(
    caller: Caller, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resources.batches._FEW", 2)
    assert len(marked(ledger, accepted(caller, *[HELLO] * 2))) == 2
    assert marked(ledger, accepted(caller, *[HELLO] * 3)) == []


def test_short_jobs_of_a_batch_are_left_to_dispatch_which_bundles_them(
    deps: Deps, caller: Caller, ledger: Ledger
) -> None:
    brief = replace(CATALOG["test.idle"], short=True)
    http = TestClient(create_app(replace(deps, catalog={**CATALOG, brief.name: brief})))
    batch = accepted(Caller(http, caller.client, caller.key), HELLO, {"kind": brief.name})
    assert marked(ledger, batch) == batch["job_ids"][:1]


def test_an_operator_reads_and_cancels_the_batch_of_another(
    caller: Caller, new_caller: NewCaller, ledger: Ledger
) -> None:
    operator = new_caller(scopes=Scopes.of(["operate"]))
    batch = accepted(caller)
    path = f"/v1/batches/{batch['id']}"
    assert operator.get(path).json == caller.get(path).json
    assert operator.get(path, Prefer="wait=0").status_code == 200
    assert operator.post(f"{path}/cancel").json["counts"] == {"cancelled": 2}
    assert operator.post(f"{path}/cancel").status_code == 200
    for job_id in batch["job_ids"]:
        assert caller.job(job_id)["history"][-1]["actor"] == f"operator {operator.client.name}"
    with ledger.read() as connection:
        noted = [entry for entry in audit.page(connection, 20) if entry["subject"] == batch["id"]]
    assert [(entry["act"], entry["details"]["jobs"]) for entry in noted] == [("batch.cancel", 2)]
    assert noted[0]["details"]["client"] == caller.client.name


def test_a_kind_of_the_platform_alone_is_unknown_in_a_batch_and_in_a_chain_too(
    caller: Caller, deps: Deps
) -> None:
    api = create_app(replace(deps, catalog=catalog.of_clients(catalog.load())))
    client = Caller(TestClient(api), caller.client, caller.key)
    url = {"url": "https://example.com/"}
    page = {"name": "page", "kind": "web.fetch", "payload": url}
    own = {
        "kind": "webhook.deliver",
        "payload": {"job": {"$from": "page", "result": "/url"}},
        "after": ["page"],
    }
    found = problems(submit(client, {"jobs": [page, own]}))
    assert found.keys() == {"jobs[1].kind"}
    assert "no kind 'webhook.deliver'" in found["jobs[1].kind"]


def test_the_answer_tells_which_jobs_the_names_stand_for(caller: Caller) -> None:
    batch = {"jobs": [HELLO, HELLO | {"name": "last", "after": ["first"]}, HELLO | {"name": "first"}]}
    answers = [submit(caller, batch, Idempotency_Key="named").json for _ in range(2)]
    _, last, first = answers[0]["job_ids"]
    assert [answer["names"] for answer in answers] == [{"last": last, "first": first}] * 2
    assert caller.job(last)["after"] == [first]
    assert accepted(caller)["names"] == {}


def test_its_jobs_can_be_sent_one_a_line(caller: Caller) -> None:
    body = b"\n".join(msgspec.json.encode(HELLO) for _ in range(3)) + b"\n"
    answer = caller.call("POST", "/v1/batches", {"Content-Type": NDJSON}, body=body)
    assert answer.status_code == 202
    assert answer.json["size"] == 3


def test_one_bad_job_refuses_them_all_and_each_is_named(caller: Caller) -> None:
    bad = {"kind": "test.greet", "payload": {"name": ""}}
    unread = {"kind": "test.greet", "name": "first", "prio": 1}
    after = {**HELLO, "after": ["first"]}
    answer = submit(caller, {"jobs": [5, bad, unread, after]})
    assert problems(answer).keys() == {"jobs[0]", "jobs[1].payload.name", "jobs[2].prio"}
    answer = submit(caller, {"jobs": [HELLO, bad, HELLO, {"kind": "no.such"}]})
    assert problems(answer) == {
        "jobs[1].payload.name": "Expected `string` of length >= 1",
        "jobs[3].kind": "there is no kind 'no.such'; known are test.greet, test.idle",
    }
    assert jobs_of(caller) == 0


def test_a_bad_job_is_told_with_its_line(caller: Caller) -> None:
    bad = msgspec.json.encode({"kind": "no.such"})
    orphan = msgspec.json.encode(HELLO | {"after": [unknown_id()]})
    good = msgspec.json.encode(HELLO)
    for body, told in (
        (b"\n".join((good, b"", bad, bad)), [("jobs[1].kind", 3), ("jobs[2].kind", 4)]),
        (b"\r\n".join((good, orphan)), [("jobs[1].after[0]", 2)]),
        (b" ".join((good, bad)), [("jobs[1].kind", None)]),  # all in one
        (b" ".join((good, bad)) + b"\n{\n" + good[1:], [("jobs[1].kind", None)]),
    ):
        answer = caller.call("POST", "/v1/batches", {"Content-Type": NDJSON}, body=body)
        assert [(error["field"], error.get("line")) for error in answer.json["errors"]] == told


@pytest.mark.parametrize("body", [b'{}\n\n{"a": x}\n{}', b'{}\n{}\n{"a"\n'])
def test_what_is_no_json_is_told_with_its_line(caller: Caller, body: bytes) -> None:
    answer = caller.call("POST", "/v1/batches", {"Content-Type": NDJSON}, body=body)
    assert answer.status_code == 400
    assert answer.json["type"] == "urn:jobyard:malformed-json"
    assert "in line 3: " in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", b"[object Object]"),
        ("/v1/jobs/cancel", b"[1,2"),
        ("/v1/batches", b"[1,2"),
        ("/v1/batches", b"[" + b'{"kind": "x"},' * 30_000),
    ],
)
def test_what_begins_as_a_list_and_is_no_json_is_malformed(caller: Caller, path: str, body: bytes) -> None:
    answer = caller.call("POST", path, {"Content-Type": "application/json"}, body=body)
    assert (answer.status_code, answer.json["type"]) == (400, "urn:jobyard:malformed-json")


def test_a_list_is_told_where_it_belongs(caller: Caller) -> None:
    headers = {"Content-Type": "application/json"}
    alone = caller.call("POST", "/v1/jobs", headers, body=b" [{}]")
    assert alone.status_code == 422
    assert "a list of jobs goes to POST /v1/batches" in alone.json["detail"]
    for body in (b"[{}]", b"[" + b",".join([b"{}"] * 100_000) + b"]"):
        batch = caller.call("POST", "/v1/batches", headers, body=body)
        assert batch.status_code == 422
        assert 'send the list as {"jobs": [...]}' in batch.json["detail"]
    lines = caller.call("POST", "/v1/batches", headers, body=b'{"kind": "a"}\n{"kind": "b"}')
    assert lines.status_code == 400
    assert "one a line, are application/x-ndjson" in lines.json["detail"]


def test_of_very_many_bad_jobs_the_first_are_named(caller: Caller) -> None:
    answer = submit(caller, {"jobs": [{"kind": "no.such"}] * 500})
    found = problems(answer)
    assert len(found) == 100
    assert "jobs[99].kind" in found
    assert "and perhaps more" in answer.json["detail"]


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_batch_has_one_to_ten_thousand_jobs(caller: Caller, count: int) -> None:
    assert "jobs" in problems(submit(caller, {"jobs": [0] * count}))
    body = b"0\n" * count
    answer = caller.call("POST", "/v1/batches", {"Content-Type": NDJSON}, body=body)
    assert "jobs" in problems(answer)


def test_a_body_that_is_neither_is_refused(caller: Caller) -> None:
    answer = caller.call("POST", "/v1/batches", {"Content-Type": "text/csv"}, body=b"a,b")
    assert answer.status_code == 415
    for body in (b'{"a": 1}\n{', b"\xff"):
        answer = caller.call("POST", "/v1/batches", {"Content-Type": NDJSON}, body=body)
        assert answer.status_code == 400


def test_a_batch_has_a_limit_of_its_own(caller: Caller, settings: Any) -> None:
    large = HELLO | {"tags": ["x" * 100] * 20}
    batch = accepted(caller, *[large] * 20)
    assert batch["size"] == 20
    assert len(msgspec.json.encode([large] * 20)) > settings.api_max_body
    answer = submit(caller, {"jobs": [large] * 600})
    assert answer.status_code == 413


def test_a_key_bound_to_kinds_submits_no_batch_with_others(caller: Caller, new_caller: NewCaller) -> None:
    bound = new_caller(Rights.of(["test.greet"]), of=caller)
    assert submit(bound, {"jobs": [HELLO]}).status_code == 202
    answer = submit(bound, {"jobs": [HELLO, {"kind": "test.idle"}]})
    assert answer.status_code == 403
    assert answer.json["type"] == "urn:jobyard:kind-not-allowed"


def test_a_repeated_batch_is_answered_with_the_first(caller: Caller) -> None:
    batch = {"jobs": [HELLO, HELLO]}
    first, again = (submit(caller, batch, Idempotency_Key="k") for _ in range(2))
    assert again.status_code == 202
    assert (again.json["id"], again.json["job_ids"]) == (first.json["id"], first.json["job_ids"])
    assert jobs_of(caller) == 2
    assert submit(caller, {"jobs": [HELLO]}, Idempotency_Key="k").status_code == 422
    assert caller.submit(HELLO, Idempotency_Key="k").status_code == 422


def test_a_key_of_a_batch_that_was_pruned_is_a_conflict(caller: Caller, ledger: Ledger) -> None:
    batch = submit(caller, {"jobs": [HELLO]}, Idempotency_Key="k").json
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM batches WHERE id = :id"), {"id": batch["id"]})
    answer = submit(caller, {"jobs": [HELLO]}, Idempotency_Key="k")
    assert answer.status_code == 409
    assert answer.json["detail"].endswith("stands for a batch that was pruned since; take a new key")


def test_a_batch_is_done_when_its_last_job_has_ended(caller: Caller, worker: FakeWorker, settle: Any) -> None:
    batch = accepted(caller)
    first, second = (worker.claim(caller.job(job_id)) for job_id in batch["job_ids"])
    worker.succeed(first, {"text": "hello"})
    settle()
    path = f"/v1/batches/{batch['id']}"
    assert caller.get(path).json["counts"] == {"running": 1, "succeeded": 1}
    assert caller.get(path).headers["Retry-After"] == "1"
    worker.fail(second, "no")
    settle()
    shown = caller.get(path)
    assert (shown.json["done"], shown.json["counts"]) == (True, {"failed": 1, "succeeded": 1})
    assert shown.json["finished_at"].endswith("Z")
    assert "Retry-After" not in shown.headers
    assert caller.get(path, If_None_Match=shown.headers["ETag"]).status_code == 304


def test_a_batch_that_is_not_due_yet_is_asked_for_as_seldom_as_its_next_job(
    caller: Caller,
) -> None:
    later, soon = (
        (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
        for seconds in (3000, 30)
    )
    first = {**HELLO, "name": "first", "scheduled_at": later}
    answer = submit(caller, {"jobs": [first, {**HELLO, "after": ["first"]}]})
    path = answer.headers["Location"]
    for shown in (answer, caller.get(path)):
        assert (shown.headers["Retry-After"], shown.json["due_at"]) == ("60", later)
    answer = submit(caller, {"jobs": [first, {**HELLO, "scheduled_at": soon}]})
    for shown in (answer, caller.get(answer.headers["Location"])):
        assert 20 <= int(shown.headers["Retry-After"]) <= 30
    answer = submit(caller, {"jobs": [first, HELLO]})
    for shown in (answer, caller.get(answer.headers["Location"])):
        assert (shown.headers["Retry-After"], shown.json["due_at"]) == ("1", None)


def test_a_batch_finishes_once_whatever_is_run_again(caller: Caller, worker: FakeWorker, settle: Any) -> None:
    batch = accepted(caller, HELLO)
    path = f"/v1/batches/{batch['id']}"
    worker.fail(worker.claim(caller.job(batch["job_ids"][0])), "no")
    settle()
    finished = caller.get(path).json["finished_at"]
    caller.post(f"/v1/jobs/{batch['job_ids'][0]}/retry")
    shown = caller.get(path).json
    assert (shown["done"], shown["finished_at"]) == (False, finished)
    worker.succeed(worker.claim(caller.job(batch["job_ids"][0])), {"text": "hello"})
    settle()
    shown = caller.get(path).json
    assert (shown["done"], shown["finished_at"]) == (True, finished)


def test_a_client_can_wait_for_a_batch(caller: Caller) -> None:
    batch = accepted(caller)
    began = time.monotonic()
    answer = caller.get(f"/v1/batches/{batch['id']}", Prefer="wait=1")
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert time.monotonic() - began >= 1.0
    caller.post(f"/v1/batches/{batch['id']}/cancel")
    began = time.monotonic()
    assert caller.get(f"/v1/batches/{batch['id']}", Prefer="wait=9").json["done"]
    assert time.monotonic() - began < 5.0


def test_a_batch_whose_job_was_run_again_is_waited_for_again(
    caller: Caller, worker: FakeWorker, settle: Any, deps: Deps
) -> None:
    batch = accepted(caller, HELLO)
    path, job_id = f"/v1/batches/{batch['id']}", batch["job_ids"][0]
    worker.fail(worker.claim(caller.job(job_id)), "no")
    settle()
    caller.post(f"/v1/jobs/{job_id}/retry")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(caller.get, path, Prefer="wait=25")
        eventually(lambda: batch["id"] in deps.waiters._events)
        assert not wait([waiting], 0.2).done  # the waiters look every 20 ms
        worker.succeed(worker.claim(caller.job(job_id)), {"text": "hello"})
        assert waiting.result().json["done"]


def test_those_who_wait_for_one_batch_share_its_reading(
    caller: Caller, deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, readings, count = accepted(caller), [], batches.counts

    def counts(connection: Connection, batch_id: UUID) -> Mapping[State, int]:
        readings.append(batch_id)
        time.sleep(0.2)  # so that the others come meanwhile
        return count(connection, batch_id)

    monkeypatch.setattr(batches, "counts", counts)
    with ThreadPoolExecutor(40) as threads:
        waiting = [
            threads.submit(caller.get, f"/v1/batches/{batch['id']}", Prefer="wait=25") for _ in range(40)
        ]
        eventually(lambda: len(deps.waiters._events.get(batch["id"], ())) == 40)
        caller.post(f"/v1/batches/{batch['id']}/cancel")
        assert all(each.result().json["done"] for each in waiting)
    assert len(readings) < 40  # twice 40 where each reads for itself


def test_a_client_can_wait_for_the_batch_that_it_submits(
    caller: Caller, worker: FakeWorker, settle: Any, deps: Deps
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(submit, caller, {"jobs": [HELLO]}, Prefer="wait=25")
        eventually(lambda: caller.get("/v1/jobs").json["jobs"])
        eventually(lambda: deps.waiters._events)
        worker.succeed(worker.claim(caller.get("/v1/jobs").json["jobs"][0]), {"text": "hello"})
        settle()
        answer = waiting.result()
    assert (answer.status_code, answer.json["counts"]) == (202, {"succeeded": 1})
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert answer.json["job_ids"]


def test_a_batch_is_cancelled_as_one(caller: Caller, worker: FakeWorker, tomorrow: str) -> None:
    batch = accepted(caller, HELLO, HELLO | {"scheduled_at": tomorrow}, HELLO)
    worker.claim(caller.job(batch["job_ids"][0]))
    answer = caller.post(f"/v1/batches/{batch['id']}/cancel")
    assert answer.status_code == 202
    assert answer.json["counts"] == {"cancelled": 2, "running": 1}
    assert caller.job(batch["job_ids"][0])["cancel_requested_at"] is not None
    (act,) = caller.job(batch["job_ids"][1])["history"]
    assert (act["act"], act["actor"]) == ("cancel", f"client {caller.client.name}")
    assert caller.post(f"/v1/batches/{batch['id']}/cancel").status_code == 202


def test_a_cancelled_batch_with_nothing_running_is_done(caller: Caller) -> None:
    batch = accepted(caller)
    answer = caller.post(f"/v1/batches/{batch['id']}/cancel")
    assert (answer.status_code, answer.json["done"]) == (200, True)


def test_the_jobs_of_a_batch_are_listed(caller: Caller) -> None:
    accepted(caller)
    batch = accepted(caller, HELLO, HELLO, HELLO)
    first = caller.get(f"/v1/jobs?batch={batch['id']}&page_size=2").json
    rest = caller.get(f"/v1/jobs?batch={batch['id']}&page_token={first['next_page_token']}").json
    listed = [job["id"] for page in (first, rest) for job in page["jobs"]]
    assert listed == batch["job_ids"][::-1]
    assert rest["next_page_token"] is None


def test_a_batch_is_its_clients_alone(caller: Caller, new_caller: NewCaller) -> None:
    batch, other = accepted(caller), new_caller()
    path = f"/v1/batches/{batch['id']}"
    assert other.get(path).status_code == other.post(path + "/cancel").status_code == 404
    assert other.get(path).json["detail"] == other.get(f"/v1/batches/{unknown_id()}").json["detail"]
    assert other.get("/v1/batches/x").status_code == 404
    assert other.get(f"/v1/jobs?batch={batch['id']}").json["jobs"] == []
    assert caller.get(path).json["counts"] == {"queued": 2}


def test_ten_thousand_jobs_are_accepted_in_a_moment(caller: Caller, ledger: Ledger) -> None:
    began = time.monotonic()
    batch = accepted(caller, *[HELLO] * 10_000)
    seconds = time.monotonic() - began
    with ledger.read() as connection:
        query = text("SELECT count(*) FROM jobs WHERE batch_id = :id")
        assert connection.execute(query, {"id": batch["id"]}).scalar_one() == 10_000
    assert seconds < 20.0  # a machine at rest takes less than one
    began = time.monotonic()
    assert caller.post(f"/v1/batches/{batch['id']}/cancel").json["counts"] == {"cancelled": 10_000}
    assert time.monotonic() - began < 20.0


def test_a_job_of_a_batch_is_no_larger_than_one_that_comes_alone(caller: Caller) -> None:
    large = HELLO | {"payload": {"name": "Ada", "nested": {"x": [1] * 11_000}}}
    assert caller.submit(large).status_code == 413
    found = problems(submit(caller, {"jobs": [HELLO, large]}))
    assert found.keys() == {"jobs[1]"}
    assert "a job may have 20000" in found["jobs[1]"]


@pytest.mark.parametrize(("media", "body"), [(JSON, b'{"jobs":[%s]}' % b",".join([b"{}"] * 300_000)),
                                             (NDJSON, b"{}\n" * 300_000)])  # fmt: skip
def test_far_too_many_jobs_are_refused_at_once(caller: Caller, media: str, body: bytes) -> None:
    answer = caller.call("POST", "/v1/batches", {"Content-Type": media}, body=body)
    assert problems(answer) == {"jobs": "are more than 10000; a batch has 1 to 10000"}
