"""Reading one job for its client."""

from uuid import UUID

from sqlalchemy import Connection

from api.cache import Cache
from api.errors import Problem
from api.identifiers import parse_id
from api.representations import Job
from worker.ledger.accounts import account
from worker.ledger.engines import Ledger


class JobReader:
    """Reads jobs on the writing server, so that nobody misses what they submitted a moment ago.

    Args:
        ledger: has the jobs.
        cache: keeps what succeeded.
    """

    def __init__(self, ledger: Ledger, cache: Cache) -> None:
        self._ledger = ledger
        self._cache = cache

    def read(self, job_id: UUID, client_id: UUID | None) -> Job:
        """The job as it is now.

        Raises:
            Problem: 404, this client has no such job.
        """
        if client_id is None:  # what is kept is kept for its client
            return self.look(job_id, client_id)
        kept = self._cache.get(job_id, client_id)
        if kept is None:
            kept = self.look(job_id, client_id)
            self._cache.put(kept, client_id)
        return kept

    def look(self, job_id: UUID, client_id: UUID | None) -> Job:
        """The same past what is kept: of what ended a moment ago nothing is; raises as `read`."""
        with self._ledger.write_at_once() as connection:
            return read_job(connection, job_id, client_id)


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
    return Problem(404, "there is no such job", code="no-such-job")
