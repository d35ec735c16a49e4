"""Celery's commands that end jobs, as the platform understands them."""

import os
from collections.abc import Iterator
from signal import SIGTERM
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from celery.worker import state as celery_state
from celery.worker.control import Panel

from worker.runtime import remote
from worker.runtime.process import Worker


class FakeWorker:
    def __init__(self) -> None:
        self.cancelled: list[UUID] = []

    def cancel(self, job_id: UUID, actor: str) -> None:
        assert actor.startswith("operator")
        self.cancelled.append(job_id)


class Request:
    """A message that the pool accepted."""

    def __init__(self, job_id: UUID, error: Exception | None = None) -> None:
        self.id = str(job_id)
        self.signals: list[int] = []
        self._error = error

    def terminate(self, _pool: object, signal: int) -> None:
        self.signals.append(signal)
        if self._error is not None:
            raise self._error


class Consumer:
    pool = object()


class PanelState:
    consumer = Consumer()


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    before = dict(Panel.data), dict(Panel.meta)
    worker = FakeWorker()
    remote.connect(cast("Worker", worker))
    yield worker
    Panel.data.clear()
    Panel.data.update(before[0])
    Panel.meta.clear()
    Panel.meta.update(before[1])


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch) -> dict[str, Request]:
    requests: dict[str, Request] = {}
    monkeypatch.setattr(celery_state, "requests", requests)
    monkeypatch.setattr(celery_state, "active_requests", requests.values())
    return requests


def revoke(*arguments: Any, **options: Any) -> Any:
    return Panel.data["revoke"](PanelState(), *arguments, **options)


def test_a_revoked_job_is_cancelled_in_the_ledger(worker: FakeWorker) -> None:
    job_id = uuid4()
    answer = revoke(task_id=str(job_id))
    assert worker.cancelled == [job_id]
    assert answer == {"ok": f"cancelling {job_id}"}


def test_several_jobs_are_revoked_at_once(worker: FakeWorker) -> None:
    ids = [uuid4(), uuid4()]
    revoke(task_id=[str(job_id) for job_id in ids])
    assert worker.cancelled == ids


@pytest.mark.parametrize("task_id", [None, "", "no id", [], ["no id", None, 3], {"no": "id"}])
def test_what_is_no_job_is_left_out(worker: FakeWorker, task_id: object) -> None:
    revoke(task_id=task_id)
    assert worker.cancelled == []


def test_celery_does_not_remember_what_was_revoked(worker: FakeWorker) -> None:
    """It would drop the message of a job that an operator runs again."""
    revoke(task_id=str(uuid4()))
    assert worker.cancelled
    assert len(celery_state.revoked) == 0


def test_a_running_job_is_not_terminated_unless_that_is_said(
    worker: FakeWorker, active: dict[str, Request]
) -> None:
    job_id = uuid4()
    active[str(job_id)] = request = Request(job_id)
    revoke(task_id=str(job_id))
    assert worker.cancelled == [job_id]
    assert request.signals == []


@pytest.mark.parametrize(("signal", "number"), [(None, 15), ("KILL", 9), ("SIGTERM", 15)])
def test_a_running_job_is_terminated(
    worker: FakeWorker, active: dict[str, Request], signal: str | None, number: int
) -> None:
    job_id = uuid4()
    active[str(job_id)] = request = Request(job_id)
    revoke(task_id=str(job_id), terminate=True, signal=signal)
    assert request.signals == [number]
    assert worker.cancelled == [job_id]


def test_the_command_to_terminate_does_the_same(worker: FakeWorker, active: dict[str, Request]) -> None:
    job_id = uuid4()
    active[str(job_id)] = request = Request(job_id)
    Panel.data["terminate"](PanelState(), signal="KILL", task_id=[str(job_id)])
    assert (worker.cancelled, request.signals) == ([job_id], [9])


def test_a_thread_is_asked_to_stop_where_it_cannot_be_terminated(
    worker: FakeWorker, active: dict[str, Request]
) -> None:
    job_id = uuid4()
    active[str(job_id)] = Request(job_id, NotImplementedError("does not implement kill_job"))
    assert revoke(task_id=str(job_id), terminate=True) == {"ok": f"cancelling {job_id}"}
    assert worker.cancelled == [job_id]


def test_a_job_that_runs_elsewhere_is_terminated_there(
    worker: FakeWorker, active: dict[str, Request]
) -> None:
    assert active == {}
    job_id = uuid4()
    revoke(task_id=str(job_id), terminate=True)
    assert worker.cancelled == [job_id]


@pytest.mark.usefixtures("worker")
def test_a_worker_that_is_shut_down_goes_the_way_of_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(remote.os, "kill", lambda *signal: sent.append(signal))  # type: ignore[attr-defined]
    assert Panel.data["shutdown"](PanelState()) == {"ok": "stopping"}
    assert sent == [(os.getpid(), SIGTERM)]
