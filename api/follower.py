"""Reading one job for its client, at once or when it ends."""

from threading import Event
from uuid import UUID

from sqlalchemy import Connection

from api.cache import Cache
from api.errors import Problem
from api.identifiers import parse_id
from api.metrics import Metrics
from api.representations import Job
from api.turns import Turns
from api.waiting import Waiters
from worker.contract.states import FINAL
from worker.ledger.accounts import account
from worker.ledger.engines import Ledger


class Follower:
    """Reads jobs on the writing server, so that nobody misses what they submitted a moment ago.

    No connection is held while somebody waits.

    Args:
        ledger: has the jobs.
        waiters: learn when they end.
        metrics: count those who wait.
        turns: how many of those who wait read at the same moment. Thousands may come or be woken at once;
            the others stand in line here, not for the connections that submissions need as well.
        cache: keeps what succeeded.
    """

    def __init__(self, ledger: Ledger, waiters: Waiters, metrics: Metrics, turns: int, cache: Cache) -> None:
        self.waiters = waiters
        self._cache = cache
        self._ledger = ledger
        self._metrics = metrics
        self._turns = Turns[Job](turns)

    def read(self, job_id: UUID, client_id: UUID | None) -> Job:
        """The job as it is now.

        Raises:
            Problem: 404, this client has no such job.
        """
        if client_id is None:  # what is kept is kept for its client
            return self._look(job_id, client_id)
        kept = self._cache.get(job_id, client_id)
        if kept is None:
            kept = self._look(job_id, client_id)
            self._cache.put(kept, client_id)
        return kept

    def _look(self, job_id: UUID, client_id: UUID | None) -> Job:
        with self._ledger.write() as connection:
            return read_job(connection, job_id, client_id)

    def follow(self, job_id: UUID, client_id: UUID | None, seconds: int) -> Job:
        """The job once it ended, or as it is after `seconds`; raises as `read`."""
        if not seconds:
            return self.read(job_id, client_id)
        with self.waiters.expect(job_id) as ended:
            job = self._read_in_turn(job_id, client_id)
            return job if job.state in FINAL else self.read_after(ended, seconds, job_id, client_id)

    def read_after(self, ended: Event, seconds: int, job_id: UUID, client_id: UUID | None) -> Job:
        """The job once the event is set, or as it is after `seconds`; raises as `read`."""
        with self._metrics.waiters.track_inprogress():
            ended.wait(seconds)
        return self._read_in_turn(job_id, client_id)

    def _read_in_turn(self, job_id: UUID, client_id: UUID | None) -> Job:
        return self._turns.take((job_id, client_id), lambda: self.read(job_id, client_id))


def read_job(connection: Connection, job_id: UUID, client_id: UUID | None) -> Job:
    """A client's job (None: any client's) with its history and artifacts.

    Raises:
        Problem: 404, this client has no such job.
    """
    found = account(connection, job_id, client_id)
    if found is None:
        raise no_such_job()
    return Job.of_account(found)


def parse_job_id(text: str) -> UUID:
    """The id in a path.

    Raises:
        Problem: 404, it is none, and so no job's.
    """
    job_id = parse_id(text)
    if job_id is None:
        raise no_such_job()
    return job_id


def no_such_job() -> Problem:
    """The same answer for an unknown job and for another client's, so that ids cannot be probed."""
    return Problem(404, "there is no such job")
