"""Deadlines, cancels and progress of what runs in one process, with a ledger that a test plays."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID, uuid4

import psycopg2
import pytest
from loguru import logger
from sqlalchemy.exc import OperationalError

from tests.awaiting import eventually
from tests.unit.worker.runtime.samples import ask, claimed
from worker.contract.states import State
from worker.ledger import leases, transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.runtime import attempt as attempts
from worker.runtime import attendant as attendants
from worker.runtime import courier as couriers
from worker.runtime.attempt import Attempt
from worker.runtime.attendant import Attendant
from worker.runtime.bookkeeping import Answers, Batch
from worker.runtime.bundle import Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.storage import Storage

Jobs = Literal["one", "many"]  # that run at once in the process
Make = Callable[[Jobs], Attendant]


class Connection:
    def execute(self, _statement: object) -> None: ...


class FakeLedger:
    """Knows what is unwanted, and remembers what it was told."""

    def __init__(self) -> None:
        self.unwanted: set[UUID] = set()
        self.overrun: list[UUID] = []
        self.progress: list[tuple[UUID, bytes]] = []
        self.failures: list[Exception] = []
        self.answers = threading.Event()  # a silent one lets whoever comes wait
        self.answers.set()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        if self.failures:
            raise self.failures.pop(0)
        assert self.answers.wait(10)
        yield Connection()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    fake = FakeLedger()
    monkeypatch.setattr(leases, "unwanted", lambda _c, _running: fake.unwanted)
    monkeypatch.setattr(transitions, "mark_overrun", lambda _c, job_id, _token: fake.overrun.append(job_id))
    monkeypatch.setattr(
        transitions, "report_progress", lambda _c, job_id, _t, said: fake.progress.append((job_id, said))
    )
    return fake


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that would have been sent to this process."""
    sent: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        sent.append(number)

    monkeypatch.setattr(attendants.os, "kill", kill)  # type: ignore[attr-defined]
    return sent


@pytest.fixture
def alarms() -> list[float]:
    return []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendants, "_ROUND", 0.01)
    monkeypatch.setattr(attendants, "_PATIENCE", 0.1)
    monkeypatch.setattr(couriers, "_LEDGER_ROUND", 0.01)
    monkeypatch.setattr(attempts, "_CANCEL_GRACE", 0.05)


@pytest.fixture
def make(ledger: FakeLedger, alarms: list[float]) -> Make:
    return lambda jobs: Attendant(
        cast("Ledger", ledger), alone=jobs == "one", worker="worker", alarm=alarms.append
    )


def attempt_of(storage: Path, *, deadline: float = 30.0, bundle: Bundle | None = None, **job: Any) -> Attempt:
    nobody = cast("Ledger", None), Storage(storage), cast("Checkpoints", None)
    attempt = Attempt(ask, claimed(**job), *nobody, bundle=bundle or Bundle([]))
    attempt.deadline = deadline
    return attempt


@pytest.mark.parametrize("jobs", ["one", "many"])
def test_a_handler_in_time_is_left_alone(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger, jobs: Jobs
) -> None:
    attendant = make(jobs)
    with attendant.watch(attempt := attempt_of(tmp_path)):
        assert attendant.running() == [attempt]
        time.sleep(0.05)
    assert attendant.running() == []
    assert (signals, ledger.overrun, attempt.cancelled) == ([], [], False)


def test_a_process_of_one_handler_dies_with_it_at_its_deadline(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger
) -> None:
    with make("one").watch(attempt := attempt_of(tmp_path, deadline=0.03)):
        eventually(lambda: signals)
    assert signals[0] == signal.SIGALRM
    assert ledger.overrun[0] == attempt.job.id  # before it died


def test_a_process_of_many_handlers_drains_once_for_each_overrun(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger
) -> None:
    attendant = make("many")
    neighbour, late = attempt_of(tmp_path), attempt_of(tmp_path, deadline=0.03)
    with attendant.watch(neighbour), attendant.watch(late):
        eventually(lambda: signals and late.marked)
        time.sleep(0.05)
    assert signals == [signal.SIGTERM]
    assert ledger.overrun == [late.job.id]
    assert (late.overrun, late.cancelled) == (True, True)
    assert (neighbour.overrun, neighbour.cancelled) == (False, False)


@pytest.mark.parametrize("jobs", ["one", "many"])
def test_a_cancelled_attempt_learns_of_it(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger, jobs: Jobs
) -> None:
    with make(jobs).watch(attempt := attempt_of(tmp_path)):
        ledger.unwanted = {attempt.job.token}
        eventually(lambda: attempt.cancelled)
    assert not attempt.overrun
    assert signals == []


