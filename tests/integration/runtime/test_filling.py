"""Payloads are filled in with what other jobs have made."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.integration.ledger.situations import CLIENT, claimed, enqueue, finish
from worker.contract.errors import Fatal, Retryable
from worker.contract.states import State
from worker.ledger import retention
from worker.ledger.artifacts import record_artifacts
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import Artifact, ClaimedJob
from worker.runtime import filling
from worker.runtime.filling import filled
from worker.settings import Settings

FILE = UUID(int=77)


@pytest.fixture(scope="module")
def ledger(database_url: str) -> Any:
    ledger = Ledger.open(Settings(database_url=database_url), "tests")
    yield ledger
    ledger.close()


@pytest.fixture
def made(ledger: Ledger) -> UUID:
    """A job that succeeded, with a result and an artifact."""
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM artifacts"))
        job_id, token = claimed(connection)
        finish(connection, job_id, token, State.SUCCEEDED, result=b'{"rows": [1, {"n": "two"}]}')
        file = Artifact(
            id=FILE, client_id=CLIENT, job_id=job_id, name="body", content_type="a/b", size=1, sha256="0"
        )
        record_artifacts(connection, [file])
    return job_id


def job(payload: object, client: UUID = CLIENT) -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        token=new_id(),
        client_id=client,
        kind="test.kind",
        queue="web",
        payload=json.dumps(payload),
        attempt=1,
        max_attempts=1,
        spent=1,
        request_id=None,
        refers=True,
    )


def test_results_and_artifacts_take_their_places(ledger: Ledger, made: UUID) -> None:
    payload = {
        "all": {"$from": str(made), "result": ""},
        "part": [{"$from": str(made), "result": "/rows/1/n"}],
        "file": {"$from": str(made), "artifact": "body"},
        "own": 5,
    }
    assert json.loads(filled(job(payload), ledger)) == {
        "all": {"rows": [1, {"n": "two"}]},
        "part": ["two"],
        "file": str(FILE),
        "own": 5,
    }


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"result": "/rows/2"}, "has no /rows/2"),
        ({"artifact": "head"}, "has no artifact 'head'; it has body"),
    ],
)
def test_what_is_not_there_fails_the_job(
    ledger: Ledger, made: UUID, asked: dict[str, str], reason: str
) -> None:
    with pytest.raises(Fatal, match=reason):
        filled(job({"a": {"$from": str(made), **asked}}), ledger)


def test_nothing_is_taken_of_another_clients_job(ledger: Ledger, made: UUID) -> None:
    with pytest.raises(Fatal, match="did not succeed or was pruned"):
        filled(job({"$from": str(made), "result": ""}, client=UUID(int=6)), ledger)


def test_nothing_is_taken_of_a_job_that_has_not_succeeded(ledger: Ledger) -> None:
    with ledger.write() as connection:
        waiting = enqueue(connection)
    with pytest.raises(Fatal, match="did not succeed"):
        filled(job({"$from": str(waiting), "result": ""}), ledger)


def test_nothing_is_taken_of_a_job_that_was_cleared(ledger: Ledger, made: UUID) -> None:
    with ledger.write() as connection:
        retention.clear_jobs(connection, [made])
    with pytest.raises(Fatal, match="was pruned"):
        filled(job({"$from": str(made), "result": ""}), ledger)


def test_what_is_too_large_fails_the_job(ledger: Ledger, made: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "LARGEST", 10)
    with pytest.raises(Fatal, match="at most 10"):
        filled(job({"$from": str(made), "result": ""}), ledger)


def test_without_the_ledger_the_job_is_tried_again() -> None:
    away = Ledger.open(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"), "tests")
    with pytest.raises(Retryable, match="could not be read"):
        filled(job({"$from": str(new_id()), "result": ""}), away)
    away.close()
