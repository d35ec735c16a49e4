"""Processes that die under their jobs."""

import signal
from pathlib import Path

import pytest

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet, StartWorker
from tests.smoke.process import ended_within
from worker.contract.queues import Pool

prefork_only = pytest.mark.parametrize("pool", ["prefork"])


@prefork_only
@pytest.mark.parametrize(("kind", "how"), [("probe.die", "exitcode 3"), ("probe.crash", "SIGSEGV")])
def test_a_child_that_dies_is_a_loss_and_its_job_runs_again_at_once(
    client: Client, queue: str, kind: str, how: str
) -> None:
    job_id = client.submit(kind, queue, times=1)
    job = client.succeeded(job_id)
    lost, succeeded = client.history(job_id)
    assert (lost["outcome"], succeeded["outcome"]) == ("lost", "succeeded")
    assert lost["error"]["type"] == "Lost"
    assert how in lost["error"]["message"]
    assert (
        succeeded["started_at"] - lost["ended_at"]
    ).total_seconds() < 5  # a lease and more later it would be rescue's
    assert (job["attempt"], job["losses"]) == (2, 1)


@prefork_only
def test_a_child_that_is_killed_from_outside_is_a_loss(
    client: Client, queue: str, fleet: Fleet, pool: Pool, gate: Path
) -> None:
    job_id = client.submit("probe.wait", queue, gate=str(gate))
    client.running(job_id)
    for child in fleet[pool].container.children():
        child.kill()
    eventually(lambda: client.outcomes(job_id) == ["lost", None])
    gate.touch()
    client.succeeded(job_id)
    assert client.outcomes(job_id) == ["lost", "succeeded"]
    assert "SIGKILL" in client.history(job_id)[0]["error"]["message"]


@prefork_only
def test_a_checkpoint_survives_the_process_that_saved_it(client: Client, queue: str) -> None:
    job_id = client.submit("probe.stumble", queue)
    assert client.succeeded(job_id)["result"]["text"] == "of attempt 1"
    assert client.outcomes(job_id) == ["lost", "succeeded"]


@prefork_only
def test_a_job_that_keeps_killing_its_process_ends_failed(client: Client, queue: str) -> None:
    job_id = client.submit("probe.die", queue, times=99)
    job = client.failed(job_id)
    assert job["error"]["type"] == "Lost"
    assert "exitcode 3" in job["error"]["message"]
    assert client.outcomes(job_id) == ["lost", "lost", "lost"]


@prefork_only
def test_a_loss_spends_no_attempt(client: Client, queue: str) -> None:
    job = client.prepare("probe.die", queue, times=2)
    assert job.max_attempts == 2
    client.accept(job)
    client.publish([job])
    assert client.succeeded(job.id)["attempt"] == 3


def test_another_worker_finishes_what_a_killed_one_held(
    client: Client, start_worker: StartWorker, gate: Path
) -> None:
    first = start_worker("prefork")
    job_id = client.submit("probe.wait", "database", gate=str(gate))
    client.running(job_id)
    children = first.container.children()
    first.kill()
    assert all(ended_within(child, 20.0) for child in children), "an orphan lives on"
    second = start_worker("threads")
    gate.touch()
    client.succeeded(job_id)
    history = client.history(job_id)
    assert [entry["outcome"] for entry in history] == ["lost", "succeeded"]
    assert [entry["worker"] for entry in history] == [first.name(), second.name()]
    assert "lease ran out" in history[0]["error"]["message"]


def test_a_killer_among_threads_is_found_and_its_neighbour_not_charged(
    client: Client, start_worker: StartWorker, fleet: Fleet, gate: Path
) -> None:
    """Lost with others twice, a job gets a process for itself; only what it kills there counts."""
    assert fleet["prefork"].container.status == "running"  # it runs what must be alone
    worker = start_worker("threads")
    for deaths in (1, 2):
        if deaths == 1:
            neighbour = client.submit("probe.wait", "database", gate=str(gate))
            client.running(neighbour)
            killer = client.submit("probe.die", "database", times=99)
        assert worker.stopped() == 3
        # After the second one it may be under way in the other worker already, and lose again.
        eventually(lambda: client.job(killer)["losses"] >= deaths)  # noqa: B023 - looked at in this round
        if deaths == 1:
            worker.container.start()
    gate.touch()
    client.failed(killer)
    assert client.job(killer)["alone_losses"] == 3
    client.succeeded(neighbour)


def test_a_worker_that_was_stopped_beyond_its_lease_records_nothing(
    client: Client, start_worker: StartWorker, gate: Path
) -> None:
    """The fence: what it held was given to others, so its late word changes nothing."""
    worker = start_worker("threads")
    job_id = client.submit("probe.deaf", "database", gate=str(gate))
    client.running(job_id)
    worker.kill(signal.SIGSTOP)
    eventually(lambda: client.outcomes(job_id)[:1] == ["lost"])
    worker.kill(signal.SIGCONT)
    # It claims the job again, while the handler of its first attempt goes on in the same process.
    eventually(lambda: client.outcomes(job_id) == ["lost", None])
    gate.touch()
    assert client.succeeded(job_id)["result"]["text"] == "attempt 2"
    worker.wait_for_log("claim_gone")
    assert client.outcomes(job_id) == ["lost", "succeeded"]


def test_a_child_whose_main_process_was_stopped_records_nothing(
    client: Client, start_worker: StartWorker, gate: Path
) -> None:
    worker = start_worker("prefork")
    job_id = client.submit("probe.deaf", "database", gate=str(gate))
    client.running(job_id)
    worker.kill(signal.SIGSTOP)
    eventually(lambda: client.outcomes(job_id) == ["lost"])
    gate.touch()
    worker.wait_for_log("claim_gone")
    assert client.job(job_id)["state"] == "queued"
    worker.kill(signal.SIGCONT)
    assert client.succeeded(job_id)["result"]["text"] == "attempt 2"
