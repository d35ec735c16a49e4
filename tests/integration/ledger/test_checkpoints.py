"""A checkpoint outlives its attempt, however that ended, and is gone once nobody can read it any more."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import WORKER, change, claim, claimed, enqueue, finish, row
from worker.contract.states import State
from worker.ledger import transitions
from worker.ledger.records import Claim

End = Callable[[Connection, UUID, UUID], object]

ENDS: dict[str, End] = {
    "its attempt fails": lambda connection, job, token: finish(connection, job, token, State.RETRYING),
    "its worker hands it back": lambda connection, job, token: transitions.hand_back(
        connection, [(job, token)], "w"
    ),
    "its process dies": lambda connection, job, token: transitions.lose(connection, job, token, "died", 3),
    "its worker dies": lambda connection, _job, _token: transitions.rescue(connection, 8.0, 3),
    "it fails and is run again": lambda connection, job, token: (
        finish(connection, job, token, State.FAILED),
        transitions.run_again(connection, job, "operator"),
    ),
    "it is cancelled and run again": lambda connection, job, token: (
        finish(connection, job, token, State.CANCELLED),
        transitions.run_again(connection, job, "operator"),
    ),
}


def save(connection: Connection, job_id: UUID, token: UUID, checkpoint: bytes) -> bool:
    return transitions.save_checkpoint(connection, job_id, token, checkpoint)


def carried(connection: Connection, job_id: UUID) -> str | None:
    """What the next claim brings along."""
    wish = Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=True)
    (job,) = transitions.claim(connection, [wish])
    return job.checkpoint


def test_a_first_claim_brings_none(connection: Connection) -> None:
    assert carried(connection, enqueue(connection)) is None


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_next_attempt_reads_what_was_saved_last(connection: Connection, end: End) -> None:
    job_id, token = claimed(connection)
    assert save(connection, job_id, token, b'{"page": 1}')
    assert save(connection, job_id, token, b'{"page": 2}')

    end(connection, job_id, token)
    change(connection, job_id, due_at="now()")
    transitions.make_due(connection, 10)

    assert carried(connection, job_id) == '{"page": 2}'


def test_a_repeated_claim_brings_it_too(connection: Connection) -> None:
    job_id, token = claimed(connection)
    save(connection, job_id, token, b"1")

    (again,) = transitions.claim(
        connection, [Claim(job_id=job_id, token=token, worker_id=WORKER, alone=False)]
    )

    assert again.checkpoint == "1"


def test_a_zombie_saves_nothing_and_learns_of_it(connection: Connection) -> None:
    job_id, zombie = claimed(connection)
    save(connection, job_id, zombie, b'"of the zombie, in time"')
    transitions.rescue(connection, 8.0, 3)

    assert not save(connection, job_id, zombie, b'"while it is queued"')
    token = claim(connection, job_id)
    assert token
    assert not save(connection, job_id, zombie, b'"while another holds it"')
    assert row(connection, job_id)["checkpoint"] == "of the zombie, in time"
    assert save(connection, job_id, token, b'"of the holder"')


@pytest.mark.parametrize("ended", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.RETRYING])
def test_nothing_is_saved_after_the_outcome(connection: Connection, ended: State) -> None:
    job_id, token = claimed(connection)
    finish(connection, job_id, token, ended)

    assert not save(connection, job_id, token, b"1")


def test_a_success_leaves_none(connection: Connection) -> None:
    """It may name people, and nobody reads it again."""
    job_id, token = claimed(connection)
    save(connection, job_id, token, b"1")
    finish(connection, job_id, token, State.SUCCEEDED)

    assert row(connection, job_id)["checkpoint"] is None


def test_each_job_of_a_batch_of_outcomes_keeps_its_own(connection: Connection) -> None:
    jobs = [claimed(connection) for _ in range(3)]
    for number, (job_id, token) in enumerate(jobs):
        save(connection, job_id, token, str(number).encode())
        finish(connection, job_id, token, State.RETRYING, delay=60.0)

    assert [row(connection, job_id)["checkpoint"] for job_id, _ in jobs] == [0, 1, 2]


def test_text_that_sql_does_not_take_is_kept(connection: Connection) -> None:
    job_id, token = claimed(connection)
    save(connection, job_id, token, b'"a\\u0000b"')

    assert row(connection, job_id)["checkpoint"] == "a\0b"
