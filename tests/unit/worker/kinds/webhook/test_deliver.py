"""`webhook.deliver`: what an answer means."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Fatal, Retryable
from worker.contract.ports import CallbackMessage, Fetched, FetchRequest, Unfetchable
from worker.kinds.webhook.deliver import BACKOFF, MAX_ATTEMPTS, Deliver, Delivered, deliver

JOB = UUID("0190a7c0-0000-7000-8000-000000000001")
BATCH = UUID("0190a7c0-0000-7000-8000-000000000002")


class FakeCallbacks:
    """Says what it was asked for."""

    def of_job(self, job_id: UUID, message_id: str, finished_at: datetime | None = None) -> CallbackMessage:
        body = f"j{job_id} {finished_at}".encode()
        return CallbackMessage(url="https://a/", headers={"webhook-id": message_id}, body=body)

    def of_batch(self, batch_id: UUID, message_id: str) -> CallbackMessage:
        return CallbackMessage(
            url="https://a/", headers={"webhook-id": message_id}, body=f"b{batch_id}".encode()
        )


class FakeReceiver:
    """Answers with a status, and has a body that nobody reads."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        self._answer = status, retry_after
        self.requests: list[FetchRequest] = []

    @contextmanager
    def fetch(self, request: FetchRequest, _check: Callable[[], None]) -> Iterator[Fetched]:
        self.requests.append(request)
        status, after = self._answer
        yield Fetched(
            status=status, headers={}, url=request.url, redirects=0, retry_after=after, body=iter([b"x" * 9])
        )


def attempt(receiver: FakeReceiver, number: int = 1) -> Delivered:
    return deliver(Deliver(job=JOB), FakeContext(attempt=number), FakeCallbacks(), receiver)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert attempt(FakeReceiver(status)) == Delivered(status=status)


@pytest.mark.parametrize("status", [301, 308, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again_after_a_wait_of_the_kinds(status: int) -> None:
    with pytest.raises(Retryable, match=f"the receiver answered {status}") as failure:
        attempt(FakeReceiver(status))
    assert failure.value.after is None


class Broken:
    """A receiver that no answer comes from."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @contextmanager
    def fetch(self, _request: FetchRequest, _check: Callable[[], None]) -> Iterator[Fetched]:
        raise self._error
        yield


def test_a_certificate_that_is_not_valid_is_tried_again() -> None:
    receiver = Broken(Fatal("the certificate of a is not valid: certificate has expired"))
    with pytest.raises(Retryable, match="certificate has expired"):
        deliver(Deliver(job=JOB), FakeContext(), FakeCallbacks(), receiver)


def test_a_url_that_may_not_be_reached_is_final() -> None:
    receiver = Broken(Unfetchable("a is not on the public network"))
    with pytest.raises(Unfetchable):
        deliver(Deliver(job=JOB), FakeContext(), FakeCallbacks(), receiver)


def test_410_is_final() -> None:
    with pytest.raises(Fatal, match="410"):
        attempt(FakeReceiver(410))


@pytest.mark.parametrize(
    ("asked", "number", "least", "most"),
    [(600, 1, 600, 600), (0, 1, 4, 5), (1, 9, 5760, 7200), (600, 2, 600, 600)],
)
def test_a_retry_after_makes_a_wait_longer_and_never_shorter(
    asked: float, number: int, least: float, most: float
) -> None:
    with pytest.raises(Retryable) as failure:
        attempt(FakeReceiver(503, asked), number)
    assert failure.value.after is not None
    assert least <= failure.value.after <= most


def test_the_tries_last_about_a_day() -> None:
    longest = sum(BACKOFF.delay(number, Always(0.0)) for number in range(1, MAX_ATTEMPTS)) / 3600
    shortest = sum(BACKOFF.delay(number, Always(1.0)) for number in range(1, MAX_ATTEMPTS)) / 3600
    assert 22 <= shortest < 24 < longest <= 28


class Always:
    """Stands for `random.Random`."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        return self._number


def test_it_posts_once_and_follows_no_redirect() -> None:
    receiver = FakeReceiver(200)
    deliver(Deliver(batch=BATCH), FakeContext(left=3.0), FakeCallbacks(), receiver)
    (request,) = receiver.requests
    assert (request.method, request.body) == ("POST", f"b{BATCH}".encode())
    assert (request.max_redirects, request.timeout) == (0, 3.0)
    assert request.headers["webhook-id"] == FakeContext().job_id


def test_the_first_try_waits_for_a_silent_receiver_less_long() -> None:
    receiver = FakeReceiver(200)
    for number in (1, 2, 3):
        attempt(receiver, number)
    assert [request.timeout for request in receiver.requests] == [5.0, 20.0, 20.0]


def test_it_tells_of_the_end_that_it_was_submitted_for() -> None:
    receiver, moment = FakeReceiver(200), datetime(2026, 11, 22, tzinfo=UTC)
    deliver(Deliver(job=JOB, finished_at=moment), FakeContext(), FakeCallbacks(), receiver)
    assert receiver.requests[0].body == f"j{JOB} {moment}".encode()


@pytest.mark.parametrize("payload", ["{}", f'{{"job": "{JOB}", "batch": "{BATCH}"}}'])
def test_it_tells_of_a_job_or_of_a_batch(payload: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="give a job or a batch"):
        msgspec.json.decode(payload, type=Deliver)


def test_its_description_names_what_ended() -> None:
    assert Deliver(job=JOB).describe() == f"job {JOB}"
    assert Deliver(batch=BATCH).describe() == f"batch {BATCH}"


def test_to_clients_there_is_no_such_kind() -> None:
    assert deliver.internal
