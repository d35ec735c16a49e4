"""Celery's signals on their way to the parts of a worker."""

from collections.abc import Callable, Collection
from typing import Any, ClassVar, cast
from uuid import UUID, uuid4

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.utils.dispatch import Signal
from celery.worker import state as celery_state
from prometheus_client import CollectorRegistry

from tests.unit.worker.runtime.samples import ask
from worker.runtime import signals as wiring
from worker.runtime.metrics import Metrics
from worker.runtime.observation import Observation
from worker.runtime.process import Worker
from worker.runtime.task import JobTask

JOB = uuid4()


class Lease:
    def __init__(self) -> None:
        self.lost_jobs: list[tuple[UUID, str]] = []
        self.overrun_jobs: list[tuple[UUID, str]] = []

    def lost(self, job_id: UUID, reason: str) -> None:
        self.lost_jobs.append((job_id, reason))

    def overran(self, job_id: UUID, reason: str) -> None:
        self.overrun_jobs.append((job_id, reason))


class Parts:
    """A worker and its observation, which write down what they were told."""

    def __init__(self) -> None:
        self.lease: Lease | None = Lease()
        self.told: list[Any] = []
        self.registry = CollectorRegistry()

    def begin(
        self,
        name: str,
        queues: Callable[[], Collection[str]],
        *,
        forked: bool,
        hungry: Callable[[], Collection[str]],
    ) -> None:
        self.told.append(("begin", name, queues(), forked))
        self.queues = queues
        self.hungry = hungry

    def hear(self) -> None:
        self.told.append("hear")

    def keep(self) -> None:
        self.told.append("keep")

    def begin_child(self) -> None:
        self.told.append("begin_child")

    def stop(self) -> None:
        self.told.append("stop")

    def end(self) -> None:
        self.told.append("end")

    def begin_logs(self, role: str) -> None:
        self.told.append(("begin_logs", role))

    def begin_metrics(self) -> None:
        self.told.append("begin_metrics")


class Request(dict[str, Any]):
    """Of Celery's requests and contexts, what the wiring reads of a message."""

    name = "sample.ask"

    def __init__(self, task_id: str) -> None:
        super().__init__(id=task_id)
        self.request_dict = self
        self.id = task_id
        self.task = JobTask(ask, cast("Any", None))


class Sender:
    """A task whose message Celery shows while it signals."""

    def __init__(self, task_id: str) -> None:
        self.request = Request(task_id)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Wired to signals whose other receivers are left out."""
    for signal in vars(signals).values():
        if isinstance(signal, Signal):
            monkeypatch.setattr(signal, "receivers", [])
    parts = Parts()
    wiring.connect(cast("Worker", parts), cast("Observation", parts), Metrics(parts.registry, {}))
    return parts


class Instance:
    """Of Celery's worker: what the wiring reads of it."""

    class app:  # noqa: N801 - Celery's name
        class amqp:  # noqa: N801 - Celery's name
            class queues:  # noqa: N801 - Celery's name
                consume_from: ClassVar = {"email": None, "web": None}

    class pool:  # noqa: N801 - Celery's name
        num_processes = 2

    def __init__(self, pool: str) -> None:
        self.pool_cls = type("TaskPool", (), {"__module__": f"celery.concurrency.{pool}"})


@pytest.mark.parametrize(("pool", "forked"), [("prefork", True), ("thread", False), ("gevent", False)])
def test_a_worker_begins_with_its_name_its_queues_and_its_pool(
    parts: Parts, pool: str, *, forked: bool
) -> None:
    signals.celeryd_init.send(sender="email@host", instance=None, conf=None, options={})
    signals.setup_logging.send(sender=None, loglevel=None, logfile=None, format=None, colorize=None)
    signals.celeryd_after_setup.send(sender="email@host", instance=Instance(pool), conf=None)
    assert parts.told == [
        ("begin_logs", "worker-email"),
        "begin_metrics",
        ("begin", "email@host", ["email", "web"], forked),
    ]