def test_a_job_that_was_taken_away_and_claimed_here_again_is_not_cancelled(
    make: Make, tmp_path: Path, ledger: FakeLedger
) -> None:
    attendant, earlier = make("many"), attempt_of(tmp_path)
    again = attempt_of(tmp_path, id=earlier.job.id, token=uuid4(), attempt=2)
    with attendant.watch(earlier), attendant.watch(again):
        ledger.unwanted = {earlier.job.token}
        eventually(lambda: earlier.cancelled)
        assert not again.cancelled


def test_a_process_of_one_handler_that_heeds_no_cancel_is_ended(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger
) -> None:
    with make("one").watch(attempt := attempt_of(tmp_path)):
        ledger.unwanted = {attempt.job.token}
        eventually(lambda: signals)
    assert signals[0] == signal.SIGKILL
    assert ledger.overrun == []


def test_the_latest_progress_is_written_once(make: Make, tmp_path: Path, ledger: FakeLedger) -> None:
    with make("many").watch(attempt := attempt_of(tmp_path)):
        attempt.progress(1, 3)
        attempt.progress(2, 3)
        eventually(lambda: ledger.progress)
        time.sleep(0.05)
    assert ledger.progress == [(attempt.job.id, b'{"done":2.0,"total":3.0,"note":null}')]


def test_progress_that_could_not_be_written_is_written_later(
    make: Make, tmp_path: Path, ledger: FakeLedger
) -> None:
    ledger.failures = [OperationalError("statement", {}, Exception("away"))]
    with make("many").watch(attempt := attempt_of(tmp_path)):
        attempt.progress(1)
        eventually(lambda: ledger.progress)


def test_an_outage_of_the_ledger_is_logged_when_it_begins_and_when_it_is_over(
    make: Make, tmp_path: Path, ledger: FakeLedger
) -> None:
    ledger.failures = [OperationalError("statement", {}, Exception("away")) for _ in range(3)]
    said: list[str] = []
    sink = logger.add(lambda line: said.append(line.record["message"]), filter=couriers.__name__)
    try:
        with make("many").watch(attempt := attempt_of(tmp_path)):
            attempt.progress(1)
            eventually(lambda: ledger.progress and len(said) > 1)
    finally:
        logger.remove(sink)
    assert said == ["courier_without_ledger", "courier_with_ledger"]


def test_a_round_that_fails_does_not_end_the_watch(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger
) -> None:
    ledger.failures = [RuntimeError("a defect")]
    with make("one").watch(attempt_of(tmp_path, deadline=0.1)):
        eventually(lambda: signals)


def test_a_job_that_was_claimed_again_is_watched_for_itself(make: Make, tmp_path: Path) -> None:
    """By the process in which its first handler, taken away since, still runs."""
    attendant = make("many")
    job_id = uuid4()
    first, second = attempt_of(tmp_path, id=job_id), attempt_of(tmp_path, id=job_id)
    with attendant.watch(second):
        with attendant.watch(first):
            assert set(attendant.running()) == {first, second}
        assert attendant.running() == [second]


def test_the_kernel_is_to_end_a_process_whose_threads_cannot(
    make: Make, tmp_path: Path, alarms: list[float]
) -> None:
    with make("one").watch(attempt_of(tmp_path, deadline=30)):
        assert alarms[0] == pytest.approx(30 + attendants._FROZEN, abs=1)
    assert alarms[-1] == 0.0


def test_the_kernel_waits_for_the_earliest_deadline(make: Make, tmp_path: Path, alarms: list[float]) -> None:
    with make("many").watch(attempt_of(tmp_path, deadline=300)) as _, contextlib.ExitStack() as stack:
        attendant = make("many")
        for deadline in (500, 50, 100):
            stack.enter_context(attendant.watch(attempt_of(tmp_path, deadline=deadline)))
        alarms.clear()
        eventually(lambda: any(45 < seconds < 60 for seconds in alarms))


def test_a_silent_ledger_does_not_let_the_kernel_end_who_is_in_time(
    make: Make, tmp_path: Path, ledger: FakeLedger, alarms: list[float]
) -> None:
    attendant = make("many")
    ledger.answers.clear()
    with attendant.watch(attempt_of(tmp_path, deadline=60)):
        with attendant.watch(attempt_of(tmp_path, deadline=1)):
            assert alarms[-1] < 10
        assert alarms[-1] > 50  # at once
        alarms.clear()
        eventually(lambda: len(alarms) > 2)
        assert min(alarms) > 50
        ledger.answers.set()


