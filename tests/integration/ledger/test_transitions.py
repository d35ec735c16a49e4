"""Every transition from every state, as one table: what is not in it changes nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import IN_STATE, change, claim, claimed, enqueue, finish, row, state
from worker.contract.states import FINAL, State
from worker.ledger import messages, transitions

S = State
PAST = "now() - interval '1 second'"

Step = Callable[[Connection, UUID], object]


def _held(step: Callable[[Connection, UUID, UUID], object]) -> Step:
    """A step of whoever holds, or last held, the job; a stranger's where nobody did."""
    return lambda connection, job_id: step(
        connection, job_id, row(connection, job_id)["claim_token"] or UUID(int=1)
    )


def _make_due(connection: Connection, job_id: UUID) -> None:
    change(connection, job_id, due_at=PAST)
    transitions.make_due(connection, 10)


def _expire(connection: Connection, job_id: UUID) -> None:
    change(connection, job_id, expires_at=PAST)
    transitions.expire(connection, 10)


def _publish(connection: Connection, _job_id: UUID) -> None:
    for alone in (False, True):
        messages.take_publishable(connection, "web", 10, alone=alone)


def _ended(ended: State) -> Step:
    return _held(lambda connection, job_id, token: finish(connection, job_id, token, ended, delay=60.0))


STEPS: dict[str, tuple[Step, dict[State, State]]] = {
    "a worker claims it": (claim, {S.QUEUED: S.RUNNING}),
    "its attempt succeeds": (_ended(S.SUCCEEDED), {S.RUNNING: S.SUCCEEDED}),
    "its attempt fails for good": (_ended(S.FAILED), {S.RUNNING: S.FAILED}),
    "its attempt is stopped": (_ended(S.CANCELLED), {S.RUNNING: S.CANCELLED}),
    "its attempt fails": (_ended(S.RETRYING), {S.RUNNING: S.RETRYING}),
    "its time comes": (_make_due, {S.SCHEDULED: S.QUEUED, S.RETRYING: S.QUEUED}),
    "it expires": (_expire, {S.SCHEDULED: S.FAILED, S.QUEUED: S.FAILED, S.RETRYING: S.FAILED}),
    "its worker hands it back": (
        _held(lambda connection, job_id, token: transitions.hand_back(connection, [(job_id, token)], "w")),
        {S.RUNNING: S.QUEUED},
    ),
    "its worker hands it back for later": (
        _held(
            lambda connection, job_id, token: transitions.hand_back(connection, [(job_id, token)], "w", 2.0)
        ),
        {S.RUNNING: S.RETRYING},
    ),
    "its process dies": (
        _held(lambda connection, job_id, token: transitions.lose(connection, job_id, token, "died", 3)),
        {S.RUNNING: S.QUEUED},
    ),
    "its worker dies": (
        lambda connection, _: transitions.rescue(connection, 8.0, 3),
        {S.RUNNING: S.QUEUED},
    ),
    "somebody cancels it": (
        lambda connection, job_id: transitions.cancel(connection, job_id, "somebody"),
        {S.SCHEDULED: S.CANCELLED, S.QUEUED: S.CANCELLED, S.RETRYING: S.CANCELLED, S.RUNNING: S.RUNNING},
    ),
    "somebody runs it again": (
        lambda connection, job_id: transitions.run_again(connection, job_id, "somebody"),
        {S.FAILED: S.QUEUED, S.CANCELLED: S.QUEUED},
    ),
    "its message is published": (_publish, {S.QUEUED: S.QUEUED}),
}

# What a step itself sets before it asks the ledger.
PREPARED = {"its time comes": {"due_at"}, "it expires": {"expires_at"}}


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("name", STEPS)
def test_a_job_moves_only_as_the_diagram_says(connection: Connection, name: str, before: State) -> None:
    step, moves = STEPS[name]
    job_id = IN_STATE[before](connection)
    untouched = dict(row(connection, job_id))

    step(connection, job_id)

    after = dict(row(connection, job_id))
    assert after["state"] == moves.get(before, before)
    if before not in moves:
        changed = {column for column in after if after[column] != untouched[column]}
        assert changed <= PREPARED.get(name, set())
    else:
        assert after != untouched
        assert (after["finished_at"] is not None) == (after["state"] in FINAL)


