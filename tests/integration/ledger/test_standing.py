"""How the queues stand: as it is, whatever the size of the backlog, and by indexes alone."""

from collections.abc import Mapping
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from tests.integration.ledger.situations import change, claim, enqueue
from worker.contract.states import Priority
from worker.ledger import leases, standing
from worker.ledger.standing import Standing


def seen(connection: Connection) -> Mapping[str, Standing]:
    return {queue.queue: queue for queue in standing.read(connection, ["web", "email"], lease=15.0)}


def test_what_waits_and_what_runs_is_told_of_each_queue(connection: Connection) -> None:
    enqueue(connection)
    enqueue(connection, published=True)
    claim(connection, enqueue(connection))
    assert seen(connection) == {
        "web": Standing(queue="web", depth=2, age=0.0, running=1, workers=0, paused=False),
        "email": Standing(queue="email", depth=0, age=0.0, running=0, workers=0, paused=False),
    }


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("priority", Priority)
def test_the_age_is_that_of_the_job_that_has_been_due_for_longest(
    connection: Connection, priority: Priority, *, published: bool
) -> None:
    enqueue(connection, priority=Priority.HIGH)
    old = enqueue(connection, priority=priority, published=published)
    enqueue(connection, priority=priority, published=published)
    change(connection, old, due_at="now() - interval '90 seconds'")
    assert seen(connection)["web"].age == pytest.approx(90.0)


def test_a_job_that_has_just_become_due_does_not_hide_those_behind_it(connection: Connection) -> None:
    enqueue(connection)  # accepted first, and scheduled for now
    change(connection, enqueue(connection), due_at="now() - interval '90 seconds'")
    assert seen(connection)["web"].age == pytest.approx(90.0)


def test_a_backlog_is_counted_up_to_a_bound(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "COUNTED", 3)
    for _ in range(5):
        enqueue(connection)
    assert seen(connection)["web"].depth == 3


def test_only_workers_whose_lease_holds_count(connection: Connection) -> None:
    for number in (1, 2):
        worker = {"name": "w", "host": "h", "pid": number, "queues": ["web"]}
        leases.renew(connection, UUID(int=number), **worker)  # type: ignore[arg-type]  # each as it should be
    assert seen(connection)["web"].workers == 2
    connection.execute(text("UPDATE workers SET heartbeat_at = now() - interval '16 seconds' WHERE pid = 1"))
    assert (seen(connection)["web"].workers, seen(connection)["email"].workers) == (1, 0)


def test_a_pause_is_told(connection: Connection) -> None:
    connection.execute(text("INSERT INTO queues (name, paused_at, paused_by) VALUES ('web', now(), 'me')"))
    assert {name for name, queue in seen(connection).items() if queue.paused} == {"web"}


def test_live_jobs_are_found_by_the_partial_indexes(connection: Connection) -> None:
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    words = {"queues": ["web"], "lease": 15.0, "counted": 10, "head": 5, "ranks": [0, 1, 2]}
    plan = connection.execute(text(f"EXPLAIN {standing._READ.text}"), words).scalars().all()
    assert [line for line in plan if "Index" in line and " on jobs_" in line]
    assert not [line for line in plan if "Seq Scan on jobs" in line]
    assert not [line for line in plan if "pkey on jobs" in line]
