"""What API, workers and beats do to the ledger again and again, each by its name."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection

from tests.integration.ledger.history import OTHER, Sample
from tests.integration.ledger.situations import CLIENT, WORKER, new_job
from worker.contract.states import LIVE, State
from worker.ledger import (
    accounts,
    agenda,
    artifacts,
    audit,
    batches,
    clients,
    dispatches,
    failures,
    firings,
    followups,
    idempotency,
    jobs,
    leases,
    messages,
    queues,
    retention,
    transitions,
    unique_keys,
)
from worker.ledger.batches import BatchFilter
from worker.ledger.failures import FailureFilter
from worker.ledger.ids import new_id
from worker.ledger.jobs import JobFilter
from worker.ledger.records import Artifact, Claim, Outcome, UniqueKey

Act = Callable[[Connection, Sample], object]

_DAY = timedelta(days=1)


def _claim(connection: Connection, sample: Sample, count: int) -> None:
    wishes = [Claim(job_id=id_, token=uuid4(), worker_id=WORKER, alone=True) for id_ in sample.queued[:count]]
    assert len(transitions.claim(connection, wishes)) == count


def _finish(connection: Connection, sample: Sample, count: int) -> None:
    ended = [_outcome(id_, token) for id_, token in sample.running[:count]]
    assert len(transitions.finish(connection, ended)) == len(ended)
    transitions.finish(connection, [_outcome(sample.running[0][0], uuid4())])  # a word that comes too late


def _outcome(job_id: UUID, token: UUID) -> Outcome:
    return Outcome(job_id=job_id, token=token, worker="w", state=State.SUCCEEDED, result=b"{}")


def _submit_after(connection: Connection, sample: Sample) -> None:
    job = new_job(after=[sample.queued[0]], unmet=[sample.queued[0]])
    followups.find(connection, job.after, CLIENT)
    followups.follow(connection, job.after, CLIENT)
    transitions.enqueue(connection, [job])


def _submit_batch(connection: Connection, _: Sample) -> None:
    batch_id = new_id()
    batches.add(connection, batches.NewBatch(id=batch_id, client_id=CLIENT, size=1000))
    transitions.enqueue(connection, [new_job(batch_id=batch_id, followed=True) for _ in range(1000)])


def _submit_with_key(connection: Connection, _: Sample) -> None:
    job = new_job()
    assert idempotency.remember(connection, CLIENT, "a", b"", job.id) is None
    transitions.enqueue(connection, [job])
    assert idempotency.remember(connection, CLIENT, "a", b"", job.id)


def _submit_unique(connection: Connection, sample: Sample) -> None:
    for key in ("a", str(sample.queued[0]), str(sample.failed)):
        unique_keys.hold(connection, CLIENT, {new_id(): UniqueKey(key=key, states=("queued",))})


def _handle_a_file(connection: Connection, sample: Sample) -> None:
    file = Artifact(
        id=new_id(),
        client_id=CLIENT,
        job_id=sample.running[0][0],
        name="f",
        content_type="",
        size=1,
        sha256="",
    )
    artifacts.record_artifacts(connection, [file])
    artifacts.find_artifact(connection, file.id, CLIENT)
    artifacts.find_of_job(connection, sample.old, "file", CLIENT)
    artifacts.hold_uploads(connection, CLIENT)
    artifacts.uploads_of(connection, CLIENT, 10)
    artifacts.delete_upload(connection, file.id, CLIENT)


def _read(connection: Connection, sample: Sample) -> None:
    found = jobs.find(connection, sample.old, CLIENT)
    assert found is not None
    jobs.history(connection, found)
    jobs.acts_on(connection, sample.old)
    jobs.artifacts_of(connection, sample.old)
    jobs.owner_of(connection, sample.old)


def _dispatch(connection: Connection, _: Sample) -> None:
    assert dispatches.begin(connection, new_id(), "web")
    assert messages.publishable_lanes(connection)
    assert len(messages.take_publishable(connection, "web", 50, alone=False)) == 50


def _read_files_sent(connection: Connection, sample: Sample) -> None:
    messages.unpublish(connection, sample.queued)
    dispatches.end(connection, new_id())


def _reconcile(connection: Connection, _: Sample) -> None:
    messages.forget_lanes(connection, ["web"], "isolation", 3.0)
    messages.forget_stale(connection, 60.0)


def _follow_ends(connection: Connection, sample: Sample) -> None:
    transitions.cancel_all(connection, sample.queued, "somebody")
    followups.wait_again(connection, [])
    followups.take(connection, 100)
    followups.release(connection, sample.queued[:1])
    followups.fail_dependents(connection, {sample.queued[1]: "it failed"})


def _run_again(connection: Connection, sample: Sample) -> None:
    assert transitions.run_again(connection, sample.failed, "somebody", CLIENT)
    followups.wait_again(connection, [sample.queued[0]])


def _lose(connection: Connection, sample: Sample) -> None:
    (job_id, token), *_ = sample.running
    transitions.mark_overrun(connection, job_id, token)
    assert transitions.lose(connection, job_id, token, "it died", 3)
    assert transitions.hand_back(connection, sample.running[1:2], "w")


def _tell(connection: Connection, sample: Sample) -> None:
    (job_id, token), *_ = sample.running
    transitions.report_progress(connection, job_id, token, b"1")
    assert transitions.save_checkpoint(connection, job_id, token, b"1")


def _renew(connection: Connection, sample: Sample) -> None:
    leases.renew(connection, WORKER, name="w", host="h", pid=1, queues=["web"])
    assert leases.held_by(connection, WORKER)
    leases.unwanted(connection, sample.running)
    messages.claimable_in(connection, ["web"], "isolation")


def _batch(connection: Connection, sample: Sample) -> None:
    assert batches.find(connection, sample.batch, CLIENT)
    assert batches.counts(connection, sample.batch)
    batches.due_at(connection, sample.batch)
    assert batches.job_ids(connection, sample.batch)
    assert batches.cancellable(connection, sample.batch, 10)
    batches.finish(connection, [sample.batch])
    batches.ended_among(connection, [sample.over])


def _queues(connection: Connection, _: Sample) -> None:
    queues.waiting(connection, ["web", "email", "report"])
    queues.running(connection)
    queues.paused(connection)


def _empty_a_queue(connection: Connection, sample: Sample) -> None:
    assert queues.count_waiting(connection, "web", sample.now, 1000)
    assert queues.pick_waiting(connection, "web", sample.now, 1000)
    messages.forget_queue(connection, "web", sample.now, 1000)


def _failures(connection: Connection, sample: Sample) -> None:
    failures.errors(connection, FailureFilter(client_id=CLIENT, created_after=sample.now - _DAY))
    failures.errors(connection, FailureFilter(created_after=sample.now - 30 * _DAY))


def _fire(connection: Connection, sample: Sample) -> None:
    firings.record(connection, [firings.NewFiring(schedule="rule 1", fire_at=sample.now, job_id=new_id())])
    firings.waiting(connection, ["rule 1", "rule 2"])
    firings.release(connection, [firings.NewFiring(schedule="rule 1", fire_at=sample.now)])
    firings.living_jobs(connection, ["rule 1", "rule 2"])
    firings.page(connection, "rule 1", 10)


def _prune(connection: Connection, sample: Sample) -> None:
    """In batches: what is past its time, little by little."""
    cutoff = sample.now - 100 * _DAY
    retention.forget_idempotency_keys(connection, cutoff, 100)
    retention.forget_unique_keys(connection, cutoff, 100)
    retention.forget_firings(connection, cutoff, 100)
    retention.delete_left_artifacts(connection, cutoff, 100)
    retention.wanted_uploads(connection, cutoff)
    retention.delete_uploads(connection, cutoff, [], 100)
    audit.forget(connection, cutoff, 100)
    retention.clear_jobs(connection, [sample.failed])
    retention.delete_jobs(connection, [sample.failed])


def _list(wanted: JobFilter) -> Act:
    return lambda connection, _: jobs.page(connection, wanted, 50)


_FAILED = frozenset({State.FAILED})
LISTS: Mapping[str, Act] = {
    "a client's jobs": _list(JobFilter(client_id=CLIENT)),
    "a client's jobs, further on": lambda connection, sample: jobs.page(
        connection, JobFilter(client_id=CLIENT), 50, sample.failed
    ),
    "a client's live jobs": _list(JobFilter(client_id=CLIENT, states=LIVE)),
    "a client's queued jobs": _list(JobFilter(client_id=CLIENT, states=frozenset({State.QUEUED}))),
    "a client's failed jobs": _list(JobFilter(client_id=CLIENT, states=_FAILED)),
    "a client's jobs of a kind": _list(JobFilter(client_id=CLIENT, kind="no.such")),
    "a client's jobs of a queue": _list(JobFilter(client_id=CLIENT, queue="email")),
    "a client's jobs with a tag": _list(JobFilter(client_id=CLIENT, tag="tag 7")),
    "everybody's jobs": _list(JobFilter()),
    "everybody's running jobs": _list(JobFilter(states=frozenset({State.RUNNING}))),
    "everybody's failed jobs": _list(JobFilter(states=_FAILED)),
    "everybody's jobs with an error": _list(JobFilter(states=_FAILED, error_type="Fatal")),
    "jobs of a batch": lambda connection, sample: jobs.page(
        connection, JobFilter(client_id=CLIENT, batch_id=sample.batch), 50
    ),
    "jobs of a time": lambda connection, sample: jobs.page(
        connection, JobFilter(client_id=CLIENT, created_after=sample.now - 2 * _DAY), 50
    ),
    "batches": lambda connection, _: batches.page(connection, BatchFilter(client_id=CLIENT), 50),
    "open batches": lambda connection, _: batches.page(
        connection, BatchFilter(client_id=OTHER, finished=False), 50
    ),
    "audit": lambda connection, _: audit.page(connection, 50),
}

ACTS: Mapping[str, Act] = LISTS | {
    "submit": lambda connection, _: transitions.enqueue(connection, [new_job()]),
    "submit after another": _submit_after,
    "submit a batch": _submit_batch,
    "submit with an idempotency key": _submit_with_key,
    "submit with a unique key": _submit_unique,
    "authenticate": lambda connection, _: clients.client_of_key(connection, "jy_" + 43 * "x"),
    "count live jobs": lambda connection, _: jobs.live_by_client(connection),
    "claim": lambda connection, sample: _claim(connection, sample, 1),
    "claim a bundle": lambda connection, sample: _claim(connection, sample, 5),
    "record an outcome": lambda connection, sample: _finish(connection, sample, 1),
    "record outcomes": lambda connection, sample: _finish(connection, sample, 5),
    "tell of progress": _tell,
    "renew a lease": _renew,
    "lose and hand back": _lose,
    "rescue": lambda connection, _: (
        transitions.rescue(connection, 30.0, 3),
        leases.forget_dead(connection, 30.0),
    ),
    "agenda": lambda connection, _: agenda.read(connection),
    "make due": lambda connection, _: transitions.make_due(connection, 1000),
    "expire": lambda connection, _: transitions.expire(connection, 1000),
    "dispatch": _dispatch,
    "take back what was not sent": _read_files_sent,
    "forget what a beat did not send": lambda connection, _: dispatches.forget_abandoned(connection, 10.0),
    "reconcile": _reconcile,
    "find what was overtaken": lambda connection, _: messages.forget_overtaken(connection, 5.0, 5.0),
    "what follows from ends": _follow_ends,
    "cancel": lambda connection, sample: transitions.cancel(connection, sample.queued[0], "somebody", CLIENT),
    "retry": _run_again,
    "look up by id": _read,
    "account": lambda connection, sample: accounts.account(connection, sample.old, CLIENT),
    "wait for jobs": lambda connection, sample: jobs.ended_among(connection, [sample.old, *sample.queued]),
    "kinds of jobs": lambda connection, sample: jobs.kinds_of(connection, [sample.old]),
    "results of jobs": lambda connection, sample: followups.made_by(connection, [sample.old], CLIENT),
    "files": _handle_a_file,
    "batch": _batch,
    "queues": _queues,
    "rates": lambda connection, _: queues.rates(connection),
    "count by queue": lambda connection, _: jobs.counts_by_queue(connection),
    "cancel what waits": _empty_a_queue,
    "failures": _failures,
    "fire": _fire,
    "prune": _prune,
}
