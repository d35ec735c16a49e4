"""Jobs that succeeded are kept in Redis, and never in the way of the truth."""

import dataclasses
from typing import Any

import pytest
import redis
from falcon.testing import TestClient
from sqlalchemy import text

from api.app import Deps, create_app
from api.cache import LARGEST, RedisCache
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker
from worker.ledger.engines import Ledger


@pytest.fixture
def http(deps: Deps, broker_url: str) -> TestClient:
    return TestClient(create_app(dataclasses.replace(deps, cache=RedisCache(broker_url, 60))))


def forget(ledger: Ledger, job: dict[str, Any]) -> None:
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job["id"]})


def succeeded(caller: Caller, worker: FakeWorker, said: str = "hello") -> dict[str, Any]:
    job = caller.accepted()
    worker.succeed(worker.claim(job), {"text": said})
    return caller.job(job["id"])


def test_a_job_that_succeeded_is_read_without_the_ledger(
    caller: Caller, worker: FakeWorker, ledger: Ledger
) -> None:
    job = succeeded(caller, worker)
    tag = caller.get(f"/v1/jobs/{job['id']}").headers["ETag"]
    forget(ledger, job)
    assert caller.job(job["id"]) == job
    assert caller.get(f"/v1/jobs/{job['id']}", If_None_Match=tag).status_code == 304


def test_another_client_does_not_see_it(caller: Caller, worker: FakeWorker, new_caller: NewCaller) -> None:
    job = succeeded(caller, worker)
    assert new_caller().get(f"/v1/jobs/{job['id']}").status_code == 404


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_a_job_that_may_run_again_is_read_from_the_ledger(
    caller: Caller, worker: FakeWorker, end: str
) -> None:
    job = caller.accepted()
    if end == "fail":
        worker.fail(worker.claim(job), "no")
    else:
        caller.post(f"/v1/jobs/{job['id']}/cancel")
    assert caller.job(job["id"])["state"] in {"failed", "cancelled"}
    caller.post(f"/v1/jobs/{job['id']}/retry")
    assert caller.job(job["id"])["state"] == "queued"
    worker.succeed(worker.claim(job), {"text": "hello"})
    assert caller.job(job["id"])["state"] == "succeeded"


def test_what_is_large_is_not_kept(caller: Caller, worker: FakeWorker, ledger: Ledger) -> None:
    job = succeeded(caller, worker, "x" * LARGEST)
    forget(ledger, job)
    assert caller.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_what_another_version_kept_is_passed_over(
    caller: Caller, worker: FakeWorker, broker_url: str
) -> None:
    job = succeeded(caller, worker)
    with redis.Redis.from_url(broker_url) as client:
        client.set(f"jobyard:job:{caller.client.id}:{job['id']}", b'{"id": 5}')
    assert caller.job(job["id"]) == job


def test_without_redis_the_ledger_answers(
    deps: Deps, caller: Caller, worker: FakeWorker, ledger: Ledger
) -> None:
    away = RedisCache("redis://127.0.0.1:1/0", 60)
    other = Caller(TestClient(create_app(dataclasses.replace(deps, cache=away))), caller.client, caller.key)
    job = succeeded(other, worker)
    assert other.job(job["id"]) == job
    forget(ledger, job)
    assert other.get(f"/v1/jobs/{job['id']}").status_code == 404
