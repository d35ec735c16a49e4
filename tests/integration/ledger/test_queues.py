"""What an operator sees of the queues, and does to them, in the ledger."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from tests.integration.ledger.explaining import explained
from tests.integration.ledger.situations import change, claim, claimed, enqueue, finish, new_job, row
from worker.contract.states import Priority, State
from worker.ledger import leases, messages, queues, transitions
from worker.ledger.engines import Ledger


def test_what_is_queued_waits_and_the_oldest_is_the_one_that_is_due_longest(connection: Connection) -> None:
    enqueue(connection)
    later = enqueue(connection, published=True)
    change(connection, later, due_at="now() - interval '90 seconds'")
    claimed(connection)
    enqueue(connection, scheduled_at=datetime.now(UTC) + timedelta(hours=1))

    waiting = queues.waiting(connection, ["web", "email"])

    assert (waiting["web"].depth, round(waiting["web"].age)) == (2, 90)
    assert waiting["web"].oldest == row(connection, later)["due_at"]
    assert waiting["email"] == queues.Waiting(0, None, 0.0)


def test_a_backlog_is_counted_up_to_a_bound(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "COUNTED", 3)
    for _ in range(5):
        enqueue(connection)
    assert queues.waiting(connection, ["web"])["web"].depth == 3


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("priority", Priority)
def test_a_backlog_beyond_the_bound_hides_no_job_that_has_been_due_for_longer(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, priority: Priority, *, published: bool
) -> None:
    monkeypatch.setattr(queues, "COUNTED", 1)
    for each in (Priority.HIGH, Priority.HIGH, priority):  # the first is scheduled for now, say
        enqueue(connection, priority=each)
    old = enqueue(connection, priority=priority, published=published)
    change(connection, old, due_at="now() - interval '90 seconds'")
    assert round(queues.waiting(connection, ["web"])["web"].age) == 90


@pytest.mark.parametrize("statement", [queues._WAITING, *queues._PICK, queues._COUNT])
def test_what_waits_is_read_from_its_index_in_order(connection: Connection, statement: object) -> None:
    words = {
        "queues": ["web", "email"],
        "counted": 10,
        "head": 5,
        "ranks": [priority.rank for priority in Priority],
        "queue": "web",
        "until": datetime.now(UTC),
        "limit": 10,
    }
    connection.execute(queues._BY_INDEX)
    plan = connection.execute(text(f"EXPLAIN {statement}"), words).scalars().all()
    scans = [line for line in plan if "Scan" in line and " jobs" in line]
    assert scans
    indexes = ("queue_wants_alone_priority_id_idx", "queue_published_at_idx")
    assert all(any(index in line for index in indexes) for line in scans), plan
    assert not [line for line in plan if line.strip().startswith("->  Sort")], plan


def test_a_long_backlog_of_one_queue_is_not_searched_for_the_jobs_of_another(connection: Connection) -> None:
    transitions.enqueue(connection, [new_job() for _ in range(5_000)])
    connection.execute(text("ANALYZE jobs"))  # nearly all jobs fit each condition by itself
    with explained(connection) as looks:
        assert queues.waiting(connection, ["email"])["email"].depth == 0
    assert sum(look.looked_at for look in looks) < 100


def test_what_runs_is_counted_for_each_queue(connection: Connection) -> None:
    claimed(connection)
    claimed(connection)
    claimed(connection, queue="email")
    enqueue(connection)
    assert queues.running(connection) == {"web": 2, "email": 1}


def test_rates_are_those_of_the_last_minute(connection: Connection) -> None:
    for ended in (State.SUCCEEDED, State.SUCCEEDED, State.FAILED):
        finish(connection, *claimed(connection), ended)
    finish(connection, *claimed(connection, queue="email"), State.RETRYING, delay=60.0)
    old, token = claimed(connection)
    finish(connection, old, token, State.SUCCEEDED)
    connection.execute(
        text("UPDATE attempts SET ended_at = now() - interval '5 minutes' WHERE job_id = :id"), {"id": old}
    )
    rates = queues.rates(connection)
    assert (rates["web"].finished, rates["web"].failed, rates["web"].accepted) == (3.0, 1.0, 4.0)
    assert (rates["email"].accepted, rates["email"].finished) == (1.0, 0.0)


def test_of_very_many_a_rate_is_estimated(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "_NEWEST", 4)
    monkeypatch.setattr(queues, "_SAMPLE", 2)
    for _ in range(6):
        finish(connection, *claimed(connection), State.SUCCEEDED)
    rate = queues.rates(connection)["web"]
    assert rate.finished == 6.0  # two looked at, each for three
    assert rate.accepted == 240.0  # four within a second


def test_workers_are_shown_while_their_lease_runs(connection: Connection) -> None:
    for number, name in enumerate(("b@x", "a@x", "dead@x")):
        leases.renew(connection, UUID(int=number), name=name, host="x", pid=1, queues=["web"])
    connection.execute(
        text("UPDATE workers SET heartbeat_at = now() - interval '1 minute' WHERE name = 'dead@x'")
    )
    assert leases.consuming(connection, 10.0) == {"web": ["a@x", "b@x"]}


def test_a_queue_is_paused_once_and_resumed_once(connection: Connection) -> None:
    assert queues.pause(connection, "web", "operator ada")
    assert not queues.pause(connection, "web", "operator bob")
    assert queues.paused(connection)["web"].by == "operator ada"
    assert claim(connection, enqueue(connection)) is None
    assert queues.resume(connection, "web")
    assert not queues.resume(connection, "web")
    assert queues.paused(connection) == {}
    assert claim(connection, enqueue(connection)) is not None
    assert queues.pause(connection, "web", "operator bob")


def test_of_a_resumed_queue_all_messages_are_taken_for_refused(ledger: Ledger) -> None:
    with ledger.write() as connection:
        refused = [enqueue(connection, published=True) for _ in range(3)]
        other = enqueue(connection, queue="email", published=True)
    with ledger.write() as connection:
        until = queues.moment(connection)
    with ledger.write() as connection:
        later = enqueue(connection, published=True)
    with ledger.write() as connection:
        assert [messages.forget_queue(connection, "web", until, 2) for _ in range(3)] == [2, 1, 0]
        assert [row(connection, id_)["published_at"] for id_ in refused] == [None] * 3
        assert row(connection, other)["published_at"]
        assert row(connection, later)["published_at"]


def test_what_a_purge_picks_was_due_and_is_nobody_elses(ledger: Ledger) -> None:
    with ledger.write() as connection:
        first, second = enqueue(connection), enqueue(connection)
        change(connection, first, due_at="now() - interval '1 hour'")
        until = queues.moment(connection)
    with ledger.write() as connection:
        late = enqueue(connection)
        change(connection, late, due_at="now() + interval '1 second'")
    with ledger.write() as one, ledger.write() as other:
        assert queues.count_waiting(one, "web", until, 10) == 2
        assert list(queues.pick_waiting(one, "web", until, 1)) == [first]
        assert list(queues.pick_waiting(other, "web", until, 10)) == [second]
