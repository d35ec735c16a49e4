"""What a beat has to do, in one look."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import IN_STATE, WORKER, change, claimed, enqueue
from worker.contract.states import FINAL, State
from worker.ledger import agenda, leases

PAST = "now() - interval '1 second'"


def look(connection: Connection) -> set[str]:
    seen = agenda.read(connection)
    return {name for name in ("due", "expiring", "publishable", "published") if getattr(seen, name)}


def due(connection: Connection, state: State) -> None:
    change(connection, IN_STATE[state](connection), due_at=PAST)


def expired(connection: Connection, state: State) -> None:
    change(connection, IN_STATE[state](connection), expires_at=PAST)


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        (lambda _: None, set()),
        (IN_STATE[State.SCHEDULED], set()),
        (lambda connection: due(connection, State.SCHEDULED), {"due"}),
        (lambda connection: due(connection, State.RETRYING), {"due"}),
        (lambda connection: expired(connection, State.SCHEDULED), {"expiring"}),
        (lambda connection: expired(connection, State.QUEUED), {"expiring", "publishable"}),
        (enqueue, {"publishable"}),
        (lambda connection: enqueue(connection, published=True), {"published"}),
        (claimed, set()),
    ],
)
def test_it_says_what_there_is_to_do(
    connection: Connection, given: Callable[[Connection], object], todo: set[str]
) -> None:
    given(connection)

    assert look(connection) == todo


@pytest.mark.parametrize("state", sorted(FINAL))
def test_history_is_nothing_to_do(connection: Connection, state: State) -> None:
    job_id = IN_STATE[state](connection)
    change(connection, job_id, due_at=PAST, expires_at=PAST)

    assert look(connection) == set()


def test_it_tells_the_oldest_heartbeat(connection: Connection) -> None:
    assert agenda.read(connection).oldest_heartbeat is None

    leases.renew(connection, WORKER, name="w", host="h", pid=1, queues=[])

    seen = agenda.read(connection)
    assert seen.oldest_heartbeat == seen.moment