def test_a_later_deadline_does_not_put_off_the_alarm_of_an_earlier_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alarms: list[float]
) -> None:
    monkeypatch.setattr(attendants, "_ROUND", 60)  # no look comes meanwhile
    attendant = make("many")
    first, later = attempt_of(tmp_path, deadline=100), attempt_of(tmp_path, deadline=200)
    with attendant.watch(first), attendant.watch(later):
        assert alarms[-1] < 110
        with attendant.watch(attempt_of(tmp_path, deadline=10)):
            assert alarms[-1] < 20
        assert 50 < alarms[-1] < 110


@pytest.mark.parametrize("jobs", ["one", "many"])
def test_a_silent_ledger_delays_no_deadline(
    make: Make, tmp_path: Path, ledger: FakeLedger, signals: list[int], jobs: Jobs
) -> None:
    attendant = make(jobs)
    ledger.answers.clear()
    with attendant.watch(late := attempt_of(tmp_path, deadline=0.03)):
        eventually(lambda: signals)
        assert signals[0] == (signal.SIGALRM if jobs == "one" else signal.SIGTERM)
        assert not late.marked
        ledger.answers.set()
        eventually(lambda: jobs == "one" or late.marked)  # the worker leaves when the ledger knows


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """What the ledger was told of bundles; it takes every word."""
    batches: list[Batch] = []

    def settle(_connection: object, batch: Batch, _worker: str) -> Answers:
        batches.append(batch)
        return Answers(recorded={outcome.job_id: outcome.state for outcome in batch.outcomes})

    monkeypatch.setattr(couriers, "settle", settle)
    return batches


def bundle_of(count: int) -> tuple[Bundle, list[ClaimedJob]]:
    """A bundle of which one job ended and the next one runs."""
    jobs = [claimed() for _ in range(count)]
    wishes = [Claim(job_id=job.id, token=job.token, worker_id=uuid4(), alone=False) for job in jobs]
    bundle = Bundle(wishes)
    bundle.claimed(jobs)
    bundle.begin()
    bundle.end(Outcome(job_id=jobs[0].id, token=jobs[0].token, worker="worker", state=State.SUCCEEDED))
    bundle.begin()
    return bundle, jobs


@pytest.mark.parametrize("jobs", ["one", "many"])
def test_of_a_bundle_everything_is_settled_before_an_overrun_takes_the_process(
    make: Make, tmp_path: Path, signals: list[int], told: list[Batch], jobs: Jobs
) -> None:
    bundle, (first, late, *others) = bundle_of(4)
    attempt = attempt_of(tmp_path, deadline=0.03, id=late.id, token=late.token, bundle=bundle)
    with make(jobs).watch(attempt):
        eventually(lambda: signals and told)
    (word,) = told
    assert [outcome.job_id for outcome in word.outcomes] == [first.id]
    assert {job.id for job in word.returned} == {job.id for job in others}
    assert bundle.begin() is None
    assert bundle.in_hand() == {late.id}


def test_a_process_does_not_die_under_outcomes_that_the_ledger_does_not_know(
    make: Make, tmp_path: Path, signals: list[int], ledger: FakeLedger, told: list[Batch]
) -> None:
    ledger.failures = [OperationalError("statement", {}, Exception("away")) for _ in range(9)]
    bundle, (_, late, *_) = bundle_of(3)
    attempt = attempt_of(tmp_path, deadline=0.0, id=late.id, token=late.token, bundle=bundle)
    with make("one").watch(attempt):
        eventually(lambda: signals)
        assert ledger.failures == []
        assert told


def test_what_is_too_much_at_once_for_the_ledger_is_said_in_parts(
    make: Make, tmp_path: Path, signals: list[int], told: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = couriers.settle

    def settle(connection: Any, batch: Batch, worker: str) -> Answers:
        if len(batch.job_ids()) > 1:
            raise OperationalError("statement", {}, psycopg2.errors.QueryCanceled())
        return take(connection, batch, worker)

    monkeypatch.setattr(couriers, "settle", settle)
    monkeypatch.setattr(couriers, "is_too_much", lambda _error: True)
    bundle, (first, late, *others) = bundle_of(4)
    attempt = attempt_of(tmp_path, deadline=0.0, id=late.id, token=late.token, bundle=bundle)
    with make("one").watch(attempt):
        eventually(lambda: signals)
    assert {job_id for word in told for job_id in word.job_ids()} == {first.id, *(job.id for job in others)}


def test_an_outcome_is_not_held_for_as_long_as_the_next_handler_runs(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[Batch]
) -> None:
    monkeypatch.setattr(couriers, "HELD", 0.05)
    bundle, (first, second, *_) = bundle_of(3)
    attempt = attempt_of(tmp_path, id=second.id, token=second.token, bundle=bundle)
    with make("one").watch(attempt):
        eventually(lambda: told)
    assert [outcome.job_id for outcome in told[0].outcomes] == [first.id]
    assert told[0].returned == []
