from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from falcon.testing import TestClient
from sqlalchemy import text

from api.app import Deps, create_app
from tests.awaiting import eventually
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakePublisher, FakeWorker
from tests.integration.api.test_batches import problems, submit
from worker import catalog
from worker.contract.states import Priority
from worker.ledger import clients
from worker.ledger.engines import Ledger


def jobs_in(ledger: Ledger, caller: Caller) -> int:
    with ledger.read() as connection:
        wanted = {"client": caller.client.id}
        query = text("SELECT count(*) FROM jobs WHERE client_id = :client")
        return int(connection.execute(query, wanted).scalar_one())


def test_a_job_is_accepted_with_its_whole_description(caller: Caller) -> None:
    answer = caller.submit(
        {
            "kind": "test.greet",
            "payload": {"name": "Ada"},
            "priority": "high",
            "tags": ["a b", "é"],
            "max_attempts": 9,
        }
    )
    job = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Content-Type"] == "application/json"
    assert job["kind"] == "test.greet"
    assert job["queue"] == "email"
    assert job["state"] == "queued"
    assert job["priority"] == "high"
    assert job["payload"] == {"name": "Ada"}  # what is at its default is not written down
    assert (job["attempt"], job["max_attempts"]) == (0, 9)
    assert job["tags"] == ["a b", "é"]
    assert job["created_at"].endswith("Z")
    assert job["links"]["cancel"] == f"/v1/jobs/{job['id']}/cancel"


def test_what_was_accepted_reads_the_same_a_moment_later(caller: Caller, tomorrow: str) -> None:
    for more in (
        {},
        {"scheduled_at": tomorrow, "expires_at": "2999-01-01T01:00:00+01:00", "priority": "low"},
    ):
        job = caller.accepted({"kind": "test.greet", "payload": {"name": "Ada"}, "tags": ["x"], **more})
        assert caller.job(job["id"]) == job


def test_a_job_with_room_in_the_broker_is_published_after_its_commit(
    caller: Caller, publisher: FakePublisher, ledger: Ledger
) -> None:
    job = caller.accepted(X_Request_Id="my-request")
    (message,) = publisher.published
    assert (str(message.job_id), message.kind, message.queue) == (job["id"], "test.greet", "email")
    assert (message.priority, message.description, message.request_id) == (
        Priority.NORMAL,
        "greet Ada",
        "my-request",
    )
    with ledger.read() as connection:
        query = text("SELECT published_at IS NOT NULL, request_id FROM jobs WHERE id = :id")
        assert connection.execute(query, {"id": job["id"]}).one() == (True, "my-request")


def test_a_job_without_room_is_accepted_and_left_to_dispatch(
    caller: Caller, publisher: FakePublisher
) -> None:
    publisher.room = False
    assert caller.accepted()["state"] == "queued"
    assert publisher.published == []


def test_a_job_for_later_is_scheduled_and_not_published(
    caller: Caller, publisher: FakePublisher, tomorrow: str
) -> None:
    answer = caller.submit({"kind": "test.idle", "scheduled_at": tomorrow})
    assert answer.json["state"] == "scheduled"
    assert datetime.fromisoformat(answer.json["scheduled_at"]) == datetime.fromisoformat(tomorrow)
    assert answer.headers["Retry-After"] == "60"
    assert publisher.published == []


def test_a_job_for_the_past_is_due_at_once(caller: Caller) -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert caller.accepted({"kind": "test.idle", "scheduled_at": past})["state"] == "queued"


