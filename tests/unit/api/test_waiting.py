import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from api.waiting import Waiters
from worker.ledger.ids import new_id

FOREVER = 30.0  # seconds: a test that gets there fails


class FakeLedger:
    """Says which jobs ended, and remembers what it was asked."""

    def __init__(self) -> None:
        self.ended: set[UUID] = set()
        self.asked: list[set[UUID]] = []
        self.broken = threading.Event()

    def look(self, job_ids: Collection[UUID]) -> Collection[UUID]:
        self.asked.append(set(job_ids))
        if self.broken.is_set():
            raise RuntimeError("away")
        return self.ended & set(job_ids)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def waiters(ledger: FakeLedger) -> Iterator[Waiters]:
    waiters = Waiters(ledger.look, interval=0.01)
    waiters.start()
    yield waiters
    waiters.close()


@pytest.fixture
def deaf() -> Waiters:
    """Waiters that never look at the ledger."""
    return Waiters(lambda _: [], interval=FOREVER)


def wait(waiters: Waiters, job_id: UUID, timeout: float) -> bool:
    with waiters.expect(job_id) as ended:
        return ended.wait(timeout)


def test_a_waiter_learns_from_the_ledger_that_its_job_ended(waiters: Waiters, ledger: FakeLedger) -> None:
    job_id = new_id()
    ledger.ended.add(job_id)
    assert wait(waiters, job_id, FOREVER)


def test_one_look_serves_all_who_wait(waiters: Waiters, ledger: FakeLedger) -> None:
    job_ids = {new_id() for _ in range(20)}
    with ThreadPoolExecutor(20) as threads:
        waits = [threads.submit(wait, waiters, job_id, FOREVER) for job_id in job_ids]
        while job_ids not in ledger.asked:
            time.sleep(0.001)
        ledger.ended |= job_ids
        assert all(wait.result() for wait in waits)


def test_nobody_looks_where_nobody_waits(waiters: Waiters, ledger: FakeLedger) -> None:
    ended = new_id()
    ledger.ended.add(ended)
    assert wait(waiters, ended, FOREVER)
    assert set().union(*ledger.asked) == {ended}


def test_a_notice_wakes_all_who_wait_for_the_job_and_nobody_else(deaf: Waiters) -> None:
    job_id, other = new_id(), new_id()
    with deaf.expect(job_id) as one, deaf.expect(job_id) as two, deaf.expect(other) as three:
        deaf.wake([str(job_id), "no id at all", ""])
        assert one.is_set()
        assert two.is_set()
        assert not three.is_set()


def test_an_end_between_expecting_and_waiting_is_not_missed(deaf: Waiters) -> None:
    job_id = new_id()
    with deaf.expect(job_id) as ended:
        deaf.wake([str(job_id)])
        assert ended.wait(0)


def test_who_waits_in_vain_goes_on_after_their_time(deaf: Waiters) -> None:
    assert not wait(deaf, new_id(), 0.01)


def test_a_ledger_that_is_away_for_a_look_delays_and_ends_nothing(
    waiters: Waiters, ledger: FakeLedger
) -> None:
    job_id = new_id()
    ledger.broken.set()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait, waiters, job_id, FOREVER)
        while not ledger.asked:
            time.sleep(0.001)
        ledger.ended.add(job_id)
        ledger.broken.clear()
        assert waiting.result()


def test_closing_lets_everybody_go_also_those_who_come_later(deaf: Waiters) -> None:
    with deaf.expect(new_id()) as ended:
        deaf.close()
        assert ended.is_set()
    assert wait(deaf, new_id(), FOREVER)


def test_nothing_is_kept_of_those_who_left(deaf: Waiters) -> None:
    job_id = new_id()
    with deaf.expect(job_id), deaf.expect(job_id):
        pass
    assert deaf._events == {}
