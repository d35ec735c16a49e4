"""What jobs failed with, by error, and acting on those of one error."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec
import pytest
from sqlalchemy import text

from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker
from worker.contract import Scopes
from worker.ledger import failures
from worker.ledger.engines import Ledger


def failed(caller: Caller, worker: FakeWorker, message: str) -> str:
    job = caller.accepted()
    worker.fail(worker.claim(job), message)
    return str(job["id"])


@pytest.fixture
def operator(new_caller: NewCaller) -> Caller:
    return new_caller(scopes=Scopes.of(["operate"]))


def test_failures_are_counted_by_error(caller: Caller, worker: FakeWorker) -> None:
    ids = [failed(caller, worker, f"http://site.example/{number} answered {number}") for number in range(3)]
    other = failed(caller, worker, "no such \x00 table")
    cancelled = caller.accepted()
    caller.post(f"/v1/jobs/{cancelled['id']}/cancel")
    found = caller.get("/v1/failures").json
    assert found["complete"]
    first, second = found["failures"]
    assert (first["kind"], first["error_type"], first["message"], first["count"]) == (
        *("test.greet", "Broken", "<url> answered N", 3),
    )
    assert first["example_id"] == ids[-1]
    assert first["first_failed_at"] < first["last_failed_at"]
    assert first["links"] == {"example": f"/v1/jobs/{ids[-1]}"}
    assert (second["message"], second["count"], second["example_id"]) == ("no such � table", 1, other)


def test_failures_are_narrowed_by_kind_queue_and_time(caller: Caller, worker: FakeWorker) -> None:
    failed(caller, worker, "no")

    def count(**wanted: str) -> int:
        return len(caller.get(f"/v1/failures?{urlencode(wanted)}").json["failures"])

    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert count(kind="test.greet") == count(queue="email") == count(created_after=hour_ago) == 1
    assert count(kind="test.idle") == count(queue="web") == count(created_before=hour_ago) == 0
    answer = caller.get("/v1/failures?sort=kind")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (400, "sort")


def test_a_client_sees_its_own_failures_and_an_operator_everybodys(
    caller: Caller, new_caller: NewCaller, operator: Caller, worker: FakeWorker
) -> None:
    other = new_caller()
    failed(caller, worker, "of the first")
    failed(other, worker, "of the second")

    def messages(who: Caller, query: str = "") -> set[str]:
        return {group["message"] for group in who.get(f"/v1/failures{query}").json["failures"]}

    assert messages(caller) == {"of the first"}
    assert messages(operator) == set()
    assert messages(operator, f"?client={other.client.name}") == {"of the second"}
    assert {"of the first", "of the second"} <= messages(operator, "?client=*")
    assert caller.get("/v1/failures?client=*").json["scope"] == "operate"


def test_of_very_many_the_newest_are_looked_at(
    caller: Caller, operator: Caller, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "LOOK", 2)
    monkeypatch.setattr(failures, "_FEWEST", 2)
    for message in ("oldest", "older", "newest"):
        failed(caller, worker, message)
    for who, query in ((caller, ""), (operator, "?client=*")):
        found = who.get(f"/v1/failures{query}").json
        assert not found["complete"]
        assert "oldest" not in {group["message"] for group in found["failures"]}
    none = caller.get("/v1/failures?kind=test.idle").json
    assert (none["failures"], none["complete"]) == ([], False)


def test_they_are_found_by_the_index_of_failed_jobs(ledger: Ledger) -> None:
    words = {"kind": None, "queue": None, "look": 10, "fewest": 5, "longest": 10, "client_id": None}
    words |= {"floor": "0" * 32, "ceiling": "f" * 32}
    with ledger.write() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text(f"EXPLAIN {failures._ERRORS.text}"), words).scalars().all()
    scans = [line for line in plan if "Scan" in line and " jobs_" in line]
    assert scans
    assert all("client_id_id_idx2" in line for line in scans), plan


def test_jobs_of_one_error_are_listed_and_run_again(caller: Caller, worker: FakeWorker) -> None:
    job_id = failed(caller, worker, 'it "said" \x00 no')
    for type_, count in (("Broken", 1), ("Broke", 0), ("roken", 0)):
        listed = caller.get(f"/v1/jobs?error_type={type_}").json["jobs"]
        assert [job["id"] for job in listed] == [job_id] * count
        body = msgspec.json.encode({"error_type": type_, "dry_run": True})
        answer = caller.call("POST", "/v1/jobs/retry", {"Content-Type": "application/json"}, body=body)
        assert answer.json["matched"] == count
    assert caller.get("/v1/jobs?error_type=B.*").status_code == 400


def test_a_key_that_only_submits_sees_no_failures(new_caller: NewCaller) -> None:
    answer = new_caller(scopes=Scopes.of(["submit"])).get("/v1/failures")
    assert (answer.status_code, answer.json["scope"]) == (403, "read")
