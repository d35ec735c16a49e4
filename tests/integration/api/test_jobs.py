import pytest
from sqlalchemy import Connection, text

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from tests.integration.api.test_acts import act
from worker.ledger import jobs
from worker.ledger.engines import Ledger


def set_state(ledger: Ledger, job: dict[str, object], change: str) -> None:
    with ledger.write() as connection:
        connection.execute(text(f"UPDATE jobs SET {change} WHERE id = :id"), {"id": job["id"]})  # noqa: S608


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_tells_its_history_progress_and_result(
    caller: Caller, worker: FakeWorker, ledger: Ledger
) -> None:
    job = caller.accepted()
    worker.fail(worker.claim(job), "no luck", again=True)
    set_state(ledger, job, "state = 'queued'")
    held = worker.claim(job)
    worker.report(held, b'{"done": 1.0, "total": 4.0, "note": "reading"}')

    running = caller.job(job["id"])
    assert (running["state"], running["attempt"]) == ("running", 2)
    assert running["progress"] == {"done": 1.0, "total": 4.0, "note": "reading"}
    assert [(entry["attempt"], entry["outcome"]) for entry in running["history"]] == [
        (1, "failed"),
        (2, None),
    ]
    assert running["history"][0]["error"] == {"type": "Broken", "message": "no luck"}
    assert {entry["worker"] for entry in running["history"]} == {worker.name}

    worker.succeed(held, {"text": "hello", "odd": ["\0", 1e300, 2**70]})
    done = caller.job(job["id"])
    assert done["state"] == "succeeded"
    assert done["result"] == {"text": "hello", "odd": ["\0", 1e300, 2**70]}
    assert done["error"] is None
    assert done["started_at"] <= done["finished_at"]
    assert done["history"][1]["outcome"] == "succeeded"
    assert done["links"] == {"self": f"/v1/jobs/{job['id']}"}


def test_an_unfinished_job_says_when_to_ask_again_and_a_finished_one_does_not(
    caller: Caller, worker: FakeWorker
) -> None:
    job = caller.accepted()
    assert caller.get(f"/v1/jobs/{job['id']}").headers["Retry-After"] == "1"
    worker.succeed(worker.claim(job), {"text": "hello"})
    assert "Retry-After" not in caller.get(f"/v1/jobs/{job['id']}").headers


def test_an_unknown_job_another_clients_and_no_id_are_answered_alike(new_caller: NewCaller) -> None:
    owner, stranger = new_caller(), new_caller()
    foreign = owner.accepted()["id"]
    answers = [
        stranger.call(method, f"/v1/jobs/{job_id}{more}", {"X-Request-Id": "same"})
        for job_id in (foreign, unknown_id(), "x", foreign.replace("-", ""), "%00", "{" + foreign[2:] + "}")
        for method, more in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry"))
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json["type"] for answer in answers} == {"urn:jobyard:no-such-job"}
    assert len({answer.text for answer in answers}) == 1
    assert owner.job(foreign)["state"] == "queued"


