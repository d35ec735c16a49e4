"""The one base task: Celery's registration of a kind; and the task of bundles, whatever their kind."""

from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Retry
from loguru import logger

from worker.catalog import AnyKind, Catalog
from worker.contract.states import State
from worker.ledger.records import Outcome
from worker.message import BUNDLE, Headers, jobs_in
from worker.runtime.request import summary
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
        job_ids = [job.id for job in jobs_in(self.request)]
        if not job_ids:  # the main process has said so
            raise Ignore
        outcome = self._runner().run(job_ids[:1]).get(job_ids[0])
        if outcome is None:
            raise Ignore
        return self._tell(outcome)

    def run(self, *_args: Any, **_kwargs: Any) -> str:
        """Celery wants it defined; the work is in `__call__`."""
        raise NotImplementedError

    def unfit(self, headers: Headers) -> str | None:
        """Why no job can stand behind a message, in a word for the metrics."""
        return None if jobs_in(headers) else "no_job_id"

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


class BundleTask(Task[Any, str]):
    """Runs the jobs of a bundle; its requests tell Flower of each what the ledger recorded."""

    name = BUNDLE
    Request = "worker.runtime.request:BundleRequest"
    send_events = False  # of the bundle itself
    resultrepr_maxsize = 64 * 1024  # characters that the main process gets of the return value

    def __init__(self, catalog: Catalog, runner: Callable[[], Runner]) -> None:
        super().__init__()
        self._catalog = catalog
        self._runner = runner

    def __call__(self, *_args: Any, **_kwargs: Any) -> str:
        """Claim, handle one after the other, record."""
        if self.unfit(self.request):
            raise Ignore
        job_ids = [job.id for job in jobs_in(self.request)]
        return summary(job_ids, self._runner().run(job_ids))

    def run(self, *_args: Any, **_kwargs: Any) -> str:
        """Celery wants it defined; the work is in `__call__`."""
        raise NotImplementedError

    def unfit(self, headers: Headers) -> str | None:
        """Why no job can stand behind a message, or this worker must not decide about them."""
        if not jobs_in(headers):
            return "no_job_id"
        return None if headers.get("kind") in self._catalog else "unknown_kind"


def register(app: Celery, catalog: Catalog, runner: Callable[[], Runner]) -> None:
    """Register one task per kind under the kind's name, and the one of bundles."""
    for kind in catalog.values():
        app.register_task(JobTask(kind, runner))
    app.register_task(BundleTask(catalog, runner))
