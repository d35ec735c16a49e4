"""What Flower is told of a bundle: of each job what Celery says of the message."""

from typing import Any, cast
from uuid import UUID, uuid4

import kombu
import pytest
from celery import Celery
from celery.utils.saferepr import saferepr

from tests.unit.schedules.test_bundling import message
from tests.unit.worker.runtime.samples import ask
from worker.contract.states import State
from worker.ledger.records import Bundle, JobFailure, Outcome
from worker.message import BUNDLE, headers
from worker.runtime import task as tasks
from worker.runtime.request import BundleRequest, endings, summary

JOBS = [message(description=f"number {number}", kind=ask.name) for number in range(5)]
IDS = [job.job_id for job in JOBS]


def outcome(job_id: UUID, state: State, error: str = "") -> Outcome:
    failure = JobFailure(type=error, message="the client's alone") if error else None
    return Outcome(job_id=job_id, token=uuid4(), worker="worker", state=state, error=failure)


OUTCOMES = {
    IDS[0]: outcome(IDS[0], State.SUCCEEDED),
    IDS[1]: outcome(IDS[1], State.RETRYING, "Retryable"),
    IDS[2]: outcome(IDS[2], State.FAILED, "no, 'name'"),
    IDS[4]: outcome(IDS[4], State.CANCELLED, "Cancelled"),
}


class Listener:
    """Of Celery's dispatchers of events: writes down what it is to send."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, event: str, **fields: Any) -> None:
        self.sent.append((event, fields))


def request_of(listener: Listener) -> BundleRequest:
    app = Celery("tests", broker="memory://", set_as_current=False)
    tasks.register(app, {ask.name: ask}, lambda: cast("Any", None))
    written = headers(Bundle(id=uuid4(), messages=tuple(JOBS)))
    received: Any = kombu.Message(headers=written, body="[[], {}, {}]", content_type="application/json")
    return BundleRequest(
        received,
        app=app,
        task=app.tasks[BUNDLE],
        eventer=listener,
        headers=written,
        body=[[], {}, {}],
        decoded=True,
    )


@pytest.fixture
def listener() -> Listener:
    return Listener(enabled=True)


def test_every_job_is_received_under_its_own_id_and_kind(listener: Listener) -> None:
    request_of(listener).announce()
    assert [event for event, _ in listener.sent] == ["task-received"] * 5
    assert [fields["uuid"] for _, fields in listener.sent] == list(map(str, IDS))
    assert {fields["name"] for _, fields in listener.sent} == {ask.name}
    assert listener.sent[3][1]["args"] == "number 3"


def test_every_job_is_started(listener: Listener) -> None:
    request_of(listener).send_event("task-started")
    assert listener.sent == [("task-started", {"uuid": str(job_id)}) for job_id in IDS]


def test_every_job_ends_as_the_ledger_recorded_it(listener: Listener) -> None:
    result = saferepr(summary(IDS, OUTCOMES), 10_000)
    request_of(listener).send_event("task-succeeded", result=result, runtime=5.0)
    assert [(event, fields["uuid"]) for event, fields in listener.sent] == [
        ("task-succeeded", str(IDS[0])),
        ("task-retried", str(IDS[1])),
        ("task-failed", str(IDS[2])),
        ("task-revoked", str(IDS[4])),
    ]
    assert listener.sent[0][1]["runtime"] == 1.0
    assert listener.sent[1][1]["exception"] == "JobFailed('Retryable')"
    assert listener.sent[2][1]["exception"] == "JobFailed('')"


@pytest.mark.parametrize("event", ["task-failed", "task-revoked", "task-rejected"])
def test_of_a_bundle_that_did_not_come_to_its_end_nothing_is_said(listener: Listener, event: str) -> None:
    request_of(listener).send_event(event, exception="WorkerLostError()")
    assert listener.sent == []


def test_nobody_is_told_where_nobody_listens() -> None:
    deaf = Listener(enabled=False)
    request_of(deaf).announce()
    request_of(deaf).send_event("task-started")
    request_of(deaf).send_event("task-succeeded", result=summary(IDS, OUTCOMES), runtime=1.0)
    assert deaf.sent == []


def test_a_summary_says_state_and_type_of_error_of_each_job() -> None:
    assert list(endings(saferepr(summary(IDS, OUTCOMES), 10_000))) == [
        ("succeeded", ""),
        ("retrying", "Retryable"),
        ("failed", ""),
        ("", ""),
        ("cancelled", "Cancelled"),
    ]


def test_a_summary_of_many_is_not_cut() -> None:
    ids = [uuid4() for _ in range(100)]
    outcomes = {job_id: outcome(job_id, State.RETRYING, "A" * 100) for job_id in ids}
    shown = saferepr(summary(ids, outcomes), tasks.BundleTask.resultrepr_maxsize)
    assert len(list(endings(shown))) == 100
