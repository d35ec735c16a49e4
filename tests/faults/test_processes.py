"""Processes die or stop: their jobs run again, and nobody else's."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ops.chaos.api import Answer
from ops.chaos.crew import ALL_WORKERS, children, send
from ops.chaos.history import Started
from ops.chaos.rig import Rig
from tests.awaiting import eventually
from tests.faults import steps
from tests.faults.bystander import KINDS, Bystander, seconds_between
from tests.stalls import stalls
from worker.broker import Broker
from worker.contract.states import Priority
from worker.ledger.records import Bundle, Message

RUNS_AGAIN = 15.0  # seconds after the death of its worker
LEASE = 8.0  # seconds, the default
KILLER = 4  # its place in a bundle

_NEXT_CENTURY = "2100-01-01T00:00:00Z"
_MAKE_DUE = """
    UPDATE jobs SET state = 'queued', due_at = now(), published_at = now(), publications = 1
    WHERE id = ANY(CAST(%s AS uuid[])) RETURNING id, kind, queue
"""


def test_a_job_whose_pool_child_died_runs_again_at_once(bystander: Bystander, gate: Path) -> None:
    job_id = bystander.submit("report", gate=str(gate))
    bystander.running([job_id])
    os.kill(bystander.started(job_id)[0].pid, signal.SIGKILL)
    bystander.succeeded([job_id], 6.0)
    assert bystander.outcomes(job_id) == ["lost", "succeeded"]


def test_all_workers_at_once_die_and_their_jobs_run_again(rig: Rig, bystander: Bystander, gate: Path) -> None:
    ids = [bystander.submit(kind, gate=str(gate)) for kind in KINDS]
    bystander.running(ids)
    killed_at = time.monotonic()
    send([process for name in ALL_WORKERS for process in rig.crew.family(name)], signal.SIGKILL)
    with stalls() as machine:
        eventually(lambda: all(len(bystander.started(job_id)) > 1 for job_id in ids), 2 * RUNS_AGAIN)
    again = max(bystander.started(job_id)[1].at for job_id in ids)
    assert again - killed_at < RUNS_AGAIN + machine.total
    bystander.succeeded(ids)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["lost", "succeeded"]


@pytest.mark.parametrize("whole", [True, False], ids=["with its children", "its main process alone"])
def test_the_outcome_of_a_worker_that_was_stopped_for_longer_than_its_lease_is_refused(
    rig: Rig, bystander: Bystander, gate: Path, *, whole: bool
) -> None:
    """Another worker takes the job over, and the stopped one comes to its end first."""
    seconds = 4.0
    job_id = bystander.submit("report", seconds=seconds, gate=str(gate))
    eventually(lambda: bystander.signs(job_id) > 2)
    family = rig.crew.family("worker-report")
    with rig.second_worker("report"):
        send(family if whole else family[:1], signal.SIGSTOP)
        try:
            eventually(lambda: len(bystander.started(job_id)) == 2, LEASE + 7.0)
            gate.touch()
        finally:
            send(family, signal.SIGCONT)
        bystander.succeeded([job_id])
    job = bystander.job(job_id)
    assert seconds_between(job["started_at"], job["finished_at"]) >= seconds  # it was the second one's word
    assert bystander.outcomes(job_id) == ["lost", "succeeded"]
    assert [run.attempt for run in bystander.started(job_id)] == [1, 2]


def test_the_outcome_of_a_worker_that_was_cut_off_from_the_ledger_is_refused(
    rig: Rig, bystander: Bystander, gate: Path
) -> None:
    """It works on, for it cannot know; another worker takes the job over meanwhile."""
    first = rig.crew.family("worker-report")
    with rig.second_worker("report") as second:
        send(first, signal.SIGSTOP)
        try:
            job_id = bystander.submit("report", seconds=4.0, gate=str(gate))
            bystander.running([job_id])
        finally:
            send(first, signal.SIGCONT)
        rig.to_ledger_of[second].cut()
        eventually(lambda: len(bystander.started(job_id)) == 2, LEASE + 7.0)
        signs = bystander.signs(job_id, attempt=1)
        eventually(lambda: bystander.signs(job_id, attempt=1) > signs)
        rig.to_ledger_of[second].restore()
        gate.touch()
        bystander.succeeded([job_id])
    assert bystander.outcomes(job_id) == ["lost", "succeeded"]
    assert [run.attempt for run in bystander.started(job_id)] == [1, 2]


def test_a_killer_among_others_ends_failed_and_its_neighbours_spend_nothing(
    bystander: Bystander, gate: Path
) -> None:
    neighbours = [bystander.submit("webhook", gate=str(gate)) for _ in range(3)]
    bystander.running(neighbours)
    killer = bystander.submit("webhook", ending="crash")
    (job,) = bystander.ended([killer])
    gate.touch()
    assert (job["state"], job["error"]["type"]) == ("failed", "Lost")
    bystander.succeeded(neighbours)
    for job_id in neighbours:
        assert "failed" not in bystander.outcomes(job_id)


@pytest.mark.parametrize("kind", ["brief", "short"], ids=["prefork", "threads"])
def test_a_killer_in_a_bundle_ends_failed_and_its_neighbours_are_not_charged(
    rig: Rig, bystander: Bystander, kind: str
) -> None:
    ids = [
        bystander.submit(
            kind, options={"scheduled_at": _NEXT_CENTURY}, ending="crash" if number == KILLER else "well"
        )
        for number in range(10)
    ]
    _publish_as_bundle(rig, ids)
    (killer,) = bystander.ended([ids.pop(KILLER)])
    assert (killer["state"], killer["error"]["type"]) == ("failed", "Lost")
    bystander.succeeded(ids)
    for job_id in ids:
        *before, last = bystander.outcomes(job_id)
        assert (set(before) <= {"lost", "handed_back"}, last) == (True, "succeeded")
        assert len(before) <= 2


def _publish_as_bundle(rig: Rig, ids: list[str]) -> None:
    """What waits for the next century becomes due, and travels in one message."""
    rows = rig.sql(_MAKE_DUE, ids)
    messages = [
        Message(
            job_id=UUID(str(job_id)),
            kind=kind,
            queue=queue,
            priority=Priority.NORMAL,
            description="",
            request_id=None,
            alone=False,
        )
        for job_id, kind, queue in sorted(rows, key=lambda row: ids.index(str(row[0])))
    ]
    with closing(Broker(rig.broker_url)) as broker:
        broker.publish([Bundle(id=uuid4(), messages=tuple(messages))])


def test_nothing_due_waits_for_a_silent_beat_while_another_one_lives(rig: Rig, bystander: Bystander) -> None:
    """It is stopped, for the supervisor would start a killed one again before anything is due."""
    main = rig.crew.main("beat")
    assert main is not None
    send([main], signal.SIGSTOP)
    try:
        due = datetime.now(UTC) + timedelta(seconds=1.5)
        ids = [bystander.submit(kind, options={"scheduled_at": due.isoformat()}) for kind in KINDS]
        jobs = bystander.ended(ids)
    finally:
        send([main], signal.SIGCONT)
    for job in jobs:
        assert seconds_between(job["scheduled_at"], job["started_at"]) < 5.0


def test_a_job_whose_api_process_died_before_it_was_published_runs(rig: Rig, bystander: Bystander) -> None:
    """What was accepted while nothing can be published is with the process alone; then it dies."""
    rig.to_broker.swallow()
    try:
        key, script = str(uuid4()), {"journal": str(bystander.runs)}
        answers = [bystander.api.submit(f"{key}-{n}", "chaos.email", script, {}) for n in range(4)]
        api = rig.crew.main("api")
        assert api is not None
        send(children(api), signal.SIGKILL)
    finally:
        rig.to_broker.restore()
    assert {answer.status for answer in answers} == {202}
    bystander.succeeded([answer.body["id"] for answer in answers])


def test_a_job_whose_api_process_died_before_it_could_answer_is_found_by_its_idempotency_key(
    rig: Rig, bystander: Bystander
) -> None:
    """PostgreSQL commits, and nobody is there to say so; the client repeats its request."""
    key, script = str(uuid4()), {"journal": str(bystander.runs)}
    with ThreadPoolExecutor() as client:
        with steps.acceptance_held(rig):
            unanswered = client.submit(bystander.api.submit, key, "chaos.email", script, {})
            steps.waiting(rig, "COMMIT%", count=1, role="api")
            api = rig.crew.main("api")
            assert api is not None
            send(children(api), signal.SIGKILL)
            assert unanswered.result().failure == "broken"
        answer = eventually(lambda: _accepted(bystander.api.submit(key, "chaos.email", script, {})))
    bystander.succeeded([answer.body["id"]])
    assert {event.job for event in bystander.events() if isinstance(event, Started)} == {answer.body["id"]}


def _accepted(answer: Answer) -> Answer | None:
    return answer if answer.status == HTTPStatus.ACCEPTED else None


def test_a_platform_whose_supervisor_died_is_taken_over_by_the_next(rig: Rig, bystander: Bystander) -> None:
    ids = [bystander.submit(kind, seconds=1.0) for kind in KINDS]
    rig.supervisor.kill()
    rig.settle()
    bystander.succeeded(ids)
    for job_id in ids:
        assert set(bystander.outcomes(job_id)) <= {"handed_back", "lost", "succeeded"}