@pytest.mark.parametrize(
    ("leave", "ends"),
    [
        ("its attempt fails", S.CANCELLED),
        ("its worker hands it back", S.CANCELLED),
        ("its worker hands it back for later", S.CANCELLED),
        ("its process dies", S.CANCELLED),
        ("its worker dies", S.CANCELLED),
        ("its attempt is stopped", S.CANCELLED),
        # One that finishes first keeps its outcome.
        ("its attempt succeeds", S.SUCCEEDED),
        ("its attempt fails for good", S.FAILED),
    ],
)
def test_a_running_job_that_was_cancelled_does_not_run_again(
    connection: Connection, leave: str, ends: State
) -> None:
    job_id, _ = claimed(connection)
    transitions.cancel(connection, job_id, "somebody")

    STEPS[leave][0](connection, job_id)

    assert state(connection, job_id) == ends
    assert row(connection, job_id)["finished_at"] is not None


def test_a_job_with_a_time_in_the_future_waits_for_it(connection: Connection) -> None:
    job_id = IN_STATE[S.SCHEDULED](connection)

    assert transitions.make_due(connection, 10) == 0
    assert state(connection, job_id) == S.SCHEDULED


def test_an_expired_job_cannot_be_claimed_even_before_beat_notices(connection: Connection) -> None:
    job_id = IN_STATE[S.QUEUED](connection)
    change(connection, job_id, expires_at=PAST)

    assert claim(connection, job_id) is None


def test_a_job_of_a_paused_queue_cannot_be_claimed(connection: Connection) -> None:
    job_id = IN_STATE[S.QUEUED](connection)
    connection.exec_driver_sql("INSERT INTO queues (name, paused_at) VALUES ('web', now())")

    assert claim(connection, job_id) is None

    connection.exec_driver_sql("UPDATE queues SET paused_at = NULL")
    assert claim(connection, job_id) is not None


def test_what_is_due_first_is_queued_first(connection: Connection) -> None:
    late, early = (IN_STATE[S.SCHEDULED](connection) for _ in range(2))
    change(connection, late, due_at="now() - interval '1 minute'")
    change(connection, early, due_at="now() - interval '2 minutes'")

    assert transitions.make_due(connection, 1) == 1
    assert (state(connection, early), state(connection, late)) == (S.QUEUED, S.SCHEDULED)


def test_an_expired_job_says_so_to_its_client(connection: Connection) -> None:
    job_id = IN_STATE[S.QUEUED](connection)
    change(connection, job_id, expires_at=PAST)

    assert transitions.expire(connection, 10) == [job_id]
    assert row(connection, job_id)["error"]["type"] == "Expired"


def test_only_a_clients_own_job_is_cancelled_or_run_again_for_it(connection: Connection) -> None:
    queued, failed = IN_STATE[S.QUEUED](connection), IN_STATE[S.FAILED](connection)
    stranger = UUID(int=99)

    assert transitions.cancel(connection, queued, "stranger", stranger) is None
    assert transitions.run_again(connection, failed, "stranger", stranger) is None
    assert (state(connection, queued), state(connection, failed)) == (S.QUEUED, S.FAILED)


def test_a_job_whose_time_has_not_come_waits_for_it_again(connection: Connection) -> None:
    later = datetime.now(UTC) + timedelta(days=30)
    job_id = enqueue(connection, scheduled_at=later)
    transitions.cancel(connection, job_id, "client")

    assert transitions.run_again(connection, job_id, "client") == S.SCHEDULED
    assert row(connection, job_id)["due_at"] == later
    assert transitions.make_due(connection, 10) == 0


def test_a_job_whose_time_is_past_runs_again_at_once(connection: Connection) -> None:
    job_id = enqueue(connection, scheduled_at=datetime.now(UTC) - timedelta(hours=1))
    transitions.cancel(connection, job_id, "client")

    assert transitions.run_again(connection, job_id, "client") == S.QUEUED
    assert (
        row(connection, job_id)["due_at"] == row(connection, job_id)["created_at"]
    )  # this transaction's now()


def test_a_job_whose_payload_was_pruned_cannot_run_again(connection: Connection) -> None:
    job_id = IN_STATE[S.FAILED](connection)
    change(connection, job_id, payload="NULL")

    assert transitions.run_again(connection, job_id, "operator") is None


def test_an_unknown_job_is_nobodys(connection: Connection) -> None:
    nobody = UUID(int=3)

    assert claim(connection, nobody) is None
    assert finish(connection, nobody, nobody, S.SUCCEEDED) is None
    assert transitions.cancel(connection, nobody, "somebody") is None
    assert transitions.lose(connection, nobody, nobody, "died", 3) is None
