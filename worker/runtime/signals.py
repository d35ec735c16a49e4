"""What Celery tells: its public signals, wired to the parts of a worker.

A test names each of them on each pool, so that an upgrade of Celery that moves one fails loudly.
"""

import gc
from collections.abc import Collection
from signal import SIGALRM
from typing import Any

from billiard.common import human_status
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.worker import state as celery_state
from loguru import logger

from worker.message import Headers, jobs_in
from worker.runtime.metrics import Metrics
from worker.runtime.observation import Observation
from worker.runtime.poolcare import is_prefork
from worker.runtime.process import Worker
from worker.runtime.request import BundleRequest


def connect(worker: Worker, observation: Observation, metrics: Metrics) -> None:
    """Wire a worker to Celery's signals."""
    wiring = _Wiring(worker, observation, metrics)
    for signal, receiver in (
        (signals.celeryd_init, wiring.on_init),
        (signals.setup_logging, wiring.on_setup_logging),
        (signals.celeryd_after_setup, wiring.on_setup),
        (signals.worker_ready, wiring.on_ready),
        (signals.worker_before_create_process, wiring.on_fork),
        (signals.worker_process_init, wiring.on_child),
        (signals.worker_shutting_down, wiring.on_stop),
        (signals.worker_shutdown, wiring.on_end),
        (signals.task_received, wiring.on_received),
        (signals.task_failure, wiring.on_failure),
        (signals.task_revoked, wiring.on_revoked),
        (signals.task_unknown, wiring.on_unknown),
        (signals.task_rejected, wiring.on_rejected),
    ):
        signal.connect(receiver, weak=False)


_LONGEST_TEXT = 100  # characters of somebody else's text in a log line
_AT_DEADLINE = human_status(-SIGALRM)  # in billiard's text: the attendant's signal, and that of its alarm


class _Wiring:
    def __init__(self, worker: Worker, observation: Observation, metrics: Metrics) -> None:
        self._worker = worker
        self._observation = observation
        self._metrics = metrics
        self._name = "unnamed"

    def on_init(self, sender: str, **_: Any) -> None:
        """Before anything else: the worker's name."""
        self._name = sender.partition("@")[0]

    def on_setup_logging(self, **_: Any) -> None:
        """Replace Celery's logging by ours."""
        self._observation.begin_logs(f"worker-{self._name}")

    def on_setup(self, sender: str, instance: Any, **_: Any) -> None:
        """Main process, before the pool exists."""
        queues = _consumed(instance)
        forked = is_prefork(instance.pool_cls)
        self._observation.begin_metrics()
        self._worker.begin(
            sender, lambda: _consumed(instance), forked=forked, hungry=lambda: _hungry(instance)
        )
        logger.info("worker_starts", worker=sender, queues=queues, forked=forked)

    def on_ready(self, **_: Any) -> None:
        """Main process, connected to the broker."""
        self._worker.keep()
        logger.info("worker_ready")

    def on_fork(self, **_: Any) -> None:
        """Main process, before each child of the prefork pool: what is there now stays shared with it.

        A collection of garbage writes to all that it looks at, and what is written to is copied.
        """
        if not gc.get_freeze_count():
            gc.collect()
            gc.freeze()

    def on_child(self, **_: Any) -> None:
        """A fresh child of the prefork pool."""
        self._worker.begin_child()

    def on_stop(self, **_: Any) -> None:
        """Main process, inside the handler of SIGTERM."""
        self._worker.stop()

    def on_end(self, **_: Any) -> None:
        """Main process, after the pool ended."""
        self._worker.end()

    def on_received(self, request: Any, **_: Any) -> None:
        """Main process: a message; the task that it starts ignores one that no job can stand behind."""
        unfit = request.task.unfit(request.request_dict)
        if unfit:
            self._drop(unfit, kind=str(request.request_dict.get("kind", request.name))[:_LONGEST_TEXT])
        elif isinstance(request, BundleRequest):
            request.announce()
        self._worker.hear()

    def on_failure(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        """Main process: a child died, or overran a time limit that an operator set."""
        if isinstance(exception, WorkerLostError | TimeLimitExceeded):
            # At a time limit Celery does not show the message: the comparison finds what a bundle held.
            headers: Headers = sender.request if sender.request.id == task_id else {"id": task_id}
            reason = f"its process died: {exception}"
            if _AT_DEADLINE in str(exception) and len(jobs_in(headers)) == 1:
                self._overrun(headers, reason)
            else:  # of a bundle nobody says here which of its jobs overran; the ledger may know
                self._lose(headers, reason)

    def on_revoked(self, request: Any, terminated: bool, **_: Any) -> None:  # noqa: FBT001 - Celery's name
        """Main process: a process was ended under a job; whether the job was meant, the ledger knows."""
        if terminated:
            self._lose(request, "its process was terminated")

    def on_unknown(self, name: str, id: str, **_: Any) -> None:  # noqa: A002 - Celery's name
        """Main process: a message of a kind that this worker does not know."""
        self._drop("unknown_kind", kind=name[:_LONGEST_TEXT], job=id)

    def on_rejected(self, exc: BaseException | None = None, **_: Any) -> None:
        """Main process: a message that is none."""
        self._drop("malformed", error=type(exc).__name__)

    def _lose(self, headers: Headers, reason: str) -> None:
        lease = self._worker.lease  # none in a child
        if lease:
            for job in jobs_in(headers):
                lease.lost(job.id, reason)

    def _overrun(self, headers: Headers, reason: str) -> None:
        if self._worker.lease:
            for job in jobs_in(headers):
                self._worker.lease.overran(job.id, reason)

    def _drop(self, reason: str, **fields: Any) -> None:
        self._worker.hear()
        self._metrics.dropped.labels(reason).inc()
        logger.warning("message_dropped", reason=reason, **fields)


def _hungry(instance: Any) -> Collection[str]:
    """The queues that a worker consumes at present, unless it has no slot free."""
    if len(celery_state.active_requests) >= instance.pool.num_processes:
        return ()
    return _consumed(instance)


def _consumed(instance: Any) -> Collection[str]:
    """The queues that a worker consumes at present."""
    return list(instance.app.amqp.queues.consume_from)
