"""The jobs of one message on their way: what may begin, what the ledger must learn, what is in hand."""

from uuid import uuid4

import pytest

from tests.unit.worker.runtime.samples import claimed
from worker.contract.states import State
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.runtime.bookkeeping import Answers
from worker.runtime.bundle import FRESH, HELD, LONGEST, Bundle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bundle_of(jobs: list[ClaimedJob], clock: Clock) -> Bundle:
    """A bundle whose jobs are claimed."""
    worker = uuid4()
    wishes = [Claim(job_id=job.id, token=job.token, worker_id=worker, alone=False) for job in jobs]
    bundle = Bundle(wishes, clock)
    assert bundle.in_hand() == {job.id for job in jobs}
    bundle.claimed(jobs)
    return bundle


def success(job: ClaimedJob) -> Outcome:
    return Outcome(job_id=job.id, token=job.token, worker="worker", state=State.SUCCEEDED)


def record(bundle: Bundle, least: float = 0.0) -> int:
    """Tell the ledger, which takes every word; how many outcomes it was told."""
    word = bundle.unsaid(least)
    bundle.said(word, Answers(recorded={said.job_id: said.state for said in word.outcomes}))
    return len(word.outcomes)


@pytest.fixture
def jobs() -> list[ClaimedJob]:
    return [claimed() for _ in range(3)]


def test_jobs_begin_in_their_order_and_stay_in_hand_until_they_are_recorded(
    jobs: list[ClaimedJob], clock: Clock
) -> None:
    bundle = bundle_of(jobs, clock)
    begun = []
    while job := bundle.begin():
        begun.append(job)
        bundle.end(success(job))
    assert begun == jobs
    assert bundle.in_hand() == {job.id for job in jobs}
    assert record(bundle) == 3
    assert bundle.in_hand() == set()
    assert set(bundle.recorded) == {job.id for job in jobs}


def test_what_was_not_to_be_had_does_not_begin(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs, clock)
    bundle.claimed([jobs[2], jobs[0]])
    assert [bundle.begin(), bundle.begin(), bundle.begin()] == [jobs[0], jobs[2], None]


def test_what_was_taken_away_while_it_waited_does_not_begin(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs, clock)
    assert bundle.begin() is jobs[0]
    assert [wish.job_id for wish in bundle.wishes()] == [jobs[1].id, jobs[2].id]
    bundle.claimed([jobs[2]])
    bundle.end(success(jobs[0]))
    assert bundle.begin() is jobs[2]
    assert bundle.in_hand() == {jobs[0].id, jobs[2].id}


def test_a_claim_that_was_seen_a_while_ago_is_stale_for_as_long_as_a_job_waits(
    jobs: list[ClaimedJob], clock: Clock
) -> None:
    bundle = bundle_of(jobs[:2], clock)
    bundle.begin()
    assert not bundle.stale
    clock.now += FRESH + 0.01
    assert bundle.stale
    bundle.claimed([jobs[1]])
    assert not bundle.stale
    bundle.begin()
    clock.now += FRESH + 0.01
    assert not bundle.stale


def test_an_outcome_waits_for_others_and_not_for_long(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs, clock)
    for job in jobs[:2]:
        bundle.begin()
        bundle.end(success(job))
        clock.now += HELD * 0.6
    assert record(bundle, HELD) == 2
    bundle.begin()
    bundle.end(success(jobs[2]))
    assert record(bundle, HELD) == 0
    clock.now += HELD
    assert record(bundle, HELD) == 1


def test_what_has_not_begun_goes_back_where_it_is_broken_off(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs, clock)
    bundle.begin()
    bundle.break_off()
    assert bundle.begin() is None
    word = bundle.unsaid(HELD)
    assert (word.outcomes, word.returned) == ([], [jobs[2], jobs[1]])
    assert bundle.in_hand() == {job.id for job in jobs}
    bundle.said(word, Answers())
    assert bundle.in_hand() == {jobs[0].id}
    assert not bundle.unsaid(HELD)


def test_a_word_that_two_threads_say_counts_once(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs[:1], clock)
    bundle.begin()
    bundle.end(success(jobs[0]))
    first, second = bundle.unsaid(), bundle.unsaid()
    bundle.said(first, Answers(recorded={jobs[0].id: State.SUCCEEDED}))
    bundle.said(second, Answers())
    assert set(bundle.recorded) == {jobs[0].id}
    assert bundle.refused == []


def test_an_outcome_that_the_ledger_refused_is_not_recorded(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs[:1], clock)
    bundle.begin()
    bundle.end(success(jobs[0]))
    bundle.said(bundle.unsaid(), Answers())
    assert bundle.recorded == {}
    assert [outcome.job_id for outcome in bundle.refused] == [jobs[0].id]


def test_a_bundle_that_takes_long_leaves_the_rest_to_others(jobs: list[ClaimedJob], clock: Clock) -> None:
    bundle = bundle_of(jobs, clock)
    assert not bundle.took_long
    clock.now += LONGEST + 0.1
    assert bundle.took_long
