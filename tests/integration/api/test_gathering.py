"""Submissions that come while others are being committed: together, and none for another's fault."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn
from uuid import UUID

import msgspec
import psycopg2
import pytest
from falcon.testing import Result, TestClient
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, OperationalError

from api import gathering
from api.app import Deps, create_app
from api.live_jobs import LiveJobs
from tests.awaiting import eventually
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller
from worker.ledger import transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import Accepted, NewJob
from worker.settings import Settings

Submit = Callable[..., "Future[Result]"]

_HOLD = text("""
    INSERT INTO idempotency_keys (client_id, key, fingerprint, job_id)
    VALUES (:client, 'held', '', gen_random_uuid())
""")


@pytest.fixture
def submit(caller: Caller) -> Iterator[Submit]:
    """Submit on a thread of its own."""
    with ThreadPoolExecutor(32) as threads:

        def start(
            by: Caller = caller, job: Mapping[str, Any] | None = None, **headers: str
        ) -> "Future[Result]":
            return threads.submit(by.submit, job, **headers)

        yield start


@contextmanager
def held_up(ledger: Ledger) -> Iterator[None]:
    """No job can be written for as long as this lasts."""
    with ledger.write() as connection:
        connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        yield


def waiting(ledger: Ledger) -> int:
    """Transactions that wait for a lock."""
    with ledger.read() as connection:
        held = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(connection.execute(held).scalar_one())


def in_flight(submit: Submit, ledger: Ledger, **headers: str) -> "Future[Result]":
    """A submission whose transaction waits."""
    already = waiting(ledger)
    started = submit(**headers)
    eventually(lambda: waiting(ledger) > already)
    return started


def transactions(ledger: Ledger, answers: "list[Future[Result]]") -> Counter[int]:
    """How many jobs each transaction wrote."""
    ids = [answer.result().json["id"] for answer in answers]
    with ledger.read() as connection:
        wrote = text(
            "SELECT CAST(CAST(xmin AS text) AS bigint) FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))"
        )
        return Counter(connection.execute(wrote, {"ids": ids}).scalars())


def statuses(*answers: "Future[Result]") -> list[int]:
    return [answer.result().status_code for answer in answers]


@pytest.mark.parametrize("keys", [False, True])
def test_what_comes_while_others_are_committed_goes_together(
    submit: Submit, ledger: Ledger, *, keys: bool
) -> None:
    def started(number: int) -> "Future[Result]":
        return submit(**({"Idempotency_Key": f"key-{number}"} if keys else {}))

    with held_up(ledger):
        first = in_flight(lambda **_: started(0), ledger)
        others = [started(number) for number in range(1, 11)]
        time.sleep(0.2)  # nothing can be seen of those that wait in the process
        assert waiting(ledger) == 1
    assert set(statuses(first, *others)) == {202}
    assert len(transactions(ledger, [first, *others])) == 2


def test_of_those_that_go_together_one_refused_holds_up_no_other(
    new_caller: NewCaller, submit: Submit, deps: Deps, ledger: Ledger
) -> None:
    full, free = new_caller(), new_caller()
    capped = LiveJobs(2, lambda: {full.client.id: 2})
    capped.recount()
    http = TestClient(create_app(dataclasses.replace(deps, live_jobs=capped)))
    blocked, passing = (Caller(http, by.client, by.key) for by in (full, free))
    with held_up(ledger):
        first = in_flight(lambda **_: submit(passing), ledger)
        refused = [submit(blocked), submit(blocked, None, Idempotency_Key="a")]
        second = submit(passing)
    assert statuses(first, second) == [202, 202]
    assert statuses(*refused, submit(passing)) == [429, 429, 429]


def test_what_cannot_be_written_together_is_written_alone(
    submit: Submit, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = transitions.enqueue

    def choosy(connection: Connection, jobs: Sequence[NewJob]) -> dict[UUID, Accepted]:
        if len(jobs) > 1:
            raise DataError("INSERT", None, psycopg2.DataError("one of them"))
        return enqueue(connection, jobs)

    monkeypatch.setattr(transitions, "enqueue", choosy)
    with held_up(ledger):
        answers = [in_flight(submit, ledger), *(submit() for _ in range(4))]
        time.sleep(0.2)
    assert set(statuses(*answers)) == {202}
    assert len(transactions(ledger, answers)) == 5


def test_an_outage_is_told_to_all_that_went_together(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> NoReturn:
        raise OperationalError("INSERT", None, psycopg2.OperationalError("gone"))

    monkeypatch.setattr(transitions, "enqueue", away)
    assert statuses(*[submit() for _ in range(5)]) == [503] * 5


def test_twins_that_go_together_make_one_job(submit: Submit, ledger: Ledger) -> None:
    with held_up(ledger):
        first = in_flight(submit, ledger)
        twins = [submit(Idempotency_Key="a") for _ in range(8)]
        other = submit(Idempotency_Key="b")
    assert set(statuses(first, *twins, other)) == {202}
    assert len({answer.result().json["id"] for answer in twins}) == 1
    assert other.result().json["id"] != twins[0].result().json["id"]


def test_a_key_that_is_in_use_elsewhere_holds_up_nobody_else(
    caller: Caller, submit: Submit, ledger: Ledger
) -> None:
    with ledger.write() as connection:
        connection.execute(_HOLD, {"client": caller.client.id})
        twin = in_flight(submit, ledger, Idempotency_Key="held")
        others = [submit(Idempotency_Key=f"key-{n}") for n in range(6)]
        assert statuses(*others) == [202] * 6
        assert not twin.done()
        connection.rollback()
    assert statuses(twin) == [202]


def test_who_repeats_a_key_that_is_in_use_elsewhere_holds_up_the_others_once(
    caller: Caller, submit: Submit, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_KEY_PATIENCE", "600ms")
    with ledger.write() as connection:
        connection.execute(_HOLD, {"client": caller.client.id})
        twins = [in_flight(submit, ledger, Idempotency_Key="held")]
        assert statuses(submit()) == [202]  # behind those that were held up
        twins += [in_flight(submit, ledger, Idempotency_Key="held") for _ in range(2)]
        began = time.monotonic()
        assert statuses(submit(), submit(Idempotency_Key="another")) == [202] * 2
        assert time.monotonic() - began < 0.5
        connection.rollback()
    assert set(statuses(*twins)) == {202}
    assert len({answer.result().json["id"] for answer in twins}) == 1


def test_who_waits_for_a_transaction_too_long_is_told_to_come_back_and_left_no_job(
    caller: Caller, submit: Submit, deps: Deps, ledger: Ledger, settings: Settings
) -> None:
    hasty = msgspec.structs.replace(settings, database_pool_timeout=0.2)
    http = TestClient(create_app(dataclasses.replace(deps, settings=hasty)))
    there = Caller(http, caller.client, caller.key)
    with held_up(ledger):
        gone = in_flight(lambda **_: submit(there), ledger)
        late = there.submit()
        assert late.status_code == 503
        assert int(late.headers["Retry-After"]) > 0
    assert statuses(gone) == [202]
    there.accepted()
    with ledger.read() as connection:
        made = text("SELECT count(*) FROM jobs WHERE client_id = :client")
        assert connection.execute(made, {"client": caller.client.id}).scalar_one() == 2
