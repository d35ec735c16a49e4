"""`/v1/jobs/{job_id}`: one job, and what its client can do to it."""

from api.acting import act, owner_of
from api.answers import answer_accepted, answer_job, revalidate
from api.applications import Request, Response
from api.errors import Problem
from api.follower import Follower
from api.job_reader import parse_job_id, read_job
from api.live_jobs import Cap
from api.preferences import applied, preferred_wait
from api.representations import Job
from worker.contract.states import FINAL, State
from worker.enqueue import require_right
from worker.ledger import transitions
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger


class OneJob:
    """A job.

    Args:
        follower: reads it, now or when it ends.
        longest_wait: seconds that `Prefer: wait` may last.
    """

    def __init__(self, follower: Follower[Job], longest_wait: float) -> None:
        self._follower = follower
        self._longest_wait = longest_wait

    def on_get(self, req: Request, resp: Response, job_id: str) -> None:
        """Read it, at once or when it ends."""
        seconds = preferred_wait(req, self._longest_wait)
        job = self._follower.follow(parse_job_id(job_id), req.context.client.reach, seconds)
        answer_job(req, resp, 200, job)
        revalidate(req, resp)
        if seconds:
            applied(resp, seconds)

    on_head = on_get


class Cancel:
    """The cancelling of a job.

    Args:
        ledger: cancels.
        follower: whose waiters learn of it at once.
    """

    def __init__(self, ledger: Ledger, follower: Follower[Job]) -> None:
        self._ledger = ledger
        self._follower = follower

    def on_post(self, req: Request, resp: Response, job_id: str) -> None:
        """Cancel it (200), or where it runs ask its worker to stop (202)."""
        client: Client = req.context.client
        wanted = parse_job_id(job_id)
        with self._ledger.write() as connection:
            act(connection, transitions.cancel_all, "job.cancel", wanted, client)
            job = read_job(connection, wanted, client.reach)
        if job.state is State.CANCELLED:
            self._follower.waiters.wake([str(wanted)])
            answer_job(req, resp, 200, job)
        elif job.state in FINAL:
            raise _conflict("already-ended", f"the job has {job.state} already", job)
        else:
            answer_accepted(req, resp, job)


class Retry:
    """The re-running of a job.

    Args:
        ledger: makes it queued again; dispatch publishes it.
        live_jobs: caps what a client has at once.
    """

    def __init__(self, ledger: Ledger, live_jobs: Cap) -> None:
        self._ledger = ledger
        self._live_jobs = live_jobs

    def on_post(self, req: Request, resp: Response, job_id: str) -> None:
        """Run a failed or cancelled job again, under its id, with one more attempt."""
        client: Client = req.context.client
        wanted = parse_job_id(job_id)
        with self._live_jobs.admission() as admit, self._ledger.write() as connection:
            require_right(read_job(connection, wanted, client.reach).kind, client.rights)
            again = act(connection, transitions.run_all_again, "job.retry", wanted, client)
            if again is not None:
                admit(owner_of(connection, wanted, client), 1)
            job = read_job(connection, wanted, client.reach)
        if again is None:
            raise _not_again(job)
        answer_accepted(req, resp, job)


def _not_again(job: Job) -> Problem:
    if job.state not in FINAL - {State.SUCCEEDED}:
        detail = f"only a failed or cancelled job can run again, this one is {job.state}"
        return _conflict("not-failed", detail, job)
    if job.payload is None:
        return _conflict("payload-pruned", "the job's payload was pruned, so it cannot run again", job)
    return _conflict("unique-key-held", "another job holds its unique key by now", job)


def _conflict(code: str, detail: str, job: Job) -> Problem:
    return Problem(409, detail, code=code, state=job.state)
