"""A job lost with its process spends a loss and no attempt; one that kills its process ends as the killer."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from tests.integration.ledger.situations import WORKER, claim, claimed, enqueue, finish, row, state
from worker.contract.states import State
from worker.ledger import jobs, leases, transitions

CAP = 3


def lose(connection: Connection, job_id: UUID, *, alone: bool) -> State | None:
    token = claim(connection, job_id, alone=alone)
    assert token, "it cannot be claimed"
    return transitions.lose(connection, job_id, token, "its process died", CAP)


def test_a_loss_spends_no_attempt(connection: Connection) -> None:
    job_id = enqueue(connection, max_attempts=1)
    lose(connection, job_id, alone=False)
    claim(connection, job_id)

    (held,) = leases.held_by(connection, WORKER)

    assert (held.attempt, held.spent, held.max_attempts) == (2, 1, 1)


def test_a_hand_back_spends_no_attempt(connection: Connection) -> None:
    job_id, token = claimed(connection, max_attempts=1)
    transitions.hand_back(connection, [(job_id, token)], "w")
    claim(connection, job_id)

    (held,) = leases.held_by(connection, WORKER)

    assert (held.attempt, held.spent) == (2, 1)


def test_a_failed_attempt_is_spent(connection: Connection) -> None:
    job_id, token = claimed(connection)
    finish(connection, job_id, token, State.RETRYING)
    transitions.make_due(connection, 10)
    claim(connection, job_id)

    (held,) = leases.held_by(connection, WORKER)

    assert (held.attempt, held.spent) == (2, 2)


def test_after_two_losses_among_others_a_job_runs_only_alone(connection: Connection) -> None:
    job_id = enqueue(connection)
    lose(connection, job_id, alone=False)
    assert not row(connection, job_id)["wants_alone"], "the first may be a neighbour's doing"
    lose(connection, job_id, alone=False)

    assert row(connection, job_id)["wants_alone"]
    assert claim(connection, job_id, alone=False) is None
    assert claim(connection, job_id, alone=True) is not None


def test_a_job_that_is_lost_alone_three_times_ends_failed(connection: Connection) -> None:
    job_id = enqueue(connection)

    ends = [lose(connection, job_id, alone=True) for _ in range(CAP)]

    assert ends == [State.QUEUED, State.QUEUED, State.FAILED]
    ended = row(connection, job_id)
    assert ended["error"] == {"type": "Lost", "message": "its process died"}
    assert ended["finished_at"] is not None
    assert [entry["outcome"] for entry in jobs.history(connection, ended)] == ["lost"] * CAP


def test_losses_shared_with_others_never_end_a_job(connection: Connection) -> None:
    job_id = enqueue(connection)

    assert [lose(connection, job_id, alone=alone) for alone in (False, False, True, True)] == [
        State.QUEUED
    ] * 4
    assert lose(connection, job_id, alone=True) == State.FAILED


def test_an_operator_gives_the_killer_a_clean_slate_and_one_more_attempt(connection: Connection) -> None:
    job_id = enqueue(connection, max_attempts=2)
    for _ in range(CAP):
        lose(connection, job_id, alone=True)

    assert transitions.run_again(connection, job_id, "operator") == State.QUEUED
    again = row(connection, job_id)
    assert (again["alone_losses"], again["wants_alone"], again["error"]) == (0, False, None)
    claim(connection, job_id)
    (held,) = leases.held_by(connection, WORKER)
    assert (held.spent, held.max_attempts) == (1, 2)  # its losses spent none of its attempts


def test_the_history_names_the_worker_that_died(connection: Connection) -> None:
    leases.renew(connection, WORKER, name="web@here", host="here", pid=1, queues=["web"])
    job_id, token = claimed(connection)
    transitions.lose(connection, job_id, token, "killed by signal 9", CAP)

    (lost,) = jobs.history(connection, row(connection, job_id))

    assert lost["worker"] == "web@here"
    assert lost["error"] == {"type": "Lost", "message": "killed by signal 9"}


@pytest.mark.parametrize(("heartbeat", "after"), [(7.0, State.RUNNING), (9.0, State.QUEUED)])
def test_a_job_is_rescued_once_the_lease_of_its_worker_ran_out(
    connection: Connection, heartbeat: float, after: State
) -> None:
    leases.renew(connection, WORKER, name="w", host="here", pid=1, queues=["web"])
    aged = text("UPDATE workers SET heartbeat_at = now() - :age * interval '1 second'")
    connection.execute(aged, {"age": heartbeat})
    job_id, _ = claimed(connection)

    transitions.rescue(connection, 8.0, CAP)

    assert state(connection, job_id) == after


def test_a_job_whose_worker_has_no_lease_at_all_is_rescued(connection: Connection) -> None:
    job_id, _ = claimed(connection)

    assert transitions.rescue(connection, 8.0, CAP) == {job_id: State.QUEUED}


def test_a_rescued_job_is_published_anew(connection: Connection) -> None:
    job_id, _ = claimed(connection, published=True)

    transitions.rescue(connection, 8.0, CAP)

    rescued = row(connection, job_id)
    assert (rescued["published_at"], rescued["publications"]) == (None, 0)
