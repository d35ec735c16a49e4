"""A worker is killed with jobs running: how long until they run again."""

import signal
import time
from collections.abc import Collection, Iterator, Sequence

from ops.chaos.crew import send
from ops.chaos.measure.bench import Bench, TooSlow
from ops.chaos.measure.claim import Claim, at_most
from ops.chaos.past import Run

LIMIT = 15.0  # seconds

_SECONDS = 4.0  # that a job works
_BEGUN = 20.0  # seconds until enough of them do
_PATIENCE = 120.0

# Queue, and how many jobs it is given: in one process, and in processes of their own.
_VICTIMS = (("web", 20), ("report", 2))


def measure(bench: Bench, rounds: int) -> Iterator[Claim]:
    """SIGKILL the main process of a worker, with the default settings and nobody to stand in for it."""
    for queue, number in _VICTIMS:
        found = [seconds for _ in range(rounds) for seconds in _kill(bench, queue, number)]
        yield at_most(f"worker {queue} killed {rounds} times: its jobs run again", LIMIT, found)


def _kill(bench: Bench, queue: str, number: int) -> list[float]:
    """Seconds from the kill to the next run of each job that it cut off."""
    bench.rig.settle()
    jobs = bench.submit(f"chaos.{queue}", number, seconds=_SECONDS)
    _await_start(bench, jobs)
    victim = bench.rig.crew.family(f"worker-{queue}")[:1]
    killed_at = time.monotonic()
    send(victim, signal.SIGKILL)
    runs = bench.await_done(jobs, _PATIENCE)
    found = [again(runs[job], killed_at) for job in jobs]
    return [start - killed_at for start in found if start is not None]


def _await_start(bench: Bench, jobs: Collection[str]) -> None:
    give_up_at = time.monotonic() + _BEGUN
    while not all(map(bench.runs().get, jobs)):
        if time.monotonic() > give_up_at:
            raise TooSlow(f"{len(jobs)} jobs did not begin within {_BEGUN:g} s")
        time.sleep(0.1)


def again(runs: Sequence[Run], killed_at: float) -> float | None:
    """When a job ran next that was cut off; None where it had come to its end."""
    if any(run.done and run.seen < killed_at for run in runs):
        return None
    return next((run.start for run in runs if run.start > killed_at), None)
