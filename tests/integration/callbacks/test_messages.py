"""What a client is told, without anybody to tell it."""

from typing import Any
from uuid import UUID

import jsonschema
import msgspec
import pytest
from sqlalchemy import delete

from api import openapi
from api.callbacks import ToldJob
from api.representations import Batch, BatchFacts, Job
from tests.integration.callbacks.conftest import End
from worker import catalog
from worker.adapters.callbacks import LARGEST_RESULT, SignedCallbacks
from worker.contract import Fatal, Retryable
from worker.contract.ports import CallbackMessage
from worker.contract.states import FINAL, State
from worker.ledger import accounts, batches, clients, jobs, transitions
from worker.ledger.batches import NewBatch
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import JobFailure
from worker.ledger.tables import clients as clients_table
from worker.settings import Settings

URL = "https://example.org/hook"


@pytest.fixture(scope="module")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(database_url=database_url, home=str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def callbacks(ledger: Ledger) -> SignedCallbacks:
    return SignedCallbacks(ledger, plain_http=False)


def told(callbacks: SignedCallbacks, job_id: UUID) -> dict[str, object]:
    body: dict[str, object] = msgspec.json.decode(callbacks.of_job(job_id, "m").body)["data"]
    return body


def test_a_job_is_told_as_the_api_shows_it(
    ledger: Ledger, client: Client, callbacks: SignedCallbacks, end: End
) -> None:
    job_id = end(callback=URL, result=b'{"n": 1}', tags=["a"])
    with ledger.read() as connection:
        account = accounts.account(connection, job_id, client.id)
    assert account
    shown = msgspec.to_builtins(Job.of_account(account))
    said = told(callbacks, job_id)
    assert said.pop("links") == {"self": shown["links"]["self"]}
    assert said.pop("omitted") == []
    assert said == {name: shown[name] for name in said}
    assert set(shown) - set(said) == {
        "links",
        "payload",
        "after",
        "due_at",
        "callback",
        "client",
        "progress",
        "history",
        "history_omitted",
        "artifacts",
    }


def test_a_batch_is_told_as_the_api_shows_it(
    ledger: Ledger, client: Client, callbacks: SignedCallbacks, end: End
) -> None:
    batch = NewBatch(id=new_id(), client_id=client.id, size=2, callback=URL, tags=["nightly"])
    with ledger.write() as connection:
        batches.add(connection, batch)
    jobs = [end(state, batch_id=batch.id, callback=URL) for state in (State.SUCCEEDED, State.FAILED)]
    with ledger.write() as connection:
        batches.finish(connection, [batch.id])
        row = batches.find(connection, batch.id)
        assert row
        shown = msgspec.to_builtins(Batch.of_row(row, batches.counts(connection, batch.id)))
    said = msgspec.json.decode(callbacks.of_batch(batch.id, "m").body)["data"]
    assert said == {name: shown[name] for name in BatchFacts.__struct_fields__}
    assert (said["done"], said["counts"]) == (True, {"failed": 1, "succeeded": 1})
    assert told(callbacks, jobs[0])["links"] == {
        "self": f"/v1/jobs/{jobs[0]}",
        "batch": f"/v1/batches/{batch.id}",
    }


@pytest.mark.parametrize("state", sorted(FINAL))
def test_what_a_client_is_told_of_a_job_is_as_described(
    callbacks: SignedCallbacks, end: End, state: State
) -> None:
    failure = {"error": JobFailure(type="Broken", message="it broke")} if state is State.FAILED else {}
    message = callbacks.of_job(end(state, callback=URL, tags=["a"], **failure), "m")
    told = _as_described(message, f"job.{state}")
    assert set(told) == set(ToldJob.__struct_fields__)


def test_what_a_client_is_told_of_a_batch_is_as_described(
    ledger: Ledger, client: Client, callbacks: SignedCallbacks, end: End
) -> None:
    batch = NewBatch(id=new_id(), client_id=client.id, size=1, callback=URL)
    with ledger.write() as connection:
        batches.add(connection, batch)
    end(batch_id=batch.id)
    with ledger.write() as connection:
        batches.finish(connection, [batch.id])
    told = _as_described(callbacks.of_batch(batch.id, "m"), "batch.finished")
    assert set(told) == set(BatchFacts.__struct_fields__)


def _as_described(message: CallbackMessage, event: str) -> dict[str, object]:
    """The data of a message that fits what the OpenAPI document says of its event."""
    document = msgspec.to_builtins(openapi.document(catalog.of_clients(catalog.load()), {}))
    described = document["webhooks"][event]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    body: dict[str, Any] = msgspec.json.decode(message.body)
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)
    assert body["type"] == event
    headers = {header["name"] for header in described["parameters"]}
    assert headers == message.headers.keys() - {"content-type"}
    data: dict[str, object] = body["data"]
    return data


