"""What clients and operators read."""

from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.integration.ledger.situations import CLIENT, IN_STATE, claimed, enqueue, finish, row
from worker.contract.states import Priority, State
from worker.ledger import artifacts, idempotency, jobs, transitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.jobs import JobFilter
from worker.ledger.records import Artifact
from worker.settings import Settings

EVERY = JobFilter(client_id=CLIENT)
STRANGER = UUID(int=66)


def artifact(name: str, **fields: object) -> Artifact:
    given: dict[str, object] = {
        "id": new_id(),
        "client_id": CLIENT,
        "job_id": UUID(int=1),
        "name": name,
        "content_type": "text/plain",
        "size": 3,
        "sha256": "00",
    }
    return Artifact(**given | fields)  # type: ignore[arg-type]


def test_a_job_is_its_clients_and_nobody_elses(connection: Connection) -> None:
    job_id = enqueue(connection)

    assert jobs.find(connection, job_id) is not None
    assert jobs.find(connection, job_id, CLIENT) is not None
    assert jobs.find(connection, job_id, STRANGER) is None
    assert jobs.find(connection, new_id()) is None


def test_a_job_comes_back_as_it_was_accepted(connection: Connection) -> None:
    job_id = enqueue(
        connection, payload=b'{"b":1,"a":"\\u0000"}', tags=["x"], priority=Priority.HIGH, request_id="r"
    )

    stored = row(connection, job_id)

    assert stored["payload"] == {"b": 1, "a": "\0"}
    assert (stored["tags"], stored["priority"], stored["request_id"]) == (["x"], Priority.HIGH.rank, "r")
    assert (stored["state"], stored["attempt"], stored["max_attempts"]) == ("queued", 0, 3)


def test_a_list_shows_the_newest_first_page_by_page(connection: Connection) -> None:
    ids = [enqueue(connection) for _ in range(5)]

    first = [job.id for job in jobs.page(connection, EVERY, 3).rows]
    second = [job.id for job in jobs.page(connection, EVERY, 3, before=first[-1]).rows]

    assert first + second == ids[::-1]


def test_a_list_shows_what_was_asked_for(connection: Connection) -> None:
    wanted = enqueue(connection, kind="a.b", queue="email", tags=["x", "y"])
    enqueue(connection)
    enqueue(connection, client_id=STRANGER, kind="a.b", queue="email", tags=["x"])
    IN_STATE[State.FAILED](connection)

    def listed(**wish: object) -> list[UUID]:
        return [job.id for job in jobs.page(connection, JobFilter(client_id=CLIENT, **wish), 10).rows]  # type: ignore[arg-type]

    assert listed(kind="a.b") == listed(queue="email") == listed(tag="y") == [wanted]
    assert len(listed(states=frozenset({State.FAILED}))) == 1
    assert listed(tag="z") == []


def test_those_who_wait_learn_what_has_ended(connection: Connection) -> None:
    made = {state: bring(connection) for state, bring in IN_STATE.items()}

    ended = jobs.ended_among(connection, [*made.values(), new_id()])

    assert ended == {made[State.SUCCEEDED], made[State.FAILED], made[State.CANCELLED]}


def test_the_history_says_who_interfered(connection: Connection) -> None:
    job_id = enqueue(connection)
    transitions.cancel(connection, job_id, "client acme", CLIENT)
    transitions.run_again(connection, job_id, "operator")

    acts = {(act["act"], act["actor"]) for act in jobs.acts_on(connection, job_id)}

    assert acts == {("cancel", "client acme"), ("retry", "operator")}


def test_of_two_artifacts_with_one_name_the_later_stands(connection: Connection) -> None:
    first, later = artifact("body"), artifact("body", size=9)

    artifacts.record_artifacts(connection, [first])
    artifacts.record_artifacts(connection, [later])

    assert [found["id"] for found in jobs.artifacts_of(connection, UUID(int=1))] == [later.id]
    assert artifacts.find_of_job(connection, UUID(int=1), "body", CLIENT) == later
    assert artifacts.find_artifact(connection, first.id, CLIENT) is None


def test_an_artifact_is_its_clients_and_nobody_elses(connection: Connection) -> None:
    mine = artifact("body")
    artifacts.record_artifacts(connection, [mine])

    assert artifacts.find_artifact(connection, mine.id, CLIENT) == mine
    assert artifacts.find_artifact(connection, mine.id, STRANGER) is None
    assert artifacts.find_of_job(connection, UUID(int=1), "body", STRANGER) is None


def test_a_clients_own_files_may_share_a_name(connection: Connection) -> None:
    uploads = [artifact("a.csv", job_id=None), artifact("a.csv", job_id=None)]

    artifacts.record_artifacts(connection, uploads)

    assert all(artifacts.find_artifact(connection, upload.id, CLIENT) == upload for upload in uploads)


def test_a_key_stands_for_the_first_request_of_its_client(connection: Connection) -> None:
    def remember(client: UUID, fingerprint: bytes, job: int) -> idempotency.Earlier | None:
        return idempotency.remember(connection, client, "k", fingerprint, UUID(int=job))

    assert remember(CLIENT, b"one", 1) is None
    assert remember(CLIENT, b"two", 2) == idempotency.Earlier(b"one", UUID(int=1))
    assert remember(STRANGER, b"two", 3) is None


def test_a_finished_job_shows_its_result(connection: Connection) -> None:
    job_id, token = claimed(connection)
    transitions.report_progress(connection, job_id, token, b'{"done": 1}')

    finish(connection, job_id, token, State.SUCCEEDED, result=b'{"rows": 2}')

    stored = row(connection, job_id)
    assert (stored["result"], stored["progress"]) == ({"rows": 2}, {"done": 1})
    assert stored["finished_at"] >= stored["started_at"]


@pytest.mark.parametrize(
    "last", ["SELECT 1", "SELECT 1 / 0", "SELECT pg_terminate_backend(pg_backend_pid())"]
)
def test_what_is_said_at_once_begins_no_transaction_and_the_next_begins_one(
    database_url: str, last: str
) -> None:
    settings = Settings(database_url=database_url, database_pool_size=1, database_pool_overflow=0)
    ledger = Ledger.open(settings, "tests")
    when = text("SELECT now()")  # when the transaction began
    with suppress(DBAPIError), ledger.write_at_once() as connection:
        assert connection.execute(when).scalar_one() < connection.execute(when).scalar_one()
        connection.execute(text(last))
    with ledger.write() as connection:
        assert connection.execute(when).scalar_one() == connection.execute(when).scalar_one()
    ledger.close()
