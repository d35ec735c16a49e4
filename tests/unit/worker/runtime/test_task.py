"""What Celery is told of a job that ran."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from celery import Celery
from celery.exceptions import Ignore, Retry

from tests.unit.worker.runtime.samples import ask
from worker.contract.states import State
from worker.ledger.records import JobFailure, Outcome
from worker.message import BUNDLE
from worker.runtime import task as tasks
from worker.runtime.runner import Runner
from worker.runtime.task import JobFailed, JobTask


class FakeRunner:
    def __init__(self, state: State | None) -> None:
        self.state = state
        self.ran: list[UUID] = []

    def run(self, job_ids: Sequence[UUID]) -> dict[UUID, Outcome]:
        self.ran += job_ids
        return {job_id: self._outcome(job_id) for job_id in job_ids} if self.state else {}

    def _outcome(self, job_id: UUID) -> Outcome:
        assert self.state is not None
        failure = None if self.state is State.SUCCEEDED else JobFailure(type="Retryable", message="busy")
        return Outcome(
            job_id=job_id, token=uuid4(), worker="worker", state=self.state, error=failure, delay=7.0
        )


def task_of(state: State | None) -> tuple[JobTask, FakeRunner]:
    app = Celery("tests", broker="memory://", set_as_current=False)
    runner = FakeRunner(state)
    tasks.register(app, {ask.name: ask}, lambda: cast("Runner", runner))
    return cast("JobTask", app.tasks[ask.name]), runner


def call(task: JobTask, task_id: str | None) -> Any:
    task.push_request(id=task_id)
    try:
        return task("arguments of a message", are="ignored")
    finally:
        task.pop_request()


def test_a_kind_is_registered_under_its_name_with_its_description() -> None:
    task, _ = task_of(None)
    assert task.name == "sample.ask"
    assert task.__doc__ == "Answer a question."


def test_the_message_names_the_job() -> None:
    task, runner = task_of(State.SUCCEEDED)
    job_id = uuid4()
    assert call(task, str(job_id)) == "succeeded"
    assert runner.ran == [job_id]


@pytest.mark.parametrize("task_id", [None, "", "no id"])
def test_a_message_that_names_none_is_ignored(task_id: str | None) -> None:
    task, runner = task_of(State.SUCCEEDED)
    with pytest.raises(Ignore):
        call(task, task_id)
    assert runner.ran == []


def test_a_job_that_was_not_to_be_had_is_ignored() -> None:
    task, _ = task_of(None)
    with pytest.raises(Ignore):
        call(task, str(uuid4()))


def test_a_job_that_will_run_again_is_a_retry_and_no_failure() -> None:
    task, _ = task_of(State.RETRYING)
    with pytest.raises(Retry) as caught:
        call(task, str(uuid4()))
    assert caught.value.message == "Retryable"
    assert cast("float", caught.value.when) == 7.0
    assert str(caught.value.exc) == "Retryable"


def test_a_failed_job_is_a_failure_of_its_type_and_the_text_stays_with_the_client() -> None:
    task, _ = task_of(State.FAILED)
    with pytest.raises(JobFailed, match=r"^Retryable$"):
        call(task, str(uuid4()))
    assert JobFailed in task.throws  # one line in the log, no traceback


def test_a_cancelled_job_is_revoked_even_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = task_of(State.CANCELLED)
    sent: list[tuple[str, dict[str, object]]] = []

    def send_event(_self: object, event: str, **fields: object) -> None:
        sent.append((event, fields))
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(JobTask, "send_event", send_event)
    with pytest.raises(Ignore):
        call(task, str(uuid4()))
    ((event, fields),) = sent
    assert (event, fields["retry"]) == ("task-revoked", False)


def bundle_task(state: State | None) -> tuple[JobTask, FakeRunner]:
    task, runner = task_of(state)
    return cast("JobTask", task.app.tasks[BUNDLE]), runner


def call_bundle(task: JobTask, **headers: Any) -> Any:
    task.push_request(id=str(uuid4()), **headers)
    try:
        return task()
    finally:
        task.pop_request()


def test_a_bundle_runs_its_jobs_and_sums_up_what_they_ended_in() -> None:
    task, runner = bundle_task(State.RETRYING)
    ids = [uuid4() for _ in range(3)]
    said = call_bundle(task, kind=ask.name, jobs=[[str(job_id), ""] for job_id in ids])
    assert runner.ran == ids
    assert said == ",".join(["retrying:Retryable"] * 3)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"kind": ask.name, "jobs": [["no id", ""]]}, "no_job_id"),
        ({"kind": "of.tomorrow", "jobs": [[str(uuid4()), ""]]}, "unknown_kind"),
        ({"jobs": [[str(uuid4()), ""]]}, "unknown_kind"),
    ],
)
def test_a_bundle_that_is_none_or_of_an_unknown_kind_is_ignored(headers: dict[str, Any], why: str) -> None:
    task, runner = bundle_task(State.SUCCEEDED)
    with pytest.raises(Ignore):
        call_bundle(task, **headers)
    assert runner.ran == []
    assert task.unfit(headers) == why
