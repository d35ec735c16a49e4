"""Remote control: what an operator says in Flower, or with `celery control`.

Celery's own `revoke` writes the id into the memory of every worker, which would swallow a later re-run for
hours, loses it with the worker, and cannot stop a thread. Ours tells the ledger, as the API does. And its
`shutdown` tells nobody that the worker stops: no grace, nothing handed back. Ours is a SIGTERM.
"""

import contextlib
import os
from collections.abc import Iterable
from signal import SIGTERM
from typing import Any
from uuid import UUID

from celery.platforms import signals
from celery.worker import state as celery_state
from celery.worker.control import control_command
from loguru import logger

from worker.runtime.process import Worker

_OPERATOR = "operator, through Celery's remote control"
_SIGNAL = "TERM"  # what ends a child where the operator names no other signal
_IDS = "[id1 [id2 [... [idN]]]]"


def connect(worker: Worker) -> None:
    """Replace Celery's commands that end jobs, or the worker, by ours."""

    def revoke(state: Any, task_id: Any, *, terminate: bool = False, signal: Any = None, **_: Any) -> Any:
        """Cancel jobs by their ids."""
        jobs = _jobs(task_id)
        for job_id in jobs:
            worker.cancel(job_id, _OPERATOR)
            if terminate:
                _terminate(state.consumer.pool, job_id, signal or _SIGNAL)
        return {"ok": f"cancelling {', '.join(map(str, jobs))}"}

    def terminate(state: Any, signal: Any, task_id: Any, **_: Any) -> Any:
        """Cancel jobs by their ids, and end their processes."""
        return revoke(state, task_id, terminate=True, signal=signal)

    def shutdown(_state: Any, **_: Any) -> Any:
        """Stop this worker: what runs gets its grace, the rest is handed back."""
        os.kill(os.getpid(), SIGTERM)
        return {"ok": "stopping"}

    control_command()(shutdown)
    control_command(variadic="task_id", signature=_IDS)(revoke)
    control_command(variadic="task_id", args=[("signal", str)], signature=f"<signal> {_IDS}")(terminate)


def _jobs(task_id: Any) -> list[UUID]:
    texts: Iterable[Any] = [task_id] if isinstance(task_id, str) else task_id or ()
    found = []
    for text in texts:
        try:
            found.append(UUID(str(text)))
        except ValueError:
            logger.warning("revoke_without_job", id=str(text)[:100])
    return found


def _terminate(pool: Any, job_id: UUID, signal: str) -> None:
    """End what runs the job here at once; a thread is only asked to stop, by the cancel."""
    request = celery_state.requests.get(str(job_id))
    if request is not None and request in celery_state.active_requests:
        with contextlib.suppress(NotImplementedError):
            request.terminate(pool, signal=signals.signum(signal))
