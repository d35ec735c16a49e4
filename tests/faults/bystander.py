"""Submits jobs that note their runs, and looks on."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

from ops.chaos.api import Api
from ops.chaos.history import Alive, AnyEvent, Done, Started, read
from tests.awaiting import eventually
from worker.contract.states import FINAL

Job = dict[str, Any]

KINDS = ("email", "web", "webhook", "report", "database")


class Bystander:
    def __init__(self, api: Api, runs: Path) -> None:
        self.api = api
        self.runs = runs
        runs.touch()

    def submit(self, kind: str, *, options: dict[str, Any] | None = None, **script: Any) -> str:
        """Submit a job, whatever it takes; its id."""
        key = str(uuid4())
        own = {"journal": str(self.runs)} | ({"key": key} if kind == "keyed" else {})

        def accepted() -> str:
            answer = self.api.submit(key, f"chaos.{kind}", own | script, options or {})
            return answer.body["id"] if answer.status == HTTPStatus.ACCEPTED else ""

        return eventually(accepted)

    def job(self, job_id: str) -> Job:
        """A job as its client reads it."""
        return eventually(lambda: self._read(job_id))

    def running(self, ids: Iterable[str]) -> None:
        """Wait until their handlers run."""
        for job_id in ids:
            self._look(self.started, job_id)

    def claimed(self, ids: Iterable[str]) -> None:
        """Wait until workers hold them."""
        for job_id in ids:
            self._look(lambda job_id: self.job(job_id)["state"] == "running", job_id)

    def finished(self, ids: Iterable[str]) -> None:
        """Wait until their handlers are done, whatever their outcomes."""
        for job_id in ids:
            self._look(self.done, job_id)

    def ended(self, ids: Iterable[str], seconds: float = 60.0) -> list[Job]:
        """Wait for the ends of jobs."""
        left, jobs = deque(ids), list[Job]()

        def look() -> bool:
            while left and (job := self._final(left[0])):
                jobs.append(job)
                left.popleft()
            return not left

        eventually(look, seconds)
        return jobs

    def succeeded(self, ids: Collection[str], seconds: float = 60.0) -> None:
        """Wait until all succeeded."""
        assert [job for job in self.ended(ids, seconds) if job["state"] != "succeeded"] == []

    def outcomes(self, job_id: str) -> list[str]:
        """Of its attempts, in their order."""
        return [entry["outcome"] for entry in self.job(job_id)["history"] if entry["event"] == "attempt"]

    def lost(self, ids: Iterable[str], seconds: float) -> None:
        """Wait until a loss is all that the ledger has of them."""
        for job_id in ids:
            self._look(lambda job_id: self.outcomes(job_id) == ["lost"], job_id, seconds)

    def started(self, job_id: str) -> list[Started]:
        """Its runs."""
        return [event for event in self.events() if isinstance(event, Started) and event.job == job_id]

    def signs(self, job_id: str, attempt: int | None = None) -> int:
        """How many signs of life its runs gave, or the run of one attempt."""
        ids = {run.run for run in self.started(job_id) if attempt in {None, run.attempt}}
        return sum(isinstance(event, Alive) and event.run in ids for event in self.events())

    def done(self, job_id: str) -> list[Done]:
        """Its runs that came to their end."""
        ids = {run.run for run in self.started(job_id)}
        return [event for event in self.events() if isinstance(event, Done) and event.run in ids]

    def events(self) -> list[AnyEvent]:
        return list(read([self.runs]))

    def _look(self, look: Callable[[str], object], job_id: str, seconds: float = 60.0) -> None:
        eventually(lambda: look(job_id), seconds)

    def _final(self, job_id: str) -> Job:
        job = self._read(job_id)
        return job if job and job["state"] in FINAL else {}

    def _read(self, job_id: str) -> Job:
        answer = self.api.job(job_id)
        return answer.body if answer.status == HTTPStatus.OK else {}


def seconds_between(earlier: str, later: str) -> float:
    """Between two times of the API."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
