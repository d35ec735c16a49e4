"""Several at once: threads with connections of their own, all set off at the same moment."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from tests.awaiting import eventually
from tests.integration.ledger.situations import (
    CLIENT,
    WORKER,
    change,
    claim,
    claimed,
    enqueue,
    finish,
    row,
    state,
)
from worker.contract.states import State
from worker.ledger import clients, dispatches, firings, idempotency, messages, transitions
from worker.ledger.engines import Ledger
from worker.ledger.idempotency import Earlier
from worker.ledger.ids import new_id
from worker.ledger.records import Claim

T = TypeVar("T")
THREADS = 6


def at_once(ledger: Ledger, act: Callable[[Connection, int], T]) -> list[T]:
    """What each of several transactions gives that begin together."""
    barrier = Barrier(THREADS)

    def run(number: int) -> T:
        with ledger.write() as connection:
            connection.exec_driver_sql("SELECT 1")
            barrier.wait()
            return act(connection, number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_one_of_several_claims_of_a_job_gets_it(ledger: Ledger) -> None:
    for _ in range(20):
        with ledger.write() as connection:
            job_id = enqueue(connection)

        def take(connection: Connection, _: int, job_id: UUID = job_id) -> UUID | None:
            return claim(connection, job_id)

        tokens = at_once(ledger, take)

        assert len([token for token in tokens if token]) == 1


def test_bundles_that_overlap_share_their_jobs_out(ledger: Ledger) -> None:
    with ledger.write() as connection:
        ids = sorted(enqueue(connection) for _ in range(50))

    def take(connection: Connection, number: int) -> list[UUID]:
        wishes = [
            Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=False) for job_id in ids[number * 5 :]
        ]
        return [job.id for job in transitions.claim(connection, wishes)]

    taken = Counter(job_id for held in at_once(ledger, take) for job_id in held)

    assert taken == Counter(ids)


def _out_of_order(ledger: Ledger, **fields: object) -> tuple[UUID, UUID]:
    """Two queued jobs; the one with the higher id lies first in its table."""
    low, high = sorted(new_id() for _ in range(2))
    with ledger.write() as connection:
        for job_id in (high, low):
            enqueue(connection, id=job_id, **fields)
    return low, high


def _blocked(connection: Connection) -> bool:
    waiting = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return bool(connection.execute(waiting).scalar_one())


@pytest.mark.parametrize("act", ["claim", "unpublish"])
def test_several_rows_are_locked_in_the_order_of_their_ids(ledger: Ledger, act: str) -> None:
    low, high = _out_of_order(ledger, published=True)

    def act_on_both() -> None:
        with ledger.write() as connection:
            if act == "unpublish":
                messages.unpublish(connection, [high, low])
            else:
                wishes = [
                    Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=False)
                    for job_id in (high, low)
                ]
                assert len(transitions.claim(connection, wishes)) == 2

    with ThreadPoolExecutor(1) as pool, ledger.write() as connection:
        lock = text("SELECT id FROM jobs WHERE id = :id FOR UPDATE NOWAIT")
        connection.execute(lock, {"id": low})
        acting = pool.submit(act_on_both)
        eventually(lambda: _blocked(connection))
        connection.execute(lock, {"id": high})  # nobody who waits for the first holds it
        connection.rollback()
        acting.result()


FORGETTING: dict[str, Callable[[Connection], int]] = {
    "of an empty queue": lambda connection: messages.forget_lanes(connection, ["web"], "isolation", 3.0),
    "overtaken": lambda connection: messages.forget_overtaken(connection, 3.0, 3.0),
    "stale": lambda connection: messages.forget_stale(connection, 3.0),
    "abandoned": lambda connection: dispatches.forget_abandoned(connection, 3.0),
}


@pytest.mark.parametrize("forget", FORGETTING.values(), ids=FORGETTING)
def test_what_is_being_claimed_is_neither_forgotten_nor_waited_for(
    ledger: Ledger, forget: Callable[[Connection], int]
) -> None:
    with ledger.write() as connection:
        claiming, lost = enqueue(connection, published=True), enqueue(connection, published=True)
        witness, _ = claimed(connection, published=True)
        change(
            connection, witness, published_at="now() - interval '8 s'", started_at="now() - interval '7 s'"
        )
        for job_id in (claiming, lost):
            change(connection, job_id, published_at="now() - interval '9 s'")
        dispatches.begin(connection, uuid4(), "web")
        connection.execute(text("UPDATE dispatches SET began_at = began_at - interval '9 s'"))

    with ledger.write() as worker:
        assert claim(worker, claiming)
        with ledger.write() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert forget(connection) == 1
    with ledger.write() as connection:
        assert state(connection, claiming) is State.RUNNING
        assert row(connection, lost)["published_at"] is None


def test_an_outcome_and_a_rescue_do_not_both_stand(ledger: Ledger) -> None:
    for _ in range(10):
        with ledger.write() as connection:
            job_id, token = claimed(connection)

        def act(connection: Connection, number: int, job_id: UUID = job_id, token: UUID = token) -> bool:
            if number % 2:
                return finish(connection, job_id, token, State.SUCCEEDED) is not None
            return job_id in transitions.rescue(connection, 8.0, 3)

        results = at_once(ledger, act)

        finished, rescued = any(results[1::2]), results[0::2].count(True)
        assert (finished, rescued) in {(True, 0), (False, 1)}
        with ledger.write() as connection:
            assert state(connection, job_id) == (State.SUCCEEDED if finished else State.QUEUED)
            change(connection, job_id, state="'cancelled'")


def test_several_beats_make_each_job_due_once(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for _ in range(40):
            change(connection, enqueue(connection), state="'scheduled'")

    assert sum(at_once(ledger, lambda connection, _: transitions.make_due(connection, 10))) == 40


def test_several_beats_publish_each_job_once(ledger: Ledger) -> None:
    with ledger.write() as connection:
        ids = {enqueue(connection) for _ in range(60)}

    taken = at_once(
        ledger, lambda connection, _: messages.take_publishable(connection, "web", 15, alone=False)
    )

    published = [message.job_id for batch in taken for message in batch]
    assert len(published) == len(set(published)) == 60
    assert set(published) == ids


def test_one_of_several_beats_fires(ledger: Ledger) -> None:
    fire_at = datetime(2026, 1, 1, tzinfo=UTC)

    def fire(connection: Connection, _: int) -> set[firings.Occurrence]:
        new = firings.NewFiring(schedule="s", fire_at=fire_at, job_id=uuid4())
        return firings.record(connection, [new])

    fired = at_once(ledger, fire)

    assert [noted for noted in fired if noted] == [{("s", fire_at)}]


def test_one_of_several_requests_with_one_key_is_the_first(ledger: Ledger) -> None:
    def submit(connection: Connection, number: int) -> Earlier | None:
        return idempotency.remember(connection, CLIENT, "key", b"same", UUID(int=number))

    answers = at_once(ledger, submit)

    assert answers.count(None) == 1
    first = UUID(int=answers.index(None))
    assert {answer.job_id for answer in answers if answer} == {first}


def test_several_beats_agree_on_one_client(ledger: Ledger) -> None:
    made = at_once(ledger, lambda connection, _: clients.ensure_client(connection, "schedules"))

    assert len({client.id for client in made}) == 1


def test_one_of_several_operators_gets_the_name(ledger: Ledger) -> None:
    made = at_once(ledger, lambda connection, _: clients.add_client(connection, "acme"))

    assert len([client for client in made if client]) == 1
