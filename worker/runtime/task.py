"""The one base task: Celery's registration of a kind."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import Celery, Task
from celery.exceptions import Ignore, Retry
from loguru import logger

from worker.catalog import AnyKind, Catalog
from worker.contract.states import State
from worker.ledger.records import Outcome
from worker.runtime.runner import Runner


class JobFailed(Exception):  # noqa: N818 - what Flower shows as the task's exception
    """The job's error, as the ledger has it."""


class JobTask(Task[Any, str]):
    """Runs the job whose id is the message's, and tells Celery what the ledger recorded."""

    def __init__(self, kind: AnyKind, runner: Callable[[], Runner]) -> None:
        super().__init__()
        self.throws = (JobFailed,)  # an expected end: one line in the log, and no traceback
        self.name = kind.name
        self.__doc__ = kind.description
        self._runner = runner

    def __call__(self, *_args: Any, **_kwargs: Any) -> str:
        """Claim, handle, record."""
        job_id = _job_id(self.request.id)
        if job_id is None:  # the main process has said so
            raise Ignore
        outcome = self._runner().run(job_id)
        if outcome is None:
            raise Ignore
        return self._tell(outcome)

    def run(self, *_args: Any, **_kwargs: Any) -> str:
        """Celery wants it defined; the work is in `__call__`."""
        raise NotImplementedError

    def _tell(self, outcome: Outcome) -> str:
        # The text of an error is the client's: it may hold addresses of mails, or values of rows.
        message = outcome.error.type if outcome.error else ""
        if outcome.state is State.RETRYING:
            why = JobFailed(message)
            raise Retry(message, exc=why, when=outcome.delay)  # type: ignore[arg-type]  # Real, says the stub
        if outcome.state is State.FAILED:
            raise JobFailed(message)
        if outcome.state is State.CANCELLED:
            self._say_revoked()
            raise Ignore
        return outcome.state.value

    def _say_revoked(self) -> None:
        try:
            self.send_event("task-revoked", retry=False, terminated=False, signum=None, expired=False)
        except Exception as error:  # noqa: BLE001 - the outcome is recorded; the broker may be away
            logger.debug("event_unsent", error=type(error).__name__)


def register(app: Celery, catalog: Catalog, runner: Callable[[], Runner]) -> None:
    """Register one task per kind under the kind's name."""
    for kind in catalog.values():
        app.register_task(JobTask(kind, runner))


def _job_id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
