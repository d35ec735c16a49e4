"""A worker is killed at each step of a job's life; settings are the defaults.

Each step is held on a prefork worker and on one with threads, at the same time.
"""

import os
import signal
import time
from collections import Counter
from itertools import chain
from pathlib import Path

from ops.chaos.crew import send
from ops.chaos.rig import Rig
from tests.awaiting import eventually
from tests.faults import steps
from tests.faults.bystander import Bystander

RUNS_AGAIN = 15.0  # seconds after the death of its worker, as issue and design promise
WORKERS = ("database", "webhook")  # one of each pool


def killed(rig: Rig) -> float:
    """Kill the main processes of both workers, and wait for the end of their children; the moment."""
    families = [rig.crew.family(f"worker-{name}") for name in WORKERS]
    for family in families:
        send(family[:1], signal.SIGKILL)
    moment = time.monotonic()
    eventually(lambda: not any(process.is_running() for process in chain(*families)))
    return moment


def test_a_message_that_was_taken_and_not_claimed_comes_again(rig: Rig, bystander: Bystander) -> None:
    with steps.locked(rig, "LOCK TABLE queues IN ACCESS EXCLUSIVE MODE"):
        ids = [bystander.submit(kind) for kind in WORKERS]
        steps.waiting(rig, "%FROM claim_%", count=2)
        killed(rig)
        steps.given_up(rig, "%FROM claim_%")
    bystander.succeeded(ids, RUNS_AGAIN)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["succeeded"]


def test_a_claimed_job_runs_again(rig: Rig, bystander: Bystander, tmp_path: Path) -> None:
    """Each handler waits at its first line, for somebody to read what it writes."""
    pipes = {kind: tmp_path / kind for kind in WORKERS}
    for path in pipes.values():
        os.mkfifo(path)
    ids = {kind: bystander.submit(kind, journal=str(path)) for kind, path in pipes.items()}
    bystander.claimed(ids.values())
    killed(rig)
    for path in pipes.values():
        path.unlink()
        path.symlink_to(bystander.runs)
    bystander.succeeded(list(ids.values()), RUNS_AGAIN)
    for job_id in ids.values():
        assert bystander.outcomes(job_id) == ["lost", "succeeded"]
        assert len(bystander.started(job_id)) == 1


def test_a_job_whose_effect_is_done_and_whose_outcome_is_not_runs_again(
    rig: Rig, bystander: Bystander, gate: Path
) -> None:
    """A keyed effect does not happen again."""
    before = Counter(rig.effects())
    ids = [bystander.submit(kind, gate=str(gate)) for kind in ("keyed", "webhook")]
    bystander.running(ids)
    with steps.locked(rig, "SELECT FROM jobs WHERE id = ANY(%s::uuid[]) FOR UPDATE", ids):
        gate.touch()
        bystander.finished(ids)
        steps.waiting(rig, "%FROM finish_%", count=2)
        killed(rig)
        steps.given_up(rig, "%FROM finish_%")
    bystander.succeeded(ids, RUNS_AGAIN)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["lost", "succeeded"]
        assert len(bystander.done(job_id)) == 2
    assert list((Counter(rig.effects()) - before).values()) == [1]


def test_an_outcome_whose_commit_nobody_saw_counts(rig: Rig, bystander: Bystander) -> None:
    with steps.commits_held(rig):
        ids = [bystander.submit(kind) for kind in WORKERS]
        steps.waiting(rig, "%", count=2)  # nothing but a commit waits, its own or that of a statement alone
        killed(rig)
    bystander.succeeded(ids, RUNS_AGAIN)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["succeeded"]
        assert len(bystander.started(job_id)) == 1


def test_a_job_whose_outcome_is_committed_does_not_run_again(
    rig: Rig, bystander: Bystander, gate: Path
) -> None:
    """Its worker dies before it could tell the broker."""
    ids = [bystander.submit(kind, gate=str(gate)) for kind in WORKERS]
    bystander.running(ids)
    rig.to_broker.swallow()
    try:
        gate.touch()
        bystander.succeeded(ids)
        killed(rig)
    finally:
        rig.to_broker.restore()
    fresh = [bystander.submit(kind) for kind in WORKERS]
    bystander.succeeded(fresh, RUNS_AGAIN)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["succeeded"]
        assert len(bystander.started(job_id)) == 1
