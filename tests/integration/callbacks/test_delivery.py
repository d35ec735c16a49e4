"""A client is told of the end of its job, as the reference library of Standard Webhooks wants it."""

import base64
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

from ops.embedded.ports import free_ports
from tests.awaiting import eventually
from tests.integration.callbacks.conftest import End
from tests.integration.web_fetch.servers import Request, WebServer, certificates, page, web_server
from worker.contract.states import FINAL, State
from worker.ledger import batches, jobs, transitions, webhook_secrets
from worker.ledger.batches import NewBatch
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import JobFailure

pytestmark = pytest.mark.usefixtures("roles")

PATIENCE = 60.0  # seconds: the roles may still be starting


@pytest.fixture
def secret(ledger: Ledger, client: Client) -> str:
    """As `jobyard webhooks secret show` prints it."""
    with ledger.write() as connection:
        return whsec(webhook_secrets.live(connection, client.id)[0])


def whsec(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@pytest.fixture
def hurry(ledger: Ledger) -> Callable[[], bool]:
    """Let what waits for its next attempt be due now."""

    def now() -> bool:
        with ledger.write() as connection:
            connection.execute(text("UPDATE jobs SET due_at = now() WHERE state = 'retrying'"))
        return True

    return now


def verified(request: Request, secret: str) -> Any:
    """What a receiver reads, or an error of the reference library."""
    return Webhook(secret).verify(request.body, dict(request.headers))


def delivery(ledger: Ledger, about: UUID) -> dict[str, Any]:
    """The job that tells of another one or of a batch."""
    wanted = text("SELECT id FROM jobs WHERE kind = 'webhook.deliver' AND CAST(payload AS text) LIKE :about")
    with ledger.write() as connection:
        found = connection.execute(wanted, {"about": f"%{about}%"}).scalars().all()
        (job,) = (jobs.find(connection, job_id) for job_id in found)
    assert job is not None
    return dict(job)


def ended(ledger: Ledger, about: UUID) -> dict[str, Any]:
    """The same, once it has ended."""
    eventually(lambda: delivery_state(ledger, about) in FINAL, PATIENCE)
    return delivery(ledger, about)


def delivery_state(ledger: Ledger, about: UUID) -> str | None:
    try:
        state: str = delivery(ledger, about)["state"]
    except ValueError:  # there is none yet
        return None
    return state


def state_of(ledger: Ledger, job_id: UUID) -> str:
    with ledger.write() as connection:
        job = jobs.find(connection, job_id)
    assert job
    state: str = job["state"]
    return state


@pytest.fixture
def receiver(tls: ssl.SSLContext) -> Iterator[tuple[WebServer, list[bytes]]]:
    """A client's server, and the answers that it gives first; afterwards it says 204."""
    answers: list[bytes] = []
    with web_server(lambda _: answers.pop(0) if answers else page(204), tls=tls) as server:
        yield server, answers


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        (State.SUCCEEDED, {"result": b'{"pages": 7}'}),
        (State.FAILED, {"error": JobFailure(type="Broken", message="it broke")}),
        (State.CANCELLED, {}),
    ],
)
def test_a_client_is_told_how_its_job_ended(  # noqa: PLR0917 - fixtures
    ledger: Ledger,
    end: End,
    receiver: tuple[WebServer, list[bytes]],
    secret: str,
    state: State,
    fields: dict[str, Any],
) -> None:
    server, _ = receiver
    job_id = end(state, callback=f"{server.url}/hooks?token=s3cr3t", tags=["a"], **fields)
    eventually(lambda: server.requests, PATIENCE)
    (request,) = server.requests
    told = verified(request, secret)
    assert (request.method, request.target) == ("POST", "/hooks?token=s3cr3t")
    assert request.headers["content-type"] == "application/json"
    assert told["type"] == f"job.{state}"
    assert told["timestamp"] == told["data"]["finished_at"]
    assert (told["data"]["id"], told["data"]["tags"]) == (str(job_id), ["a"])
    assert told["data"]["result"] == ({"pages": 7} if state is State.SUCCEEDED else None)
    assert (told["data"]["error"] or {}).get("message") == ("it broke" if state is State.FAILED else None)
    job = ended(ledger, job_id)
    assert (job["state"], job["result"]) == ("succeeded", {"status": 204})
    assert request.headers["webhook-id"] == str(job["id"])
    assert job["description"] == f"job {job_id}"
    with pytest.raises(WebhookVerificationError):
        verified(request, whsec(b"another secret of thirty-two byte"))


