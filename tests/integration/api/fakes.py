"""Who is at the other ends: a caller with an API key, a worker, a publisher."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
from falcon.testing import Result, TestClient

from worker.contract.states import State
from worker.ledger import leases, transitions
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import Artifact, Claim, ClaimedJob, JobFailure, Message, Outcome


class Caller:
    """A client's program: calls the API with its key."""

    def __init__(self, http: TestClient, client: Client, key: str) -> None:
        self._http = http
        self.client = client
        self.key = key

    def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Result:
        """Send a request."""
        given = {"Authorization": f"Bearer {self.key}"} | dict(headers or {})
        return self._http.simulate_request(method, path, headers=given, **more)

    def get(self, path: str, **headers: str) -> Result:
        """Read something."""
        return self.call("GET", path, _named(headers))

    def post(self, path: str, **headers: str) -> Result:
        """Act on something."""
        return self.call("POST", path, _named(headers))

    def submit(self, submission: object = None, *, body: bytes | None = None, **headers: str) -> Result:
        """Submit a job; a greeting, where a test does not care."""
        wish = {"kind": "test.greet", "payload": {"name": "Ada"}} if submission is None else submission
        content = msgspec.json.encode(wish) if body is None else body
        named = {"Content-Type": "application/json"} | _named(headers)
        return self.call("POST", "/v1/jobs", named, body=content)

    def accepted(self, submission: object = None, **headers: str) -> dict[str, Any]:
        """Submit a job that must be accepted, and return it."""
        answer = self.submit(submission, **headers)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """Read a job."""
        answer = self.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json
        return job


class FakeWorker:
    """Claims jobs and speaks their outcomes, as the runtime would."""

    name = "test@here"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._id = uuid4()
        with ledger.write() as connection:
            leases.renew(connection, self._id, name=self.name, host="here", pid=1, queues=["email", "web"])

    def claim(self, job: Mapping[str, Any]) -> ClaimedJob:
        """Take a queued job."""
        wish = Claim(job_id=UUID(job["id"]), token=uuid4(), worker_id=self._id, alone=False)
        with self._ledger.write() as connection:
            (claimed,) = transitions.claim(connection, [wish])
        return claimed

    def succeed(self, held: ClaimedJob, result: object, *files: Artifact) -> None:
        """Record a result."""
        self._finish(held, State.SUCCEEDED, result=msgspec.json.encode(result), artifacts=list(files))

    def fail(self, held: ClaimedJob, message: str, *, again: bool = False, delay: float = 0.0) -> None:
        """Record a failed attempt; after `delay` seconds comes the next."""
        failure = JobFailure(type="Broken", message=message)
        self._finish(held, State.RETRYING if again else State.FAILED, error=failure, delay=delay)

    def report(self, held: ClaimedJob, progress: bytes) -> None:
        """Say how far it is."""
        with self._ledger.write() as connection:
            transitions.report_progress(connection, held.id, held.token, progress)

    def _finish(self, held: ClaimedJob, state: State, **more: Any) -> None:
        outcome = Outcome(job_id=held.id, token=held.token, worker=self.name, state=state, **more)
        with self._ledger.write() as connection:
            assert transitions.finish(connection, [outcome])


class FakePublisher:
    """Has room or has none, and remembers what it was to publish."""

    def __init__(self) -> None:
        self.room = True
        self.published: list[Message] = []

    def reserve(self, _name: str) -> bool:
        return self.room

    def publish(self, message: Message) -> None:
        self.published.append(message)

    def broker_up(self) -> bool:
        return self.room


def unknown_id() -> str:
    """The id of no job."""
    return str(new_id())


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