def test_a_worker_with_a_slot_free_could_take_of_the_queues_that_it_consumes(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals.celeryd_after_setup.send(sender="email@host", instance=Instance("thread"), conf=None)
    monkeypatch.setattr(celery_state, "active_requests", {1})
    assert set(parts.hungry()) == {"email", "web"}
    monkeypatch.setattr(Instance.app.amqp.queues, "consume_from", {"web": None})  # an operator said so
    assert set(parts.hungry()) == set(parts.queues()) == {"web"}
    monkeypatch.setattr(celery_state, "active_requests", {1, 2})
    assert not parts.hungry()


def test_a_worker_keeps_its_lease_once_it_works(parts: Parts) -> None:
    signals.worker_ready.send(sender=None)
    assert parts.told == ["keep"]


def test_the_stages_of_a_process_reach_the_worker(parts: Parts) -> None:
    signals.worker_process_init.send(sender=None)
    signals.worker_shutting_down.send(sender="email@host", sig="SIGTERM", how="Warm", exitcode=0)
    signals.worker_shutdown.send(sender=None)
    assert parts.told == ["begin_child", "stop", "end"]


@pytest.mark.parametrize("error", [WorkerLostError("signal 9"), TimeLimitExceeded(5)])
def test_the_death_of_a_child_is_a_loss(parts: Parts, error: Exception) -> None:
    signals.task_failure.send(sender=Sender(str(JOB)), task_id=str(JOB), exception=error)
    assert parts.lease is not None
    ((job_id, reason),) = parts.lease.lost_jobs
    assert job_id == JOB
    assert reason.startswith("its process died: ")


BY_ALARM = WorkerLostError("Worker exited prematurely: signal 14 (SIGALRM) Job: 3.")  # as billiard says it


def test_a_child_that_its_deadline_ended_overran(parts: Parts) -> None:
    """Whether the ledger took the mark or not."""
    signals.task_failure.send(sender=Sender(str(JOB)), task_id=str(JOB), exception=BY_ALARM)
    assert parts.lease is not None
    assert parts.lease.lost_jobs == []
    assert [job_id for job_id, _ in parts.lease.overrun_jobs] == [JOB]


def test_of_a_bundle_that_a_deadline_ended_only_the_ledger_knows_who_overran(parts: Parts) -> None:
    sender = Sender("a bundle")
    sender.request["jobs"] = [[str(uuid4()), ""] for _ in range(3)]
    signals.task_failure.send(sender=sender, task_id="a bundle", exception=BY_ALARM)
    assert parts.lease is not None
    assert (len(parts.lease.lost_jobs), parts.lease.overrun_jobs) == (3, [])


@pytest.mark.parametrize("error", [ValueError("x"), SoftTimeLimitExceeded()])
def test_a_failure_that_its_process_survives_is_none(parts: Parts, error: Exception) -> None:
    signals.task_failure.send(sender=Sender(str(JOB)), task_id=str(JOB), exception=error)
    assert parts.lease is not None
    assert parts.lease.lost_jobs == []


def test_a_job_whose_process_was_ended_under_it_is_lost(parts: Parts) -> None:
    signals.task_revoked.send(
        sender=None, request=Request(str(JOB)), terminated=True, signum=15, expired=False
    )
    assert parts.lease is not None
    assert parts.lease.lost_jobs == [(JOB, "its process was terminated")]


def test_a_message_that_celery_drops_is_no_loss(parts: Parts) -> None:
    signals.task_revoked.send(
        sender=None, request=Request(str(JOB)), terminated=False, signum=None, expired=True
    )
    assert parts.lease is not None
    assert parts.lease.lost_jobs == []


def test_foreign_ids_are_nobodys_loss(parts: Parts) -> None:
    signals.task_failure.send(sender=Sender("no id"), task_id="no id", exception=WorkerLostError("x"))
    signals.task_revoked.send(
        sender=None, request=Request("no id"), terminated=True, signum=15, expired=False
    )
    assert parts.lease is not None
    assert parts.lease.lost_jobs == []


def test_a_child_of_the_pool_records_no_losses(parts: Parts) -> None:
    """The lease is its main process's."""
    parts.lease = None
    signals.task_failure.send(sender=Sender(str(JOB)), task_id=str(JOB), exception=WorkerLostError("x"))
    signals.task_revoked.send(
        sender=None, request=Request(str(JOB)), terminated=True, signum=15, expired=False
    )


def test_whatever_reaches_the_worker_was_heard(parts: Parts) -> None:
    signals.task_received.send(sender=None, request=Request(str(JOB)))
    signals.task_unknown.send(sender=None, name="of.tomorrow", id=str(JOB), message=None, exc=None)
    signals.task_rejected.send(sender=None, message=None, exc=ValueError("no body"))
    assert parts.told == ["hear"] * 3


def test_what_is_no_message_is_counted(parts: Parts) -> None:
    signals.task_unknown.send(sender=None, name="of.tomorrow", id=str(JOB), message=None, exc=None)
    signals.task_rejected.send(sender=None, message=None, exc=ValueError("no body"))
    signals.task_received.send(sender=None, request=Request("no id"))
    for reason in ("unknown_kind", "malformed", "no_job_id"):
        assert parts.registry.get_sample_value("jobyard_messages_dropped_total", {"reason": reason}) == 1


def test_with_the_process_of_a_bundle_all_its_jobs_are_lost(parts: Parts) -> None:
    jobs = [uuid4() for _ in range(3)]
    sender = Sender("a bundle")
    sender.request["jobs"] = [[str(job_id), ""] for job_id in jobs]
    signals.task_failure.send(sender=sender, task_id="a bundle", exception=WorkerLostError("signal 9"))
    assert parts.lease is not None
    assert [job_id for job_id, _ in parts.lease.lost_jobs] == jobs
