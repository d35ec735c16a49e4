"""Bundles: many jobs in one message, each with a life of its own."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet, StartWorker
from tests.smoke.test_deadlines import OVERRUN
from worker.contract.queues import Pool
from worker.ledger.records import NewJob

prefork_only = pytest.mark.parametrize("pool", ["prefork"])


def echoes(client: Client, queue: str, count: int) -> list[NewJob]:
    return [client.prepare("probe.echo", queue, text="one of many") for _ in range(count)]


def referring(client: Client, queue: str, made: UUID, pointer: str) -> NewJob:
    """A job that says what another has made."""
    payload = msgspec.json.encode({"text": {"$from": str(made), "result": pointer}})
    job = client.prepare("probe.echo", queue, text="")
    return msgspec.structs.replace(job, payload=payload, after=[made], refers=True)


def charged(client: Client, job_id: UUID) -> int:
    """The attempts of a job that count."""
    job = client.job(job_id)
    return int(job["attempt"] - job["losses"] - job["hand_backs"])


def succeeded(client: Client, ids: Sequence[UUID]) -> None:
    """Wait until they did, each in the first attempt that counts."""
    for job_id in ids:
        client.succeeded(job_id)
        assert charged(client, job_id) == 1


def test_each_job_has_an_outcome_of_its_own(client: Client, queue: str) -> None:
    kinds = ("probe.echo", "probe.fatal", "probe.flaky", "probe.unsayable", "probe.memory", "probe.echo")
    ids = client.submit_bundle(*(client.prepare(kind, queue) for kind in kinds))
    client.all_ended(ids)
    assert [client.job(job_id)["state"] for job_id in ids] == [
        *("succeeded", "failed", "succeeded", "failed", "failed", "succeeded")
    ]
    assert [client.outcomes(job_id) for job_id in ids] == [
        *(["succeeded"], ["failed"], ["failed", "succeeded"], ["failed"], ["failed"], ["succeeded"])
    ]
    assert client.job(ids[3])["error"]["type"] == "OutcomeUnrecordable"


def test_a_job_that_a_bundle_names_twice_and_one_of_a_doubled_bundle_run_once(
    client: Client, queue: str
) -> None:
    jobs = echoes(client, queue, 5)
    for job in jobs:
        client.accept(job)
    client.publish_bundle([*jobs, *jobs], copies=3)
    client.all_ended([job.id for job in jobs])
    client.succeeded(client.submit("probe.echo", queue))  # behind them
    for job in jobs:
        assert client.outcomes(job.id) == ["succeeded"]


def test_a_job_that_was_cancelled_while_it_waited_does_not_begin(
    client: Client, queue: str, gate: Path
) -> None:
    first = client.prepare("probe.wait", queue, gate=str(gate))
    ids = client.submit_bundle(first, *echoes(client, queue, 3))
    client.running(first.id)
    client.running(ids[2])
    assert client.cancel(ids[2]) == "running"
    _let_time_pass(client, first.id)
    gate.touch()
    client.cancelled(ids[2])
    succeeded(client, [first.id, ids[1], ids[3]])
    assert client.outcomes(ids[2]) == ["cancelled"]


def test_each_job_takes_what_others_have_made(client: Client, queue: str) -> None:
    made = [client.submit("probe.echo", queue, text=word) for word in ("one", "two")]
    for job_id in made:
        client.succeeded(job_id)
    takers = [referring(client, queue, job_id, "/text") for job_id in made]
    lost = referring(client, queue, made[0], "/nothing")
    ids = client.submit_bundle(takers[0], lost, *echoes(client, queue, 1), takers[1])
    client.all_ended(ids)
    assert [(client.job(job_id)["result"] or {}).get("text") for job_id in ids] == [
        *("one", None, "one of many", "two")
    ]
    assert "has no /nothing" in client.job(lost.id)["error"]["message"]
    assert [client.outcomes(job_id) for job_id in ids] == [
        ["succeeded"],
        ["failed"],
        ["succeeded"],
        ["succeeded"],
    ]


def test_what_ended_is_recorded_while_a_later_job_goes_on(client: Client, queue: str, gate: Path) -> None:
    slow = client.prepare("probe.wait", queue, gate=str(gate))
    ids = client.submit_bundle(*echoes(client, queue, 2), slow)
    succeeded(client, ids[:2])
    assert client.job(slow.id)["state"] == "running"
    gate.touch()
    succeeded(client, [slow.id])


@prefork_only
def test_a_job_that_overruns_its_deadline_hurts_no_other(client: Client, queue: str) -> None:
    late = client.prepare("probe.late", queue, times=1)
    before, after = echoes(client, queue, 3), echoes(client, queue, 3)
    client.submit_bundle(*before, late, *after)
    client.succeeded(late.id)
    assert client.history(late.id)[0]["error"] == OVERRUN
    assert client.outcomes(late.id) == ["failed", "succeeded"]
    succeeded(client, [job.id for job in [*before, *after]])
    for job in before:
        assert client.outcomes(job.id) == ["succeeded"]
    for job in after:
        assert client.outcomes(job.id) == ["handed_back", "succeeded"]


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_worker_of_threads_that_leaves_for_an_overrun_gives_the_others_back(
    client: Client, start_worker: StartWorker, pool: Pool
) -> None:
    worker = start_worker(pool)
    late = client.prepare("probe.late", "database", times=1)
    before, after = echoes(client, "database", 3), echoes(client, "database", 3)
    client.submit_bundle(*before, late, *after)
    assert worker.stopped() == 0
    worker.restart()
    client.succeeded(late.id)
    succeeded(client, [job.id for job in [*before, *after]])
    assert client.outcomes(late.id) == ["failed", "succeeded"]
    for job in after:
        assert client.outcomes(job.id) == ["handed_back", "succeeded"]


@prefork_only
def test_a_killer_is_found_and_its_neighbours_are_not_charged(client: Client, queue: str) -> None:
    killer = client.prepare("probe.die", queue, times=99)
    neighbours = echoes(client, queue, 9)
    client.submit_bundle(*neighbours[:5], killer, *neighbours[5:])
    assert client.failed(killer.id)["error"]["type"] == "Lost"
    job = client.job(killer.id)
    assert (job["shared_losses"], job["alone_losses"]) == (1, 3)
    succeeded(client, [job.id for job in neighbours])


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_stops_gives_back_what_it_had_not_begun(
    client: Client, start_worker: StartWorker, gate: Path, pool: Pool
) -> None:
    worker = start_worker(pool)
    first = client.prepare("probe.wait", "database", gate=str(gate))
    waiting = echoes(client, "database", 4)
    client.submit_bundle(first, *waiting)
    client.running(first.id)
    worker.kill("SIGTERM")
    worker.wait_for_log("Warm shutdown")
    gate.touch()
    assert worker.stopped() == 0
    assert client.outcomes(first.id) == ["succeeded"]
    for job in waiting:
        assert client.outcomes(job.id) == ["handed_back"]
    worker.restart()
    succeeded(client, [job.id for job in waiting])


def test_a_job_that_was_taken_away_while_it_waited_does_not_begin(
    client: Client, queue: str, gate: Path, fleet: Fleet, pool: Pool
) -> None:
    """As after its lease ran out: another worker holds it."""
    first = client.prepare("probe.wait", queue, gate=str(gate))
    ids = client.submit_bundle(first, *echoes(client, queue, 3))
    client.running(first.id)
    taken = client.take_away(ids[2])
    _let_time_pass(client, first.id)
    gate.touch()
    succeeded(client, [first.id, ids[1], ids[3]])
    said = fleet[pool].logs()
    assert [f"echoed job={job_id}" in said for job_id in ids[1:]] == [True, False, True]
    assert client.outcomes(ids[2]) == ["lost", None]
    client.finish(taken)
    assert client.outcomes(ids[2]) == ["lost", "succeeded"]


def test_the_jobs_in_a_bundle_are_in_the_worker_s_hand(client: Client, fleet: Fleet, gate: Path) -> None:
    """The comparison of what it holds with what it runs finds nothing amiss for as long as they wait."""
    assert fleet["prefork"].container.status == "running"
    first = client.prepare("probe.wait", "report", gate=str(gate))
    ids = client.submit_bundle(first, *echoes(client, "report", 2))
    client.running(first.id)
    _let_time_pass(client, first.id)
    gate.touch()
    for job_id in ids:
        client.succeeded(job_id)
        assert client.job(job_id)["losses"] == 0


def _let_time_pass(client: Client, job_id: UUID) -> None:
    """Three comparisons of leases, or so: as long as the worker of a job takes for some heartbeats."""
    beats = set()

    def look() -> bool:
        beats.add(client.heartbeat(job_id))
        return len(beats) > 6

    eventually(look)
