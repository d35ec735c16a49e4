"""The broker dies, hangs, forgets or is fed nonsense: clients notice nothing, and work goes on after it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from math import inf
from pathlib import Path
from random import Random
from statistics import median

import pytest

from ops.chaos.api import Api
from ops.chaos.crew import ALL_WORKERS, send
from ops.chaos.faults import FAULTS
from ops.chaos.faults.fault import Missed
from ops.chaos.history import Journal, Submitted, read
from ops.chaos.load import Clients
from ops.chaos.mix import Wish
from ops.chaos.rig import Rig
from tests.awaiting import eventually
from tests.faults.bystander import KINDS, Bystander

RESUMED = 10.0  # seconds after the broker's return until work goes on, as the design promises
CALM = 2.0  # seconds before and after, to compare with
RATE = 10.0  # submissions a second
REPORT = "report\x06\x163"  # where Valkey keeps messages of normal priority
SLOWER = 3.0  # times the usual median, as others may load the machine; `jobyard chaos measure` has the p99
LITTLE = (
    0.05  # seconds that load makes of a median where it comes and goes; who waits for a broker waits longer
)


def _wishes(runs: Path, mark: str) -> Iterator[Wish]:
    number = 0
    while True:
        yield Wish(key=f"{mark}-{number}", kind=f"chaos.{KINDS[number % 5]}", payload={"journal": str(runs)})
        number += 1


@contextmanager
def clients(rig: Rig, bystander: Bystander, mark: str) -> Iterator[Callable[[], list[Submitted]]]:
    """Clients that submit short jobs to every queue meanwhile; gives their tries, in the end."""
    file = bystander.runs.with_name(f"{mark}.jsonl")
    with closing(Journal(file)) as journal, closing(Api(rig.api_port, rig.key, 16)) as api:
        submitting = Clients(api, _wishes(bystander.runs, mark), RATE, 16, journal)
        submitting.start()
        try:
            yield lambda: [event for event in read([file]) if isinstance(event, Submitted)]
        finally:
            submitting.stop(20.0)


@pytest.mark.parametrize(
    ("fault", "lasts"), [("broker-killed", 11.0), ("broker-hangs", 6.0), ("broker-full", 4.0)]
)
def test_submissions_are_accepted_as_ever_while_the_broker_is_away_and_work_resumes_after_it(
    rig: Rig, bystander: Bystander, fault: str, lasts: float
) -> None:
    with clients(rig, bystander, fault) as tries:
        time.sleep(CALM)
        gone = time.monotonic()
        with FAULTS[fault].strike(rig, Random(0)):  # noqa: S311 - unused
            time.sleep(lasts)
            mended = time.monotonic()
        back = time.monotonic()
        fresh = [bystander.submit(kind) for kind in KINDS]
        waiting = [tried.job for tried in tries() if tried.job and tried.at < back]
        bystander.succeeded([*fresh, *waiting], RESUMED - (time.monotonic() - back))
        time.sleep(CALM)
    assert {tried.status for tried in tries()} == {202}
    before, during, after = (
        median(tried.seconds for tried in tries() if begun <= tried.at - tried.seconds < over)
        for begun, over in ((0.0, gone), (gone, mended), (back, inf))
    )
    assert during <= max(SLOWER * max(before, after), LITTLE)
    assert {job_id: len(bystander.started(job_id)) for job_id in waiting} == dict.fromkeys(waiting, 1)


def test_a_flushed_broker_delays_its_backlog_by_ten_seconds_at_most(rig: Rig, bystander: Bystander) -> None:
    with backlog(rig, bystander, 30) as ids, FAULTS["broker-flushed"].strike(rig, Random(0)):  # noqa: S311 - unused
        flushed_at = time.monotonic()
    bystander.succeeded(ids, 2.0 + RESUMED - (time.monotonic() - flushed_at))
    assert {len(bystander.started(job_id)) for job_id in ids} == {1}


def test_a_message_that_a_busy_queue_lost_comes_again(rig: Rig, bystander: Bystander) -> None:
    with backlog(rig, bystander, 10) as ids, rig.valkey() as valkey:
        assert valkey.lpop(REPORT)
    bystander.succeeded(ids)
    assert {len(bystander.started(job_id)) for job_id in ids} == {1}


@contextmanager
def backlog(rig: Rig, bystander: Bystander, count: int) -> Iterator[list[str]]:
    """Jobs whose messages are in the broker, for their worker is stopped meanwhile."""
    family = rig.crew.family("worker-report")
    send(family, signal.SIGSTOP)
    try:
        ids = [bystander.submit("report") for _ in range(count)]
        with rig.valkey() as valkey:
            eventually(lambda: valkey.llen(REPORT) > count / 2)
        yield ids
    finally:
        send(family, signal.SIGCONT)


def test_nonsense_in_the_queues_is_dropped_and_doubled_messages_run_nothing_twice(
    rig: Rig, bystander: Bystander
) -> None:
    before = {name: rig.crew.main(name) for name in ALL_WORKERS}
    ids: list[str] = []
    for fault in ("garbage", "messages-doubled", "garbage"):
        ids += _struck_under_load(rig, bystander, fault)
    bystander.succeeded(ids)
    assert {len(bystander.started(job_id)) for job_id in ids} == {1}
    assert {name: rig.crew.main(name) for name in ALL_WORKERS} == before


def _struck_under_load(rig: Rig, bystander: Bystander, fault: str) -> list[str]:
    """Strike while messages come by; gives the jobs that were submitted for it."""
    ids: list[str] = []
    for _ in range(10):
        ids += [bystander.submit(kind, seconds=0.3) for kind in KINDS * 4]
        with suppress(Missed), FAULTS[fault].strike(rig, Random(1)):  # noqa: S311 - to be replayed
            return ids
    raise AssertionError(f"{fault}: the workers took every message before it")