def test_a_large_result_is_left_to_be_read(callbacks: SignedCallbacks, end: End) -> None:
    text = "x" * (LARGEST_RESULT - 2)
    small = told(callbacks, end(callback=URL, result=msgspec.json.encode(text)))
    large = told(callbacks, end(callback=URL, result=msgspec.json.encode(text + "x")))
    assert (small["result"], small["omitted"]) == (text, [])
    assert (large["result"], large["omitted"]) == (None, ["result"])


def test_http_is_for_those_who_allow_it(ledger: Ledger, callbacks: SignedCallbacks, end: End) -> None:
    job_id = end(callback="http://example.org/")
    with pytest.raises(Fatal, match="JOBYARD_CALLBACK_HTTP"):
        callbacks.of_job(job_id, "m")
    assert SignedCallbacks(ledger, plain_http=True).of_job(job_id, "m").url == "http://example.org/"


def test_the_setting_is_read_from_the_environment() -> None:
    for text, meant in (("1", True), ("true", True), ("0", False), ("", False)):
        assert Settings.from_environment({"JOBYARD_CALLBACK_HTTP": text}).callback_http is meant
    allowed = Settings(callback_http=True)
    assert Settings.from_environment(allowed.environment()).callback_http


def test_there_must_be_something_to_tell(ledger: Ledger, callbacks: SignedCallbacks, end: End) -> None:
    with pytest.raises(Fatal, match="pruned"):
        callbacks.of_job(new_id(), "m")
    with pytest.raises(Fatal, match="pruned"):
        callbacks.of_batch(new_id(), "m")
    job_id = end(State.FAILED, callback=URL)
    with ledger.write() as connection:
        transitions.run_again(connection, job_id, "client acme")
    with pytest.raises(Fatal, match="run again"):
        callbacks.of_job(job_id, "m")


def test_a_callback_tells_of_no_later_end(
    ledger: Ledger, client: Client, callbacks: SignedCallbacks, end: End
) -> None:
    job_id = end(State.FAILED, callback=URL, client_id=client.id)
    with ledger.write() as connection:
        first = jobs.find(connection, job_id)
        assert first
        assert callbacks.of_job(job_id, "m", first["finished_at"]).body
        transitions.run_again(connection, job_id, "client acme")
    with ledger.write() as connection:
        transitions.cancel(connection, job_id, "client acme")
        second = jobs.find(connection, job_id)
    assert second
    with pytest.raises(Fatal, match="its next end has a callback of its own"):
        callbacks.of_job(job_id, "m", first["finished_at"])
    assert callbacks.of_job(job_id, "m", second["finished_at"]).body
    assert callbacks.of_job(job_id, "m").body  # as an older beat submitted it


def test_a_client_that_was_removed_is_told_nothing(
    ledger: Ledger, callbacks: SignedCallbacks, end: End
) -> None:
    with ledger.write() as connection:
        gone = clients.ensure_client(connection, "gone")
    job_id = end(callback=URL, client_id=gone.id)
    with ledger.write() as connection:
        connection.execute(delete(clients_table).where(clients_table.c.id == gone.id))
    with pytest.raises(Fatal, match="nobody to tell"):
        callbacks.of_job(job_id, "m")


def test_a_ledger_that_is_away_is_worth_another_try() -> None:
    nowhere = Ledger.open(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"), "test")
    with pytest.raises(Retryable, match="the ledger: OperationalError"):
        SignedCallbacks(nowhere, plain_http=False).of_job(new_id(), "m")
    nowhere.close()
