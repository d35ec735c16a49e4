"""The marks of what the broker carries: set by dispatch, taken away by the three rules of reconcile."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import change, claim, enqueue, finish, row
from worker.contract.states import Priority, State
from worker.ledger import messages, transitions
from worker.ledger.records import Message

LONG_AGO = 30.0


def take(connection: Connection, queue: str = "web", limit: int = 10, *, alone: bool = False) -> list[UUID]:
    return [message.job_id for message in messages.take_publishable(connection, queue, limit, alone=alone)]


def published(connection: Connection, seconds_ago: float, **fields: object) -> UUID:
    """A job whose message was published that long ago and that nobody claimed."""
    job_id = enqueue(connection, published=True, **fields)
    age(connection, seconds_ago, job_id)
    return job_id


def age(connection: Connection, seconds_ago: float, *ids: UUID) -> None:
    for job_id in ids:
        change(connection, job_id, published_at=f"now() - interval '{seconds_ago} seconds'")


def unpublished(connection: Connection, *ids: UUID) -> list[bool]:
    return [row(connection, job_id)["published_at"] is None for job_id in ids]


def test_a_message_says_who_and_what_and_nothing_of_the_payload(connection: Connection) -> None:
    job_id = enqueue(connection, kind="web.fetch", description="GET example.com", request_id="r-1")

    (message,) = messages.take_publishable(connection, "web", 10, alone=False)

    assert message == Message(
        job_id=job_id,
        kind="web.fetch",
        queue="web",
        priority=Priority.NORMAL,
        description="GET example.com",
        request_id="r-1",
        alone=False,
    )


def test_the_highest_priority_goes_first_and_then_the_oldest(connection: Connection) -> None:
    low = enqueue(connection, priority=Priority.LOW)
    first, second = enqueue(connection), enqueue(connection)
    high = enqueue(connection, priority=Priority.HIGH)

    assert take(connection, limit=2) == [high, first]
    assert take(connection) == [second, low]


def test_what_is_published_is_not_published_again(connection: Connection) -> None:
    job_id = enqueue(connection)

    assert (take(connection), take(connection)) == ([job_id], [])
    assert row(connection, job_id)["publications"] == 1


def test_what_the_broker_did_not_take_is_published_again_and_does_not_count(connection: Connection) -> None:
    job_id = enqueue(connection)

    for _ in range(1100):  # an outage of a few minutes
        assert take(connection) == [job_id]
        messages.unpublish(connection, [job_id])

    assert row(connection, job_id)["publications"] == 0


def test_a_claim_that_was_faster_than_a_failed_publication_is_left_alone(connection: Connection) -> None:
    job_id = enqueue(connection)
    take(connection)
    claim(connection, job_id)
    before = dict(row(connection, job_id))

    messages.unpublish(connection, [job_id])

    assert dict(row(connection, job_id)) == before


def test_the_lanes_are_those_of_unpublished_jobs_whose_queue_is_not_paused(connection: Connection) -> None:
    for queue in ("web", "web", "email", "report", "database"):
        enqueue(connection, queue=queue)
    change(connection, enqueue(connection, queue="report"), wants_alone="true")
    take(connection, "database")
    connection.exec_driver_sql("INSERT INTO queues (name, paused_at) VALUES ('email', now()), ('web', NULL)")

    assert messages.publishable_lanes(connection) == [("report", False), ("report", True), ("web", False)]


def test_without_unpublished_jobs_there_is_no_lane(connection: Connection) -> None:
    assert messages.publishable_lanes(connection) == []


def test_a_job_that_must_run_alone_is_taken_only_for_its_own_lane(connection: Connection) -> None:
    job_id = enqueue(connection)
    change(connection, job_id, wants_alone="true")

    assert take(connection) == []
    assert take(connection, alone=True) == [job_id]


# ── (a) the queue in the broker is empty ──────────────────────────────────────────────────────────────


def forget_lanes(connection: Connection, *lanes: str) -> int:
    return messages.forget_lanes(connection, lanes, "isolation", 3.0)


def test_what_an_empty_queue_lost_is_unpublished(connection: Connection) -> None:
    lost, elsewhere = published(connection, LONG_AGO), published(connection, LONG_AGO, queue="email")

    assert forget_lanes(connection, "web", "report") == 1
    assert unpublished(connection, lost, elsewhere) == [True, False]


def test_a_message_in_a_workers_hands_gets_a_moment_to_be_claimed(connection: Connection) -> None:
    in_hand = published(connection, 2.0)

    assert forget_lanes(connection, "web") == 0
    assert unpublished(connection, in_hand) == [False]


def test_what_runs_or_has_ended_is_nobodys_business(connection: Connection) -> None:
    running, done = published(connection, LONG_AGO), published(connection, LONG_AGO)
    claim(connection, running)
    token = claim(connection, done)
    assert token
    finish(connection, done, token, State.SUCCEEDED)

    assert forget_lanes(connection, "web") == 0


def test_a_job_that_must_run_alone_was_lost_from_the_lane_of_those(connection: Connection) -> None:
    job_id = published(connection, LONG_AGO)
    change(connection, job_id, wants_alone="true")

    assert forget_lanes(connection, "web") == 0
    assert forget_lanes(connection, "isolation") == 1


@pytest.mark.parametrize(
    ("publications", "age_seconds", "marked"),
    [(1, 4, 1), (2, 5, 0), (2, 7, 1), (5, 47, 0), (5, 49, 1), (40, 3599, 0), (40, 3601, 1), (2000, 3601, 1)],
)
def test_every_further_publication_doubles_the_wait_up_to_an_hour(
    connection: Connection, publications: int, age_seconds: int, marked: int
) -> None:
    job_id = published(connection, age_seconds)
    change(connection, job_id, publications=str(publications))

    assert forget_lanes(connection, "web") == marked


def test_an_attempt_that_began_and_came_to_nothing_ends_the_waiting(connection: Connection) -> None:
    """The message arrived, so what delayed it before says nothing about the next one."""
    job_id = published(connection, LONG_AGO)
    change(connection, job_id, publications="9")
    token = claim(connection, job_id)
    assert token

    transitions.hand_back(connection, [(job_id, token)], "w")

    assert row(connection, job_id)["publications"] == 0


# ── (b) later messages were claimed ───────────────────────────────────────────────────────────────────


def forget_overtaken(connection: Connection) -> int:
    return messages.forget_overtaken(connection, 5.0, 5.0)


def witness(
    connection: Connection,
    published_ago: float,
    claimed_ago: float,
    ended_ago: float | None,
    **fields: object,
) -> UUID:
    """A job that was published, claimed, and maybe ended, that long ago."""
    job_id = enqueue(connection, published=True, **fields)
    token = claim(connection, job_id)
    assert token
    if ended_ago is not None:
        finish(connection, job_id, token, State.SUCCEEDED)
        connection.exec_driver_sql(
            f"UPDATE attempts SET ended_at = now() - interval '{ended_ago} seconds' WHERE job_id = '{job_id}'"  # noqa: S608 - a test's
        )
    change(connection, job_id, started_at=f"now() - interval '{claimed_ago} seconds'")
    age(connection, published_ago, job_id)
    return job_id


@pytest.mark.parametrize("ended_ago", [None, 6.0], ids=["it still runs", "it ended"])
def test_what_later_messages_of_its_queue_overtook_is_unpublished(
    connection: Connection, ended_ago: float | None
) -> None:
    lost, behind = published(connection, 20.0), published(connection, 15.0)
    witness(connection, published_ago=18.0, claimed_ago=7.0, ended_ago=ended_ago)

    assert forget_overtaken(connection) == 1
    assert unpublished(connection, lost, behind) == [True, False]


NO_WITNESSES: Sequence[tuple[str, dict[str, object]]] = (
    ("claimed a moment ago", {"claimed_ago": 4.0}),
    ("published earlier", {"published_ago": 25.0}),
    ("of another queue", {"queue": "email"}),
    ("of a higher priority", {"priority": Priority.HIGH}),
)


@pytest.mark.parametrize(
    "given", [given for _, given in NO_WITNESSES], ids=[name for name, _ in NO_WITNESSES]
)
def test_what_proves_no_loss_is_no_witness(connection: Connection, given: dict[str, object]) -> None:
    published(connection, 20.0)
    words: dict[str, object] = {"published_ago": 18.0, "claimed_ago": 7.0, "ended_ago": None}
    witness(connection, **words | given)  # type: ignore[arg-type]

    assert forget_overtaken(connection) == 0


def test_a_lower_priority_that_was_claimed_is_a_witness(connection: Connection) -> None:
    published(connection, 20.0)
    witness(connection, 18.0, 7.0, None, priority=Priority.LOW)

    assert forget_overtaken(connection) == 1


def test_a_job_that_was_published_twice_is_no_witness(connection: Connection) -> None:
    """Its first message may be the one that was claimed, and that one overtook nothing."""
    published(connection, 20.0)
    change(connection, witness(connection, 18.0, 7.0, None), publications="2")

    assert forget_overtaken(connection) == 0


def test_a_job_that_was_published_again_after_its_attempt_is_no_witness(connection: Connection) -> None:
    published(connection, 20.0)
    age(connection, 6.0, witness(connection, 18.0, 7.0, 6.0))

    assert forget_overtaken(connection) == 0


# ── (c) it waited too long ────────────────────────────────────────────────────────────────────────────


def test_what_waited_longer_than_anything_should_is_unpublished(connection: Connection) -> None:
    lost, waiting = published(connection, 700.0), published(connection, 500.0)

    assert messages.forget_stale(connection, 600.0) == 1
    assert unpublished(connection, lost, waiting) == [True, False]


def test_a_very_long_patience_is_kept(connection: Connection) -> None:
    published(connection, 7000.0)

    assert messages.forget_stale(connection, 7200.0) == 0