def test_what_fails_is_tried_again_under_the_same_id(
    ledger: Ledger,
    end: End,
    receiver: tuple[WebServer, list[bytes]],
    secret: str,
    hurry: Callable[[], bool],
) -> None:
    server, answers = receiver
    answers += [page(500), page(302, b"", f"Location: {server.url}/elsewhere")]
    job_id = end(callback=server.url)
    eventually(lambda: hurry() and len(server.requests) == 3, PATIENCE)
    assert [verified(request, secret)["data"]["id"] for request in server.requests] == [str(job_id)] * 3
    assert {request.target for request in server.requests} == {"/"}
    job = ended(ledger, job_id)
    assert {request.headers["webhook-id"] for request in server.requests} == {str(job["id"])}
    assert (job["state"], job["attempt"]) == ("succeeded", 3)


def test_an_end_that_was_retried_is_told_no_more(
    ledger: Ledger,
    end: End,
    receiver: tuple[WebServer, list[bytes]],
    secret: str,
    hurry: Callable[[], bool],
) -> None:
    server, answers = receiver
    answers.append(page(500))
    job_id = end(State.FAILED, callback=server.url)
    eventually(lambda: delivery_state(ledger, job_id) == "retrying", PATIENCE)
    first = delivery(ledger, job_id)["id"]
    with ledger.write() as connection:
        transitions.run_again(connection, job_id, "client acme")
        transitions.cancel(connection, job_id, "client acme")
    eventually(lambda: hurry() and len(server.requests) == 2, PATIENCE)
    eventually(lambda: state_of(ledger, first) == "failed", PATIENCE)
    assert [verified(request, secret)["type"] for request in server.requests] == [
        "job.failed",
        "job.cancelled",
    ]
    assert server.requests[1].headers["webhook-id"] != str(first)


def test_a_retry_after_is_waited_for(
    ledger: Ledger, end: End, receiver: tuple[WebServer, list[bytes]]
) -> None:
    server, answers = receiver
    answers.append(page(503, b"", "Retry-After: 600"))
    job_id = end(callback=server.url)
    eventually(lambda: server.requests, PATIENCE)
    eventually(lambda: delivery_state(ledger, job_id) == "retrying", PATIENCE)
    job = delivery(ledger, job_id)
    with ledger.write() as connection:
        left = connection.execute(
            text("SELECT extract(epoch FROM due_at - now()) FROM jobs WHERE id = :id"), {"id": job["id"]}
        ).scalar_one()
        connection.execute(text("UPDATE jobs SET state = 'cancelled' WHERE id = :id"), {"id": job["id"]})
    assert 500 < left <= 600


def test_410_ends_it(ledger: Ledger, end: End, receiver: tuple[WebServer, list[bytes]]) -> None:
    server, answers = receiver
    answers.append(page(410))
    job = ended(ledger, end(callback=server.url))
    assert (job["state"], job["attempt"]) == ("failed", 1)
    assert job["error"]["message"] == "the receiver answered 410: it wants no more callbacks"


def test_both_secrets_sign_after_a_rotation(
    ledger: Ledger, end: End, client: Client, receiver: tuple[WebServer, list[bytes]], secret: str
) -> None:
    server, _ = receiver
    with ledger.write() as connection:
        new = whsec(webhook_secrets.rotate(connection, client.id, overlap=3600))
    end(callback=server.url)
    eventually(lambda: server.requests, PATIENCE)
    for known in (secret, new):
        assert verified(server.requests[0], known)["type"] == "job.succeeded"
    with ledger.write() as connection:
        newest = whsec(webhook_secrets.rotate(connection, client.id, overlap=0))
    end(callback=server.url)
    eventually(lambda: len(server.requests) == 2, PATIENCE)
    assert verified(server.requests[1], newest)
    for old in (secret, new):
        with pytest.raises(WebhookVerificationError):
            verified(server.requests[1], old)


