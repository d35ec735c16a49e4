"""Workers whose clocks are minutes apart, and apart from the ledger's: the ledger's decides."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.awaiting import eventually
from tests.clocks import needs_wrong_clocks, wrong_by
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from worker.contract.queues import Pool

pytestmark = needs_wrong_clocks

LEASE = 3.0  # seconds, of the session's platform


@pytest.mark.parametrize("minutes", [-10, 10], ids=["behind", "ahead"])
def test_a_worker_with_a_wrong_clock_holds_its_jobs_and_retries_them_in_time(
    start_worker: StartWorker, client: Client, pool: Pool, gate: Path, minutes: int
) -> None:
    worker = start_worker(pool, settings=wrong_by(minutes))
    held = client.submit("probe.wait", "database", gate=str(gate))
    client.running(held)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2 * LEASE)
    flaky = client.submit("probe.flaky", "database", failures=1, after=1.0)
    job = client.succeeded(flaky)
    assert client.outcomes(flaky) == ["failed", "succeeded"]
    gate.touch()
    client.succeeded(held)
    assert client.outcomes(held) == ["succeeded"]
    assert job["finished_at"] - job["created_at"] < timedelta(seconds=60)
    assert _wrong(worker.logs()), "its clock was right"


def _wrong(log: str) -> bool:
    """Whether the lines of a log are minutes away from now."""
    written = next(line for line in log.splitlines() if "worker_ready" in line)[:5]
    near = {time.strftime("%H:%M", time.localtime(time.time() + offset)) for offset in range(-180, 181, 60)}
    return written not in near
