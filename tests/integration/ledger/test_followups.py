"""What follows from the end of a job."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import (
    CLIENT,
    change,
    claim,
    claimed,
    enqueue,
    finish,
    row,
    state,
)
from worker.contract.states import State
from worker.ledger import agenda, followups, queues, transitions
from worker.ledger.engines import Ledger
from worker.ledger.followups import Taken
from worker.ledger.ids import new_id


def _finished(connection: Connection, job_id: UUID) -> None:
    token = claim(connection, job_id)
    assert token
    finish(connection, job_id, token, State.SUCCEEDED, result=b"{}")


def _ended(connection: Connection) -> list[UUID]:
    return [job.id for job in followups.take(connection, 10).ended]


def _expired(connection: Connection, job_id: UUID) -> None:
    change(connection, job_id, expires_at="now() - interval '1 s'")
    assert transitions.expire(connection, 10) == [job_id]


def _lost(connection: Connection, job_id: UUID) -> None:
    token = claim(connection, job_id, alone=True)
    assert token
    assert transitions.lose(connection, job_id, token, "it died", cap=1) is State.FAILED


def _handed_back(connection: Connection, job_id: UUID) -> None:
    token = claim(connection, job_id)
    assert token
    transitions.cancel(connection, job_id, "client")
    transitions.hand_back(connection, [(job_id, token)], "w")


ENDS: dict[str, Callable[[Connection, UUID], None]] = {
    "an outcome": _finished,
    "its expiry": _expired,
    "a loss": _lost,
    "a cancel": lambda connection, job_id: transitions.cancel(connection, job_id, "client") and None,
    "a hand-back after a cancel": _handed_back,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_end_of_a_followed_job_is_noted_whatever_ends_it(
    connection: Connection, end: Callable[[Connection, UUID], None]
) -> None:
    job_id = enqueue(connection, followed=True)
    end(connection, job_id)
    assert agenda.read(connection).ended
    taken = followups.take(connection, 10)
    assert taken.count == 1
    assert [job.id for job in taken.ended] == [job_id]
    assert not agenda.read(connection).ended


def test_the_end_of_a_job_that_nobody_follows_is_not_noted(connection: Connection) -> None:
    _finished(connection, enqueue(connection))
    assert not agenda.read(connection).ended


def test_a_job_that_was_run_again_before_its_end_was_settled_is_left_alone(connection: Connection) -> None:
    job_id = enqueue(connection, followed=True)
    transitions.cancel(connection, job_id, "client")
    transitions.run_again(connection, job_id, "client")
    assert followups.take(connection, 10) == Taken(1, [], [])
    _finished(connection, job_id)
    assert [job.state for job in followups.take(connection, 10).ended] == [State.SUCCEEDED]


def test_a_job_waits_until_all_that_it_comes_after_have_succeeded(connection: Connection) -> None:
    first, second = enqueue(connection), enqueue(connection)
    assert len(followups.follow(connection, [first, second], CLIENT)) == 2
    after = enqueue(connection, after=[first, second], unmet=[first, second])
    assert state(connection, after) is State.SCHEDULED
    for met in (first, second):
        assert transitions.make_due(connection, 10) == 0
        _finished(connection, met)
        followups.release(connection, [job.id for job in followups.take(connection, 10).ended])
    assert transitions.make_due(connection, 10) == 1
    assert state(connection, after) is State.QUEUED


def test_a_job_of_a_later_time_still_waits_for_it(connection: Connection) -> None:
    first = enqueue(connection)
    followups.follow(connection, [first], CLIENT)
    after = enqueue(connection, after=[first], unmet=[first])
    change(connection, after, scheduled_at="now() + interval '1 hour'")
    followups.release(connection, [first])
    assert transitions.make_due(connection, 10) == 0
    assert row(connection, after)["due_at"] == row(connection, after)["scheduled_at"]


def test_a_job_whose_time_passed_while_it_waited_is_due_from_the_end_of_its_wait(
    connection: Connection,
) -> None:
    first = enqueue(connection)
    followups.follow(connection, [first], CLIENT)
    after = enqueue(connection, after=[first], unmet=[first])
    change(connection, after, scheduled_at="now() - interval '1 hour'")
    followups.release(connection, [first])
    assert transitions.make_due(connection, 10) == 1
    assert queues.waiting(connection, ["web"])["web"].age == 0


def test_a_job_fails_when_one_that_it_comes_after_ends_otherwise(connection: Connection) -> None:
    first, other = enqueue(connection), enqueue(connection)
    followups.follow(connection, [first, other], CLIENT)
    after = enqueue(connection, after=[first, other], unmet=[first, other], followed=True)
    transitions.cancel(connection, first, "client")
    followups.fail_dependents(connection, dict.fromkeys(_ended(connection), "the first is cancelled"))
    assert state(connection, after) is State.FAILED
    assert row(connection, after)["error"] == {
        "type": "DependencyFailed",
        "message": "the first is cancelled",
    }
    assert [job.id for job in followups.take(connection, 10).ended] == [after]  # and so on down the chain
    followups.release(connection, [other])
    assert state(connection, after) is State.FAILED


def test_a_failed_dependent_can_be_run_again(connection: Connection) -> None:
    first = enqueue(connection)
    followups.follow(connection, [first], CLIENT)
    after = enqueue(connection, after=[first], unmet=[first])
    followups.fail_dependents(connection, {first: "it failed"})
    assert transitions.run_again(connection, after, "client") is State.SCHEDULED
    _finished(connection, first)
    followups.release(connection, _ended(connection))
    transitions.make_due(connection, 10)
    assert claim(connection, after)


def test_a_dependent_that_is_run_again_learns_of_what_ended_before(connection: Connection) -> None:
    first, second = enqueue(connection), enqueue(connection)
    after = enqueue(connection, after=[first, second])
    _finished(connection, first)
    transitions.cancel(connection, second, "client")
    transitions.cancel(connection, after, "client")
    assert transitions.run_again(connection, after, "client") is State.SCHEDULED
    assert set(_ended(connection)) == {first, second}


def test_a_dependent_that_ran_already_runs_again_at_once(connection: Connection) -> None:
    first = enqueue(connection)
    after, token = claimed(connection, after=[first])
    finish(connection, after, token, State.FAILED)
    assert transitions.run_again(connection, after, "client") is State.QUEUED


def test_a_dependent_that_is_run_again_learns_that_a_job_was_pruned(connection: Connection) -> None:
    gone = new_id()
    after = enqueue(connection, after=[gone])
    transitions.cancel(connection, after, "client")
    transitions.run_again(connection, after, "client")
    assert followups.take(connection, 10).gone == [gone]


def test_a_second_end_is_settled_although_a_beat_looks_at_the_first(ledger: Ledger) -> None:
    with ledger.write() as connection:
        job_id = enqueue(connection, followed=True)
        transitions.cancel(connection, job_id, "client")
        transitions.run_again(connection, job_id, "client")
        token = claim(connection, job_id)
        assert token
    with ledger.write() as ending:
        finish(ending, job_id, token, State.SUCCEEDED)
        with ledger.write() as beat:
            followups.take(beat, 10)
    with ledger.write() as beat:
        assert [job.id for job in followups.take(beat, 10).ended] == [job_id]


def test_who_waits_again_learns_of_an_end_although_a_beat_settles_it(ledger: Ledger) -> None:
    with ledger.write() as connection:
        first = enqueue(connection, followed=True)
        after = enqueue(connection, after=[first], unmet=[first])
        transitions.cancel(connection, after, "client")
        _finished(connection, first)
    with ledger.write() as again:
        transitions.run_again(again, after, "client")
        with ledger.write() as beat:
            followups.release(beat, _ended(beat))
    with ledger.write() as beat:
        followups.release(beat, _ended(beat))
        assert transitions.make_due(beat, 10) == 1


def test_another_clients_job_cannot_be_followed(connection: Connection) -> None:
    assert followups.follow(connection, [enqueue(connection)], UUID(int=99)) == []


def test_following_tells_how_the_job_stands(connection: Connection) -> None:
    job_id, token = claimed(connection)
    finish(connection, job_id, token, State.FAILED)
    (followed,) = followups.follow(connection, [job_id], CLIENT)
    assert (followed.kind, followed.state) == ("test.kind", State.FAILED)