@pytest.mark.parametrize(
    ("submission", "field"),
    [
        ({}, "kind"),
        ({"kind": 5}, "kind"),
        ({"kind": "test.nothing"}, "kind"),
        ({"kind": "test.gr\0et"}, "kind"),
        ({"kind": "test.greet"}, "payload.name"),
        ({"kind": "test.greet", "payload": {"name": ""}}, "payload.name"),
        ({"kind": "test.greet", "payload": {"name": "Ada", "times": 10}}, "payload.times"),
        ({"kind": "test.greet", "payload": {"name": "Ada", "tmies": 1}}, "payload.tmies"),
        (
            {"kind": "test.greet", "payload": {"name": "Ada", "nested": {"a": [1, "b"]}}},
            "payload.nested[...][1]",
        ),
        ({"kind": "test.greet", "payload": []}, "payload"),
        ({"kind": "test.idle", "payload": None}, "payload"),
        ({"kind": "test.idle", "unknown": 1}, "unknown"),
        ({"kind": "test.idle", "priority": "urgent"}, "priority"),
        ({"kind": "test.idle", "max_attempts": 0}, "max_attempts"),
        ({"kind": "test.idle", "max_attempts": 101}, "max_attempts"),
        ({"kind": "test.idle", "tags": ["a", ""]}, "tags[1]"),
        ({"kind": "test.idle", "tags": ["nul\0"]}, "tags[0]"),
        ({"kind": "test.idle", "tags": ["line\n"]}, "tags[0]"),
        ({"kind": "test.idle", "tags": ["t"] * 21}, "tags"),
        ({"kind": "test.idle", "scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"kind": "test.idle", "scheduled_at": "2030-01-01T00:00:00"}, "scheduled_at"),
        ({"kind": "test.idle", "scheduled_at": "9999-12-31T23:59:59-10:00"}, "scheduled_at"),
        ({"kind": "test.idle", "expires_at": "0001-01-01T00:00:00+10:00"}, "expires_at"),
        (
            {
                "kind": "test.idle",
                "scheduled_at": "2030-01-02T00:00:00Z",
                "expires_at": "2030-01-01T00:00:00Z",
            },
            "expires_at",
        ),
    ],
)
def test_a_submission_that_cannot_be_accepted_names_its_field(
    caller: Caller, ledger: Ledger, submission: object, field: str
) -> None:
    answer = caller.submit(submission)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert error["reason"]
    assert jobs_in(ledger, caller) == 0


def test_a_job_that_could_not_start_in_time_any_more_is_refused(caller: Caller, ledger: Ledger) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    late = {"kind": "test.idle", "expires_at": past}
    assert problems(caller.submit(late)) == {"expires_at": "is in the past"}
    assert problems(submit(caller, {"jobs": [{"kind": "test.idle"}, late]})) == {
        "jobs[1].expires_at": "is in the past"
    }
    assert jobs_in(ledger, caller) == 0


def test_a_repetition_that_comes_after_expires_at_is_answered_as_ever(
    caller: Caller,
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    soon = {"kind": "test.idle", "expires_at": moment.isoformat()}
    job = caller.accepted(soon, Idempotency_Key="abc")
    eventually(lambda: datetime.now(UTC) > moment)
    assert caller.accepted(soon, Idempotency_Key="abc")["id"] == job["id"]
    assert problems(caller.submit(soon)).keys() == {"expires_at"}


def test_an_unknown_kind_is_answered_with_the_known_ones(caller: Caller) -> None:
    answer = caller.submit({"kind": "test.greed", "payload": {}})
    assert answer.json["type"] == "urn:jobyard:unknown-kind"
    assert answer.json["known"] == ["test.greet", "test.idle"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"kind": ', 400),
        (b'{"kind": "test.idle", "payload": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", 400),
        (b'{"kind": "test.idle", "tags": ["\\ud800"]}', 400),
        (b'{"kind": "test.greet", "payload": {"name": "\\udc00"}}', 400),
        (b'{"kind": "test.greet", "payload": {"name": "\xff"}}', 422),
        (b'{"kind": "test.idle"}' + b" " * 20_000, 413),
    ],
)
def test_a_body_that_is_broken_or_too_large_is_refused(caller: Caller, body: bytes, status: int) -> None:
    answer = caller.submit(body=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_form_is_no_json(caller: Caller) -> None:
    assert caller.submit(Content_Type="application/x-www-form-urlencoded").status_code == 415


def test_a_payload_may_hold_what_postgresql_text_cannot(caller: Caller, publisher: FakePublisher) -> None:
    payload = {"name": "nul \0 and 🦊"}
    job = caller.accepted({"kind": "test.greet", "payload": payload})
    assert caller.job(job["id"])["payload"]["name"] == payload["name"]
    assert publisher.published[0].description == "greet nul \N{REPLACEMENT CHARACTER} and 🦊"


# ── Idempotency-Key ───────────────────────────────────────────────────────────────────────────────────


def test_a_repetition_is_answered_with_the_same_job(
    caller: Caller, ledger: Ledger, publisher: FakePublisher
) -> None:
    first = caller.submit(Idempotency_Key="abc")
    again = caller.submit(Idempotency_Key='"abc"')
    assert again.status_code == 202
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert jobs_in(ledger, caller) == 1
    assert len(publisher.published) == 1


def test_a_repetition_shows_the_job_as_it_is_by_now(caller: Caller, worker: FakeWorker) -> None:
    job = caller.accepted(Idempotency_Key="abc")
    worker.succeed(worker.claim(job), {"text": "hello"})
    again = caller.submit(Idempotency_Key="abc")
    assert again.status_code == 202
    assert (again.json["id"], again.json["state"]) == (job["id"], "succeeded")
    assert "Retry-After" not in again.headers


def test_a_key_that_came_with_another_body_is_refused(caller: Caller, ledger: Ledger) -> None:
    caller.accepted(Idempotency_Key="abc")
    other = caller.submit({"kind": "test.idle"}, Idempotency_Key="abc")
    assert other.status_code == 422
    assert other.json["type"] == "urn:jobyard:idempotency-key-reused"
    assert jobs_in(ledger, caller) == 1


def test_a_key_belongs_to_its_client(new_caller: NewCaller) -> None:
    one, other = new_caller(), new_caller()
    assert one.accepted(Idempotency_Key="abc")["id"] != other.accepted(Idempotency_Key="abc")["id"]


def test_a_refused_submission_leaves_its_key_free(caller: Caller) -> None:
    assert caller.submit({"kind": "test.nothing"}, Idempotency_Key="abc").status_code == 422
    caller.accepted(Idempotency_Key="abc")


def test_of_twins_in_flight_one_makes_the_job(caller: Caller, ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as threads:
        twins = [threads.submit(caller.accepted, None, Idempotency_Key="abc") for _ in range(24)]
        ids = {twin.result()["id"] for twin in twins}
    assert len(ids) == 1
    assert jobs_in(ledger, caller) == 1


def test_a_key_whose_job_was_pruned_says_so(caller: Caller, ledger: Ledger) -> None:
    job = caller.accepted(Idempotency_Key="abc")
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job["id"]})
    answer = caller.submit(Idempotency_Key="abc")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:idempotency-key-pruned")


def test_requests_and_accepted_jobs_are_counted(caller: Caller, deps: Deps) -> None:
    caller.accepted(Idempotency_Key="abc")
    caller.accepted(Idempotency_Key="abc")
    caller.submit({"kind": "test.nothing"})
    (accepted,) = deps.metrics.accepted.collect()
    assert [s.value for s in accepted.samples if s.labels == {"kind": "test.greet"}][:1] == [1]
    (requests,) = deps.metrics.requests.collect()
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in requests.samples
        if sample.name.endswith("_count")
    }
    assert counted == {("POST", "/v1/jobs", "202"): 2, ("POST", "/v1/jobs", "422"): 1}


@pytest.fixture
def real(deps: Deps, ledger: Ledger) -> Caller:
    """A client of the kinds that there are, some of which take anything."""
    http = TestClient(create_app(replace(deps, catalog=catalog.of_clients(catalog.load()))))
    with ledger.write() as connection:
        client = clients.add_client(connection, f"real-{uuid4()}")
        assert client is not None
        return Caller(http, client, clients.add_key(connection, client.id, "test")[1])


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_whatever_depth_is_accepted_can_be_read(real: Caller, opening: bytes) -> None:
    closing = {b"[": b"]"}.get(opening, b"}")
    statuses = []
    as_json = {"Content-Type": "application/json"}
    for levels in [*range(90, 110), *range(110, 1000, 15)]:
        deep = opening * (levels - 2) + b"1" + closing * (levels - 2)
        body = b'{"kind": "report.render", "payload": {"report": "x", "params": {"a": %s}}}' % deep
        answer = real.submit(body=body)
        together = real.call("POST", "/v1/batches", as_json, body=b'{"jobs": [%s]}' % body)
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            assert together.status_code == 202
            assert real.get(f"/v1/jobs/{answer.json['id']}").status_code == 200
            assert real.get(f"/v1/jobs/{together.json['job_ids'][0]}").status_code == 200
        else:
            assert "nested too deeply" in answer.json["detail"]
            assert together.status_code in {400, 422}  # the first where the whole body is no JSON to be read
    assert statuses[:11] == [202] * 11
    assert set(statuses[11:]) == {422, 400}