def test_a_receiver_that_was_away_is_told_when_it_is_back(
    ledger: Ledger, end: End, tls: ssl.SSLContext, secret: str, hurry: Callable[[], bool]
) -> None:
    (port,) = free_ports(1)
    job_id = end(callback=f"https://127.0.0.1:{port}/")
    eventually(lambda: delivery_state(ledger, job_id) == "retrying", PATIENCE)
    with web_server(lambda _: page(200, b"thanks"), tls=tls, port=port) as server:
        eventually(lambda: hurry() and server.requests, PATIENCE)
        assert verified(server.requests[0], secret)["data"]["id"] == str(job_id)
    assert ended(ledger, job_id)["state"] == "succeeded"


def test_a_receiver_has_time_to_mend_its_certificate(ledger: Ledger, end: End, tmp_path: Path) -> None:
    unknown, _ = certificates(tmp_path, "IP:127.0.0.1")
    with web_server(lambda _: page(204), tls=unknown) as server:
        job_id = end(callback=server.url)
        eventually(lambda: delivery_state(ledger, job_id) in {"retrying", "failed"}, PATIENCE)
        job = delivery(ledger, job_id)
        assert (job["state"], job["attempt"]) == ("retrying", 1)
        assert "the certificate of 127.0.0.1 is not valid" in job["error"]["message"]
    with ledger.write() as connection:
        transitions.cancel(connection, job["id"], "test")


def test_a_batch_is_told_of_once(
    ledger: Ledger, end: End, client: Client, receiver: tuple[WebServer, list[bytes]], secret: str
) -> None:
    server, _ = receiver
    batch_id = new_id()
    with ledger.write() as connection:
        batch = NewBatch(id=batch_id, client_id=client.id, size=2, callback=server.url, tags=["nightly"])
        batches.add(connection, batch)
    end(batch_id=batch_id)
    end(State.FAILED, batch_id=batch_id)
    ended(ledger, batch_id)
    marker = end(callback=f"{server.url}/marker")
    ended(ledger, marker)
    request = next(request for request in server.requests if request.target == "/")
    assert [each.target for each in server.requests] == ["/", "/marker"]
    told = verified(request, secret)
    assert told["type"] == "batch.finished"
    assert (told["data"]["id"], told["data"]["size"], told["data"]["tags"]) == (str(batch_id), 2, ["nightly"])
    assert {state: count for state, count in told["data"]["counts"].items() if count} == {
        "succeeded": 1,
        "failed": 1,
    }


def test_the_inside_of_the_operators_network_and_plain_http_are_not_reached(
    ledger: Ledger, end: End, receiver: tuple[WebServer, list[bytes]]
) -> None:
    server, _ = receiver
    inside = end(callback="https://169.254.169.254/latest")
    plain = end(callback=server.url.replace("https", "http"))
    for job_id, reason in ((inside, "not on the public network"), (plain, "https URLs alone")):
        job = ended(ledger, job_id)
        assert (job["state"], job["attempt"]) == ("failed", 1)
        assert reason in job["error"]["message"]
    assert server.connections == 0


def test_no_log_knows_a_secret_or_the_path_of_a_callback(
    ledger: Ledger, end: End, receiver: tuple[WebServer, list[bytes]], folder: Path, secret: str
) -> None:
    server, answers = receiver
    answers.append(page(410))  # so that something is worth telling, too
    for _ in range(2):
        assert ended(ledger, end(callback=f"{server.url}/hooks?token=s3cr3t"))["state"] in FINAL

    def logs() -> bytes:
        kept = b"".join(path.read_bytes() for path in folder.rglob("*.jsonl"))
        return kept + (folder / "roles.log").read_bytes()

    eventually(lambda: logs().count(b"attempt_ended") >= len(server.requests), PATIENCE)
    assert len(server.requests) == 2
    assert secret.removeprefix("whsec_").encode() not in logs()
    assert b"s3cr3t" not in logs()
