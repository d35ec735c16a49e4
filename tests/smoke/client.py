"""What a client of the platform does, and what it reads: straight on the ledger, as the API will do it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import kombu
import msgspec
from sqlalchemy import delete, func, insert, select, update

from tests.awaiting import eventually
from tests.smoke.probes import CATALOG
from worker.broker import Broker
from worker.contract.states import FINAL, LIVE, State
from worker.enqueue import Enqueuer, enqueue, message_of, submission
from worker.ledger import artifacts, jobs, leases, transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact, Bundle, Claim, ClaimedJob, NewJob, Outcome
from worker.ledger.tables import jobs as jobs_table
from worker.ledger.tables import queues, workers

CLIENT = UUID(int=1)
REQUEST = "request-of-the-smoke-test"


class Client:
    """Submits jobs and reads them."""

    def __init__(self, ledger: Ledger, broker_url: str) -> None:
        self.ledger = ledger
        self.broker_url = broker_url
        self._broker = Broker(broker_url)
        self._enqueuer = Enqueuer(CATALOG)

    def submit(self, kind: str, queue: str, /, **payload: Any) -> UUID:
        """Submit one job of a kind to a queue."""
        return self.submit_many(kind, queue, 1, **payload)[0]

    def submit_many(self, kind: str, queue: str, count: int, /, **payload: Any) -> list[UUID]:
        """Submit jobs, and publish their messages as one batch."""
        prepared = [self.prepare(kind, queue, **payload) for _ in range(count)]
        with self.ledger.write() as connection:
            for job in prepared:
                enqueue(connection, job)
        self.publish(prepared)
        return [job.id for job in prepared]

    def prepare(self, kind: str, queue: str, /, **payload: Any) -> NewJob:
        job = self._enqueuer.prepare(submission(kind, payload), CLIENT, REQUEST, published=True)
        return msgspec.structs.replace(job, queue=queue)

    def accept(self, job: NewJob) -> None:
        with self.ledger.write() as connection:
            enqueue(connection, job)

    def publish(self, prepared: Sequence[NewJob]) -> None:
        self._broker.publish([message_of(job) for job in prepared])

    def submit_bundle(self, *prepared: NewJob) -> list[UUID]:
        """Submit jobs, and publish them in one message."""
        for job in prepared:
            self.accept(job)
        self.publish_bundle(prepared)
        return [job.id for job in prepared]

    def publish_bundle(self, prepared: Sequence[NewJob], copies: int = 1) -> None:
        messages = tuple(message_of(job) for job in prepared)
        self._broker.publish([Bundle(id=uuid4(), messages=messages) for _ in range(copies)])

    def job(self, job_id: UUID) -> Mapping[str, Any]:
        with self.ledger.read() as connection:
            found = jobs.find(connection, job_id)
        assert found is not None, f"there is no job {job_id}"
        return dict(found)

    def outcomes(self, job_id: UUID) -> list[str | None]:
        """What each attempt ended in; None for one that runs."""
        return [entry["outcome"] for entry in self.history(job_id)]

    def history(self, job_id: UUID) -> list[Mapping[str, Any]]:
        with self.ledger.read() as connection:
            found = jobs.find(connection, job_id)
            assert found is not None, f"there is no job {job_id}"
            return jobs.history(connection, found)

    def artifact(self, job_id: UUID, name: str) -> Artifact | None:
        with self.ledger.read() as connection:
            return artifacts.find_of_job(connection, job_id, name, CLIENT)

    def cancel(self, job_id: UUID) -> State | None:
        with self.ledger.write() as connection:
            return transitions.cancel(connection, job_id, "client")

    def run_again(self, job_id: UUID) -> State | None:
        with self.ledger.write() as connection:
            return transitions.run_again(connection, job_id, "client")

    def wait_until(self, state: State, job_id: UUID, seconds: float = 60.0) -> Mapping[str, Any]:
        """The job, once it is in that state."""

        def look() -> Mapping[str, Any] | None:
            job = self.job(job_id)
            assert job["state"] == state or job["state"] not in FINAL, f"ended otherwise: {job}"
            return job if job["state"] == state else None

        found = eventually(look, seconds)
        assert found is not None
        return found

    def succeeded(self, job_id: UUID, seconds: float = 60.0) -> Mapping[str, Any]:
        return self.wait_until(State.SUCCEEDED, job_id, seconds)

    def failed(self, job_id: UUID, seconds: float = 60.0) -> Mapping[str, Any]:
        return self.wait_until(State.FAILED, job_id, seconds)

    def cancelled(self, job_id: UUID, seconds: float = 60.0) -> Mapping[str, Any]:
        return self.wait_until(State.CANCELLED, job_id, seconds)

    def running(self, job_id: UUID, seconds: float = 60.0) -> Mapping[str, Any]:
        return self.wait_until(State.RUNNING, job_id, seconds)

    def all_ended(self, ids: Sequence[UUID], seconds: float = 60.0) -> None:
        def look() -> bool:
            with self.ledger.read() as connection:
                return len(jobs.ended_among(connection, ids)) == len(ids)

        eventually(look, seconds)

    def take_away(self, job_id: UUID) -> ClaimedJob:
        """Have another worker, of which nothing is seen but its lease, claim a running job."""
        token, other = self.job(job_id)["claim_token"], uuid4()
        wish = Claim(job_id=job_id, token=uuid4(), worker_id=other, alone=True)
        with self.ledger.write() as connection:
            leases.renew(connection, other, name="other", host="elsewhere", pid=1, queues=[])
            assert transitions.lose(connection, job_id, token, "taken away", cap=3) is State.QUEUED
            (held,) = transitions.claim(connection, [wish])
            # It holds for as long as a test may take.
            connection.execute(
                update(workers)
                .where(workers.c.id == other)
                .values(heartbeat_at=func.now() + timedelta(minutes=1))
            )
        return held

    def finish(self, held: ClaimedJob) -> None:
        """Record a success of that other worker."""
        outcome = Outcome(job_id=held.id, token=held.token, worker="other", state=State.SUCCEEDED)
        with self.ledger.write() as connection:
            assert transitions.finish(connection, [outcome])

    @contextmanager
    def paused(self, queue: str) -> Iterator[None]:
        """Nothing of the queue is published or claimed meanwhile."""
        with self.ledger.write() as connection:
            connection.execute(insert(queues).values(name=queue, paused_at=func.now(), paused_by="test"))
        try:
            yield
        finally:
            with self.ledger.write() as connection:
                connection.execute(delete(queues).where(queues.c.name == queue))

    def unfinished(self, queue: str) -> Sequence[UUID]:
        """The jobs of a queue that have not ended."""
        wanted = select(jobs_table.c.id).where(jobs_table.c.queue == queue, jobs_table.c.state.in_(LIVE))
        with self.ledger.read() as connection:
            return connection.execute(wanted).scalars().all()

    def depth(self, queue: str) -> int:
        """How many messages of the queue the broker holds."""
        return self._broker.depths([queue])[queue]

    def purge(self, queue: str) -> None:
        """Take every message of the queue out of the broker."""
        with kombu.Connection(self.broker_url) as connection:
            kombu.Queue(queue)(connection.channel()).purge()

    def heartbeat(self, job_id: UUID) -> datetime:
        """The last one of the worker that runs a job."""
        wanted = select(workers.c.heartbeat_at).where(workers.c.id == jobs_table.c.worker_id)
        with self.ledger.read() as connection:
            return connection.execute(wanted.where(jobs_table.c.id == job_id)).scalar_one()

    def leases(self) -> set[str]:
        """The names of the workers that hold a lease."""
        with self.ledger.read() as connection:
            return set(connection.execute(select(workers.c.name)).scalars())

    def consumes(self, worker: str) -> Sequence[str]:
        """The queues that a worker consumes, as its lease says."""
        with self.ledger.read() as connection:
            consumed = connection.execute(select(workers.c.queues).where(workers.c.name == worker))
            queues_: Sequence[str] = consumed.scalar_one()
            return queues_

    def close(self) -> None:
        self._broker.close()
