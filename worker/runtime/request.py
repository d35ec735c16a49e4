"""What Celery keeps of a bundle in the main process: it speaks to Flower for each job, under the job's id.

Celery's seam for that is the class of a task's requests (docs.celeryq.dev, "Requests and custom task
requests"). What the jobs ended in comes from the process that ran them as the task's return value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from celery.worker.request import Request

from worker.contract.states import State
from worker.ledger.records import Outcome
from worker.message import Named, jobs_in

_EVENTS = {
    State.SUCCEEDED: "task-succeeded",
    State.RETRYING: "task-retried",
    State.FAILED: "task-failed",
    State.CANCELLED: "task-revoked",
}


class BundleRequest(Request):
    """Many jobs in one message.

    Of a bundle whose process died nobody says here which jobs ended before: they are received again, or their
    ends are the ledger's to tell.
    """

    def announce(self) -> None:
        """Say that its jobs were received."""
        for job in self._jobs():
            self.eventer.send(
                "task-received",
                uuid=str(job.id),
                name=self.request_dict["kind"],
                args=job.description,
                kwargs="{}",
                root_id=str(job.id),
                parent_id=None,
                retries=0,
                eta=None,
                expires=None,
            )

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Say of each job what Celery says of the message."""
        if type == "task-started":
            for job in self._jobs():
                self.eventer.send(type, uuid=str(job.id))
        elif type == "task-succeeded":
            self._say_endings(**fields)

    def _say_endings(self, result: str, runtime: float) -> None:
        jobs = self._jobs()
        for job, (state, error) in zip(jobs, endings(result), strict=False):
            if state in _EVENTS:
                fields = _fields(State(state), error, runtime / len(jobs))
                self.eventer.send(_EVENTS[State(state)], uuid=str(job.id), **fields)

    def _jobs(self) -> Sequence[Named]:
        """Whom to speak for: nobody, where nobody listens."""
        return jobs_in(self.request_dict) if self.eventer and self.eventer.enabled else ()


def _fields(state: State, error: str, runtime: float) -> dict[str, Any]:
    if state is State.SUCCEEDED:
        return {"result": repr(state.value), "runtime": runtime}
    if state is State.CANCELLED:
        return {"terminated": False, "signum": None, "expired": False}
    return {"exception": f"JobFailed({error!r})", "traceback": ""}


def summary(job_ids: Sequence[UUID], outcomes: Mapping[UUID, Outcome]) -> str:
    """What the jobs of a bundle ended in, in their order, for `endings` to read."""
    return ",".join(_word(outcomes.get(job_id)) for job_id in job_ids)


def endings(shown: str) -> Iterator[tuple[str, str]]:
    """State and type of error of each job, empty where there is none, of a summary as Celery shows it."""
    for word in shown.strip("'").split(","):
        state, _, error = word.partition(":")
        yield state, error


def _word(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    error = outcome.error.type if outcome.error else ""
    return f"{outcome.state}:{error}" if error.isidentifier() else outcome.state