def test_an_unchanged_job_is_not_sent_again(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    path = f"/v1/jobs/{job['id']}"
    first = caller.get(path)
    same = caller.get(path, If_None_Match=first.headers["ETag"])
    assert (same.status_code, same.text) == (304, "")
    assert same.headers["ETag"] == first.headers["ETag"]
    worker.claim(job)
    changed = caller.get(path, If_None_Match=first.headers["ETag"])
    assert (changed.status_code, changed.json["state"]) == (200, "running")


def test_the_head_of_a_job_is_that_of_the_whole(caller: Caller) -> None:
    path = f"/v1/jobs/{caller.accepted()['id']}"
    head, whole = caller.call("HEAD", path), caller.get(path)
    assert (head.status_code, head.text) == (200, "")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


# ── cancelling ────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_that_has_not_started_is_cancelled_at_once(caller: Caller, tomorrow: str) -> None:
    for job in (caller.accepted(), caller.accepted({"kind": "test.idle", "scheduled_at": tomorrow})):
        answer = caller.post(f"/v1/jobs/{job['id']}/cancel")
        assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
        assert answer.json["finished_at"]
        (act,) = answer.json["history"]
        assert (act["event"], act["act"], act["actor"]) == ("act", "cancel", f"client {caller.client.name}")


def test_a_running_job_goes_on_until_its_worker_stops_it(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    held = worker.claim(job)
    answer = caller.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json["state"]) == (202, "running")
    assert answer.json["cancel_requested_at"]
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert caller.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    worker.succeed(held, {"text": "too late"})
    assert caller.job(job["id"])["state"] == "succeeded"


def test_cancelling_twice_changes_nothing(caller: Caller) -> None:
    path = f"/v1/jobs/{caller.accepted()['id']}/cancel"
    first, second = caller.post(path), caller.post(path)
    assert second.status_code == 200
    assert second.json == first.json


def test_a_job_that_ended_otherwise_cannot_be_cancelled(caller: Caller, worker: FakeWorker) -> None:
    done, failed = caller.accepted(), caller.accepted()
    worker.succeed(worker.claim(done), {"text": "hello"})
    worker.fail(worker.claim(failed), "no")
    for job, state in ((done, "succeeded"), (failed, "failed")):
        answer = caller.post(f"/v1/jobs/{job['id']}/cancel")
        assert (answer.status_code, answer.json["state"]) == (409, state)
        assert answer.json["type"] == "urn:jobyard:already-ended"


# ── running again ─────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_job_runs_again_under_its_id(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted({"kind": "test.greet", "payload": {"name": "Ada"}, "max_attempts": 1})
    worker.fail(worker.claim(job), "no")
    answer = caller.post(f"/v1/jobs/{job['id']}/retry")
    again = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (again["id"], again["state"], again["max_attempts"], again["error"]) == (
        job["id"],
        "queued",
        2,
        None,
    )
    assert [entry["event"] for entry in again["history"]] == ["attempt", "act"]
    worker.succeed(worker.claim(job), {"text": "hello"})
    assert caller.job(job["id"])["attempt"] == 2


def test_a_job_that_expired_runs_again_without_its_expiry(
    caller: Caller, ledger: Ledger, tomorrow: str
) -> None:
    job = caller.accepted({"kind": "test.idle", "expires_at": tomorrow})
    set_state(ledger, job, "state = 'failed', finished_at = now(), expires_at = now()")
    again = caller.post(f"/v1/jobs/{job['id']}/retry").json
    assert (again["state"], again["expires_at"]) == ("queued", None)


def test_a_cancelled_job_runs_again(caller: Caller) -> None:
    job = caller.accepted()
    caller.post(f"/v1/jobs/{job['id']}/cancel")
    again = caller.post(f"/v1/jobs/{job['id']}/retry").json
    assert (again["state"], again["cancel_requested_at"]) == ("queued", None)


def test_no_other_job_runs_again(caller: Caller, worker: FakeWorker) -> None:
    queued, done = caller.accepted(), caller.accepted()
    worker.succeed(worker.claim(done), {"text": "hello"})
    for job, state in ((queued, "queued"), (done, "succeeded")):
        answer = caller.post(f"/v1/jobs/{job['id']}/retry")
        assert (answer.status_code, answer.json["state"]) == (409, state)
        assert answer.json["type"] == "urn:jobyard:not-failed"


def test_a_job_whose_payload_was_pruned_cannot_run_again(
    caller: Caller, worker: FakeWorker, ledger: Ledger
) -> None:
    job = caller.accepted()
    worker.fail(worker.claim(job), "no")
    set_state(ledger, job, "payload = NULL")
    answer = caller.post(f"/v1/jobs/{job['id']}/retry")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:payload-pruned")
    assert caller.job(job["id"])["payload"] is None


def test_of_a_long_history_the_last_is_shown(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    path = f"/v1/jobs/{job['id']}"
    worker.fail(worker.claim(job), "no")
    for _ in range(60):
        caller.post(f"{path}/retry")
        caller.post(f"{path}/cancel")
    caller.post(f"{path}/retry")
    worker.claim(job)
    shown = caller.job(job["id"])
    assert (len(shown["history"]), shown["history_omitted"]) == (100, 23)
    assert [entry["event"] for entry in shown["history"][-2:]] == ["act", "attempt"]
    assert shown["history"][-1]["outcome"] is None


# ── listing ───────────────────────────────────────────────────────────────────────────────────────────


def test_jobs_are_listed_newest_first_page_by_page(caller: Caller) -> None:
    submitted = [caller.accepted()["id"] for _ in range(7)]
    listed: list[str] = []
    path = "/v1/jobs?page_size=3"
    sizes = []
    while path:
        page = caller.get(path).json
        sizes.append(len(page["jobs"]))
        listed += [job["id"] for job in page["jobs"]]
        token = page["next_page_token"]
        path = f"/v1/jobs?page_size=3&page_token={token}" if token else ""
    assert listed == submitted[::-1]
    assert sizes == [3, 3, 1]


def test_a_full_last_page_is_the_last(caller: Caller) -> None:
    for _ in range(2):
        caller.accepted()
    assert caller.get("/v1/jobs?page_size=2").json["next_page_token"] is None
    assert caller.get("/v1/jobs?page_size=1").json["next_page_token"]


def test_a_listed_job_leaves_out_what_may_be_large(caller: Caller) -> None:
    job = caller.accepted()
    (listed,) = caller.get("/v1/jobs").json["jobs"]
    left_out = {
        "payload",
        "result",
        "progress",
        "history",
        "history_omitted",
        "artifacts",
        "after",
        "callback",
        "due_at",
    }
    assert set(job) - set(listed) == left_out
    assert listed == {name: value for name, value in job.items() if name not in left_out}


def test_jobs_are_found_by_state_kind_queue_and_tag(caller: Caller, worker: FakeWorker) -> None:
    greeting = caller.accepted({"kind": "test.greet", "payload": {"name": "Ada"}, "tags": ["a&b", "c"]})
    idle = caller.accepted({"kind": "test.idle", "tags": ["c"]})
    worker.claim(idle)

    def found(query: str) -> list[str]:
        return [job["id"] for job in caller.get(f"/v1/jobs?{query}").json["jobs"]]

    assert found("state=queued") == [greeting["id"]]
    assert found("state=running") == [idle["id"]]
    assert found("kind=test.greet") == [greeting["id"]]
    assert found("queue=web") == [idle["id"]]
    assert found("tag=a%26b") == [greeting["id"]]
    assert found("tag=c") == [idle["id"], greeting["id"]]
    assert found("tag=c&state=queued&kind=test.idle") == []


def test_a_client_lists_its_own_jobs_only(new_caller: NewCaller) -> None:
    one, other = new_caller(), new_caller()
    mine = one.accepted()["id"]
    other.accepted()
    assert [job["id"] for job in one.get("/v1/jobs").json["jobs"]] == [mine]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=done", "state"),
        ("kind=a%00b", "kind"),
        ("kind=", "kind"),
        ("queue=a%20b", "queue"),
        ("tag=%00", "tag"),
        ("tag=", "tag"),
        ("page_size=0", "page_size"),
        ("page_size=201", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_token=made-up", "page_token"),
        ("page_token=", "page_token"),
        ("stat=queued", "stat"),
        ("state=queued&state=failed", "state"),
    ],
)
def test_a_garbled_query_is_refused_by_the_name_of_its_parameter(
    caller: Caller, query: str, field: str
) -> None:
    answer = caller.get(f"/v1/jobs?{query}")
    assert answer.status_code == 400
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert error["reason"]


def test_a_client_is_asked_back_when_the_next_attempt_is_due(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted()
    worker.fail(worker.claim(job), "no", again=True, delay=30)
    answer = caller.get(f"/v1/jobs/{job['id']}")
    assert 20 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.json["due_at"] > job["created_at"]


def test_a_client_is_asked_back_soon_where_a_job_waits_for_others(caller: Caller) -> None:
    job = caller.accepted({"kind": "test.idle", "after": [caller.accepted()["id"]]})
    answer = caller.get(f"/v1/jobs/{job['id']}")
    assert (answer.headers["Retry-After"], answer.json["due_at"]) == ("1", None)


def test_a_list_that_takes_too_long_is_no_reason_to_ask_again(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(connection: Connection, *_: object) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 1"))
        connection.execute(text("SELECT pg_sleep(5)"))

    monkeypatch.setattr(jobs, "page", slow)
    for answer in (caller.get("/v1/jobs"), act(caller, "cancel", kind="test.greet")):
        assert (answer.status_code, answer.json["type"]) == (422, "urn:jobyard:list-too-slow")
        assert "`created_after`" in answer.json["detail"]
