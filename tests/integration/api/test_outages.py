import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager

import msgspec
import psycopg2
import pytest
from falcon.testing import TestClient
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from api.app import Deps, create_app
from tests.awaiting import eventually
from tests.integration.api.fakes import Caller, FakePublisher
from tests.integration.api.test_batches import submit
from worker.ledger.engines import Ledger
from worker.settings import Settings


def reached(ledger: Ledger) -> bool:
    try:
        with ledger.write():
            return True
    except OperationalError:
        return False


Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def outage(database_url: str, ledger: Ledger) -> Outage:
    """For a while the ledger's server ends every connection and takes no new one."""
    url = make_url(database_url)

    def administer(statement: str) -> None:
        elsewhere = url.set(drivername="postgresql", database="postgres").render_as_string(
            hide_password=False
        )
        with closing(psycopg2.connect(elsewhere)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    @contextmanager
    def away() -> Iterator[None]:
        administer(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")  # noqa: S608
        try:
            yield
        finally:
            administer(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")
            eventually(lambda: reached(ledger), 1.0)

    return away


def test_without_its_ledger_the_api_accepts_nothing_and_says_when_to_come_back(
    caller: Caller, outage: Outage, publisher: FakePublisher
) -> None:
    accepted = caller.accepted()
    publisher.published.clear()
    with outage():
        answers = [
            caller.submit(),
            caller.submit(Prefer="wait=20"),
            caller.submit(Idempotency_Key="abc"),
            caller.get(f"/v1/jobs/{accepted['id']}"),
            caller.get("/v1/jobs"),
            caller.post(f"/v1/jobs/{accepted['id']}/cancel"),
            caller.call("POST", "/v1/artifacts", params={"name": "a"}, body=b"x"),
            caller.get("/readyz"),
        ]
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert all(answer.headers["Content-Type"] == "application/problem+json" for answer in answers)
    assert publisher.published == []
    assert [job["id"] for job in caller.get("/v1/jobs").json["jobs"]] == [accepted["id"]]


def test_a_job_accepted_before_the_outage_stays_accepted_for_who_waits(
    caller: Caller, outage: Outage, deps: Deps
) -> None:
    caller.accepted()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(caller.submit, Prefer="wait=25")
        while len(found := caller.get("/v1/jobs").json["jobs"]) < 2:
            time.sleep(0.001)
        with outage():
            deps.waiters.wake([found[0]["id"]])
            answer = waiting.result()
    assert (answer.status_code, answer.json["id"], answer.json["state"]) == (202, found[0]["id"], "queued")


def test_a_batch_accepted_before_the_outage_stays_accepted_for_who_waits(
    caller: Caller, outage: Outage, deps: Deps
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(submit, caller, {"jobs": [{"kind": "test.idle"}]}, Prefer="wait=25")
        found: list[dict[str, str]] = []
        while not (found := caller.get("/v1/jobs").json["jobs"]):
            time.sleep(0.001)
        with outage():
            deps.waiters.wake([found[0]["batch_id"]])
            answer = waiting.result()
    assert (answer.status_code, answer.json["id"]) == (202, found[0]["batch_id"])
    assert (answer.json["job_ids"], answer.json["counts"]) == ([found[0]["id"]], {"queued": 1})


def test_with_the_ledger_back_everything_goes_on(caller: Caller, outage: Outage) -> None:
    caller.accepted()
    with outage():
        assert caller.submit(Idempotency_Key="abc").status_code == 503
    first = caller.accepted(Idempotency_Key="abc")
    assert caller.accepted(Idempotency_Key="abc")["id"] == first["id"]
    assert caller.get("/readyz").status_code == 200


def test_a_process_without_its_ledger_is_alive(http: TestClient, outage: Outage) -> None:
    with outage():
        assert http.simulate_get("/healthz").status_code == 200


def test_an_upload_that_cannot_be_recorded_leaves_no_file(caller: Caller, outage: Outage, deps: Deps) -> None:
    caller.accepted()
    with outage():
        answer = caller.call("POST", "/v1/artifacts", params={"name": "a"}, body=b"x")
    assert answer.status_code == 503
    assert list(deps.storage.older_than(-60)) == []


def test_a_restart_of_the_ledger_between_two_requests_fails_neither(
    caller: Caller, ledger: Ledger, database_url: str
) -> None:
    caller.accepted()
    elsewhere = Ledger.open(Settings(database_url=database_url), "elsewhere")
    with elsewhere.write() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'jobyard-test'"
            )
        )
    elsewhere.close()
    caller.accepted()
    with ledger.write() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_where_all_connections_are_taken_a_request_is_told_to_come_back_soon(
    caller: Caller, deps: Deps, settings: Settings
) -> None:
    few = msgspec.structs.replace(
        settings, database_pool_size=1, database_pool_overflow=0, database_pool_timeout=0.2
    )
    ledger = Ledger.open(few, "few")
    there = Caller(
        TestClient(create_app(dataclasses.replace(deps, settings=few, ledger=ledger))),
        caller.client,
        caller.key,
    )
    there.accepted()
    with ledger.write():
        began = time.monotonic()
        answers = [there.submit(), there.get("/v1/jobs"), there.get("/readyz")]
        assert time.monotonic() - began < 10.0
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    there.accepted()
    ledger.close()
