"""One row per worker holds the claims of all its jobs."""

from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from tests.integration.ledger.situations import WORKER, claim, claimed, enqueue
from worker.ledger import leases, transitions


def renew(connection: Connection, worker: UUID = WORKER) -> None:
    leases.renew(connection, worker, name="web@here", host="here", pid=17, queues=["web"])


def age(connection: Connection, seconds: float) -> None:
    connection.execute(
        text("UPDATE workers SET heartbeat_at = now() - :age * interval '1 second'"), {"age": seconds}
    )


def workers(connection: Connection) -> list[UUID]:
    return list(connection.execute(text("SELECT id FROM workers ORDER BY id")).scalars())


def test_renewing_keeps_one_row_and_its_start(connection: Connection) -> None:
    renew(connection)
    connection.exec_driver_sql("UPDATE workers SET started_at = '2020-01-01 00:00Z'")
    age(connection, 60)

    renew(connection)

    (lease,) = connection.exec_driver_sql("SELECT *, now() AS now FROM workers").all()
    assert lease.heartbeat_at == lease.now
    assert lease.started_at.year == 2020


def test_renewing_says_what_is_consumed_now(connection: Connection) -> None:
    renew(connection)
    leases.renew(connection, WORKER, name="web@here", host="here", pid=17, queues=["email"])
    assert leases.consumers(connection) == {"email": 1}


def test_a_lease_that_was_taken_away_is_taken_anew(connection: Connection) -> None:
    renew(connection)
    age(connection, 60)
    assert leases.forget_dead(connection, 8.0) == 1

    renew(connection)

    assert workers(connection) == [WORKER]


def test_a_stopped_worker_leaves_no_lease(connection: Connection) -> None:
    renew(connection)

    leases.end(connection, WORKER)

    assert workers(connection) == []


def test_a_dead_lease_stays_while_it_holds_a_job(connection: Connection) -> None:
    renew(connection)
    claimed(connection)
    age(connection, 60)

    assert leases.forget_dead(connection, 8.0) == 0
    transitions.rescue(connection, 8.0, 3)
    assert leases.forget_dead(connection, 8.0) == 1


def test_a_living_lease_is_never_forgotten(connection: Connection) -> None:
    renew(connection)

    assert leases.forget_dead(connection, 8.0) == 0


def test_a_worker_sees_the_jobs_that_run_under_its_name(connection: Connection) -> None:
    mine, token = claimed(connection, kind="web.fetch")
    claim(connection, enqueue(connection), worker=UUID(int=8))
    transitions.cancel(connection, mine, "somebody")

    (held,) = leases.held_by(connection, WORKER)

    assert (held.id, held.token, held.kind, held.cancel_requested) == (mine, token, "web.fetch", True)


def test_a_worker_learns_which_of_its_jobs_should_stop(connection: Connection) -> None:
    fine, cancelled, taken, over = (claimed(connection) for _ in range(4))
    transitions.cancel(connection, cancelled[0], "somebody")
    transitions.lose(connection, *taken, "died", 3)
    claim(connection, taken[0])
    transitions.lose(connection, *over, "died", 3)
    gone = (uuid4(), uuid4())

    unwanted = leases.unwanted(connection, [fine, cancelled, taken, over, gone])

    assert unwanted == {cancelled[1], taken[1], over[1], gone[1]}


def test_a_worker_without_jobs_asks_for_nothing(connection: Connection) -> None:
    assert leases.unwanted(connection, []) == set()
