"""The claim token is the fence: a late word changes nothing, and a repeated word is no second one."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import (
    IN_STATE,
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
from worker.ledger import jobs, leases, transitions
from worker.ledger.records import Claim, Outcome

Word = Callable[[Connection, UUID, UUID], object]

WORDS: dict[str, Word] = {
    "succeeded": lambda connection, job, token: finish(connection, job, token, State.SUCCEEDED, result=b"1"),
    "failed": lambda connection, job, token: finish(connection, job, token, State.FAILED),
    "retrying": lambda connection, job, token: finish(connection, job, token, State.RETRYING),
    "handed back": lambda connection, job, token: transitions.hand_back(connection, [(job, token)], "w"),
    "lost": lambda connection, job, token: transitions.lose(connection, job, token, "died", 3),
    "progress": lambda connection, job, token: transitions.report_progress(connection, job, token, b"{}"),
    "checkpoint": lambda connection, job, token: transitions.save_checkpoint(connection, job, token, b"1"),
    "overrun": transitions.mark_overrun,
}


def outcomes(connection: Connection, job_id: UUID) -> list[str | None]:
    return [entry["outcome"] for entry in jobs.history(connection, row(connection, job_id))]


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_the_late_word_of_a_worker_that_lost_its_job_changes_nothing(
    connection: Connection, word: Word
) -> None:
    job_id, zombie = claimed(connection)
    transitions.rescue(connection, 8.0, 3)
    token = claim(connection, job_id)
    before, history = dict(row(connection, job_id)), outcomes(connection, job_id)

    word(connection, job_id, zombie)

    assert dict(row(connection, job_id)) == before
    assert outcomes(connection, job_id) == history
    assert token
    assert finish(connection, job_id, token, State.SUCCEEDED) == State.SUCCEEDED


def test_a_zombie_learns_that_its_outcome_does_not_stand(connection: Connection) -> None:
    job_id, zombie = claimed(connection)
    transitions.rescue(connection, 8.0, 3)

    assert finish(connection, job_id, zombie, State.SUCCEEDED) is None


def test_a_running_job_cannot_be_claimed_with_another_token(connection: Connection) -> None:
    job_id, token = claimed(connection)

    assert claim(connection, job_id) is None
    assert row(connection, job_id)["claim_token"] == token


def test_repeating_a_claim_gives_the_same_attempt_again(connection: Connection) -> None:
    job_id, token = claimed(connection)
    before = dict(row(connection, job_id))
    wish = Claim(job_id=job_id, token=token, worker_id=WORKER, alone=False)

    (again,) = transitions.claim(connection, [wish])

    assert (again.id, again.token, again.attempt, again.spent) == (job_id, token, 1, 1)
    assert dict(row(connection, job_id)) == before


@pytest.mark.parametrize("ended", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.RETRYING])
def test_repeating_an_outcome_leaves_one_attempt_and_the_same_answer(
    connection: Connection, ended: State
) -> None:
    job_id, token = claimed(connection)
    first = finish(connection, job_id, token, ended, delay=60.0)
    before = dict(row(connection, job_id))

    assert finish(connection, job_id, token, ended, delay=60.0) == first == ended
    assert dict(row(connection, job_id)) == before
    assert len(outcomes(connection, job_id)) == 1


def test_the_first_of_two_different_outcomes_stands(connection: Connection) -> None:
    job_id, token = claimed(connection)
    finish(connection, job_id, token, State.SUCCEEDED, result=b'"first"')

    assert finish(connection, job_id, token, State.FAILED) == State.SUCCEEDED
    assert row(connection, job_id)["result"] == "first"


def test_a_repeated_outcome_is_confirmed_though_the_job_is_due_again(connection: Connection) -> None:
    job_id, token = claimed(connection)
    finish(connection, job_id, token, State.RETRYING, delay=0.0)
    transitions.make_due(connection, 10)

    assert finish(connection, job_id, token, State.RETRYING, delay=0.0) == State.RETRYING


def test_of_several_outcomes_in_one_statement_each_stands_or_falls_alone(connection: Connection) -> None:
    held, taken, done = (claimed(connection) for _ in range(3))
    transitions.lose(connection, *taken, "died", 3)
    finish(connection, *done, State.FAILED)

    stands = transitions.finish(
        connection,
        [
            Outcome(job_id=job_id, token=token, worker="w", state=State.SUCCEEDED, result=b"1")
            for job_id, token in (held, taken, done)
        ],
    )

    assert stands == {held[0]: State.SUCCEEDED, done[0]: State.FAILED}
    assert state(connection, taken[0]) == State.QUEUED


def test_of_several_claims_in_one_statement_those_that_can_be_had_are_had(connection: Connection) -> None:
    waiting = [enqueue(connection) for _ in range(3)]
    done = IN_STATE[State.SUCCEEDED](connection)
    wishes = [
        Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=False)
        for job_id in (done, *waiting, UUID(int=1))
    ]

    held = transitions.claim(connection, wishes)

    assert {job.id for job in held} == set(waiting)
    assert {job.token for job in held} == {wish.token for wish in wishes if wish.job_id in waiting}


def test_every_attempt_leaves_a_trace(connection: Connection) -> None:
    job_id = enqueue(connection)
    for ending in ("retrying", "handed back", "lost", "succeeded"):
        change(connection, job_id, due_at="now()")
        transitions.make_due(connection, 10)
        token = claim(connection, job_id)
        assert token
        WORDS[ending](connection, job_id, token)

    assert outcomes(connection, job_id) == ["failed", "handed_back", "lost", "succeeded"]
    assert [entry["attempt"] for entry in jobs.history(connection, row(connection, job_id))] == [1, 2, 3, 4]


def test_the_attempt_that_runs_is_the_last_entry_of_the_history(connection: Connection) -> None:
    leases.renew(connection, WORKER, name="web@here", host="here", pid=1, queues=["web"])
    job_id, _ = claimed(connection)

    (running,) = jobs.history(connection, row(connection, job_id))

    assert (running["attempt"], running["outcome"], running["worker"]) == (1, None, "web@here")
    assert running["ended_at"] is None


def test_a_result_that_json_allows_and_sql_text_does_not_is_stored(connection: Connection) -> None:
    job_id, token = claimed(connection)

    finish(connection, job_id, token, State.SUCCEEDED, result=b'"a\\u0000b"')

    assert row(connection, job_id)["result"] == "a\0b"


def test_outcomes_are_recorded_in_whatever_order_they_come(connection: Connection) -> None:
    held = [claimed(connection) for _ in range(3)]

    words = [
        Outcome(job_id=job_id, token=token, worker="w", state=State.SUCCEEDED)
        for job_id, token in reversed(held)
    ]

    assert transitions.finish(connection, words).keys() == {job_id for job_id, _ in held}
    assert {state(connection, job_id) for job_id, _ in held} == {State.SUCCEEDED}
