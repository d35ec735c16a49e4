"""What an operator does in Flower or with `celery control`: Celery's remote control, on each pool."""

from pathlib import Path

import pytest
from celery.app.control import Control
from pytest_celery import CeleryTestSetup  # type: ignore[import-untyped]  # it has none

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet, StartWorker
from tests.smoke.platform import QUEUE_OF, Platform
from tests.smoke.probes import CATALOG
from worker.contract.queues import Pool

PATIENCE = 30.0  # seconds for the workers' replies


@pytest.fixture(scope="module", autouse=True)
def _listening(platform: Platform, fleet: Fleet) -> None:
    """Remote control is broadcast, and under gevent a worker that is ready listens a moment later."""
    _await_listeners(platform.app.control, [worker.hostname() for worker in fleet.values()])


def _await_listeners(control: Control, names: list[str]) -> None:
    eventually(lambda: len(control.ping(names, timeout=1.0, limit=len(names))) == len(names))


def test_every_worker_answers(celery_setup: CeleryTestSetup) -> None:
    assert celery_setup.ready(control=True)
    replies = celery_setup.app.control.ping(timeout=PATIENCE, limit=3)
    names = {name for reply in replies for name in reply}
    assert names == {worker.hostname() for worker in celery_setup.worker_cluster}


def test_the_kinds_are_shown_under_their_names(celery_setup: CeleryTestSetup) -> None:
    registered = celery_setup.app.control.inspect(timeout=PATIENCE, limit=3).registered()
    assert len(registered) == 3
    for names in registered.values():
        assert set(CATALOG) <= set(names)


def test_a_running_job_is_shown_with_a_description_that_hides_its_payload(
    celery_setup: CeleryTestSetup, client: Client, pool: Pool, fleet: Fleet, gate: Path
) -> None:
    job_id = client.submit("probe.wait", QUEUE_OF[pool], gate=str(gate))
    client.running(job_id)
    name = fleet[pool].hostname()
    (shown,) = celery_setup.app.control.inspect([name], timeout=PATIENCE, limit=1).active()[name]
    assert (shown["id"], shown["name"]) == (str(job_id), "probe.wait")
    assert str(gate) not in str(shown)
    gate.touch()
    client.succeeded(job_id)


def test_a_revoked_job_that_waits_is_cancelled_at_once(
    celery_setup: CeleryTestSetup, client: Client, queue: str
) -> None:
    job = client.prepare("probe.echo", queue)
    client.accept(job)
    celery_setup.app.control.revoke(str(job.id), reply=True, timeout=PATIENCE, limit=3)
    client.cancelled(job.id)
    client.publish([job])
    client.succeeded(client.submit("probe.echo", queue))
    assert client.outcomes(job.id) == []


def test_a_job_that_is_terminated_while_it_runs_is_cancelled(
    celery_setup: CeleryTestSetup, client: Client, queue: str, gate: Path
) -> None:
    job_id = client.submit("probe.wait", queue, gate=str(gate))
    client.running(job_id)
    celery_setup.app.control.revoke(str(job_id), terminate=True, reply=True, timeout=PATIENCE, limit=3)
    client.cancelled(job_id)
    assert client.outcomes(job_id) == ["cancelled"]
    client.succeeded(client.submit("probe.echo", queue))


@pytest.mark.parametrize("pool", ["prefork"])
def test_the_neighbour_of_a_terminated_job_goes_on(
    celery_setup: CeleryTestSetup, client: Client, queue: str, gate: Path
) -> None:
    first, second = client.submit_many("probe.deaf", queue, 2, gate=str(gate))
    for job_id in (first, second):
        client.running(job_id)
    celery_setup.app.control.revoke(str(first), terminate=True, reply=True, timeout=PATIENCE, limit=3)
    client.cancelled(first)
    gate.touch()
    client.succeeded(second)
    assert client.outcomes(second) == ["succeeded"]


def test_a_revoked_job_can_run_again_on_any_worker(
    celery_setup: CeleryTestSetup, client: Client, start_worker: StartWorker
) -> None:
    """Celery's own workers remember what was revoked for hours, and would drop its message."""
    first = start_worker("threads")
    job = client.prepare("probe.echo", "database")
    client.accept(job)
    workers = (first, *celery_setup.worker_cluster)
    control = celery_setup.app.control
    _await_listeners(control, [worker.hostname() for worker in workers])
    control.revoke(str(job.id))
    for worker in workers:
        worker.wait_for_log(f"job_revoked job={job.id}")
    assert client.job(job.id)["state"] == "cancelled"
    client.run_again(job.id)
    client.succeeded(job.id)


def test_a_worker_that_is_shut_down_hands_back_what_does_not_end(
    celery_setup: CeleryTestSetup, client: Client, start_worker: StartWorker, gate: Path, pool: Pool
) -> None:
    worker = start_worker(pool, grace=1.0)
    job_id = client.submit("probe.deaf", "database", gate=str(gate))
    client.running(job_id)
    _await_listeners(celery_setup.app.control, [worker.hostname()])
    with client.paused("database"):
        celery_setup.app.control.shutdown([worker.hostname()])
        assert worker.stopped() == 0
        assert client.outcomes(job_id) == ["handed_back"]
        client.cancel(job_id)
    assert worker.name() not in client.leases()
