"""Of a client's jobs with the same unique key one stands at a time."""

from threading import Thread
from uuid import UUID

import pytest
from sqlalchemy import Connection

from tests.integration.ledger.situations import CLIENT, IN_STATE, enqueue
from worker.contract.states import LIVE, State
from worker.ledger import transitions, unique_keys
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import UniqueKey

STATES = tuple(sorted(LIVE))
KEY = UniqueKey(key="key", states=STATES)


def hold(
    connection: Connection,
    job_id: UUID,
    client: UUID = CLIENT,
    states: tuple[State, ...] = STATES,
    seconds: float | None = None,
) -> UUID | None:
    wish = UniqueKey(key="key", states=states, window=seconds)
    return unique_keys.hold(connection, client, {job_id: wish}).get(job_id)


def test_the_first_job_holds_its_key(connection: Connection) -> None:
    assert hold(connection, enqueue(connection)) is None


def test_a_second_job_is_told_of_the_first(connection: Connection) -> None:
    first = enqueue(connection)
    hold(connection, first)
    assert hold(connection, new_id()) == first


def test_clients_have_keys_of_their_own(connection: Connection) -> None:
    hold(connection, enqueue(connection))
    assert hold(connection, new_id(), client=UUID(int=6)) is None


@pytest.mark.parametrize("held_in", list(State))
def test_a_key_is_held_in_the_states_that_were_named(connection: Connection, held_in: State) -> None:
    first = IN_STATE[held_in](connection)
    hold(connection, first, states=(held_in,))
    assert hold(connection, new_id()) == first


@pytest.mark.parametrize("left_for", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_a_key_is_free_when_its_job_has_left_those_states(connection: Connection, left_for: State) -> None:
    hold(connection, IN_STATE[left_for](connection))
    second = enqueue(connection)
    assert hold(connection, second) is None
    assert hold(connection, new_id()) == second


def test_a_key_is_free_after_its_window(connection: Connection) -> None:
    hold(connection, enqueue(connection), seconds=0.0)
    assert hold(connection, new_id(), seconds=3600.0) is None


def test_a_key_is_held_for_its_window(connection: Connection) -> None:
    first = enqueue(connection)
    hold(connection, first, seconds=3600.0)
    assert hold(connection, new_id()) == first


def test_the_key_of_a_pruned_job_is_free(connection: Connection) -> None:
    hold(connection, new_id())
    assert hold(connection, enqueue(connection)) is None


def test_a_job_holds_its_own_key_again(connection: Connection) -> None:
    job_id = enqueue(connection)
    hold(connection, job_id)
    transitions.cancel(connection, job_id, "client")
    transitions.run_again(connection, job_id, "client")
    assert hold(connection, job_id) is None


def test_of_two_submissions_at_once_the_second_learns_of_the_first(ledger: Ledger) -> None:
    answers: list[UUID | None] = []
    race = UniqueKey(key="race", states=STATES)
    with ledger.write() as connection:
        first = enqueue(connection)
        assert unique_keys.hold(connection, CLIENT, {first: race}) == {}

        def second() -> None:
            with ledger.write() as other:
                job_id = enqueue(other)
                answers.append(unique_keys.hold(other, CLIENT, {job_id: race}).get(job_id))

        thread = Thread(target=second)
        thread.start()
        thread.join(0.3)
        assert not answers  # it waits for the first one's transaction
    thread.join()
    assert answers == [first]


def test_of_two_jobs_with_one_key_that_are_run_again_at_once_one_is(ledger: Ledger) -> None:
    with ledger.write() as connection:
        first, second = (enqueue(connection, unique_key=KEY) for _ in range(2))
        for job_id in (first, second):
            transitions.cancel(connection, job_id, "client")
            hold(connection, job_id)

    answers: list[State | None] = []
    with ledger.write() as connection:
        assert transitions.run_again(connection, first, "client") is State.QUEUED

        def run_second() -> None:
            with ledger.write() as other:
                answers.append(transitions.run_again(other, second, "client"))

        thread = Thread(target=run_second)
        thread.start()
        thread.join(0.3)
        assert not answers  # it waits for the first one's transaction
    thread.join()
    assert answers == [None]
