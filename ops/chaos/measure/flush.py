"""The broker is flushed under a backlog: when work goes on, and what every job's wait was without that."""

import time
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from ops.chaos.faults.valkey import broker_flushed
from ops.chaos.measure.bench import Bench
from ops.chaos.measure.claim import Claim, at_most

LIMIT = 10.0  # seconds

_KIND, _SECONDS = "chaos.webhook", 0.1  # sixteen at a time: the slots set the pace, not the processor
_SPARE = 1.1  # of the jobs some have begun when it is flushed
_FLUSH = 4.0  # seconds after they became due
_PATIENCE = 900.0

_QUEUED = "SELECT count(*) FROM jobs WHERE state = 'queued'"


def measure(bench: Bench, queued: int) -> Iterator[Claim]:
    """Let the same backlog become due twice, and flush the broker the second time."""
    calm, *_ = _drain(bench, queued, flush=False)
    struck, pause, held = _drain(bench, queued, flush=True)
    yield at_most(f"broker flushed with {held} queued: work goes on", LIMIT, [pause])
    # Of one run alone, so that it holds on a machine that others use too.
    overtaken = [start - turn for start, turn in zip(struck, sorted(struck), strict=True)]
    yield at_most("and no job begins later than in its turn, but for", LIMIT, overtaken)
    longer = [with_it - without for with_it, without in zip(struck, calm, strict=True)]
    yield at_most("and none waits longer than in a run without the flush, but for", LIMIT, longer)


def _drain(bench: Bench, queued: int, *, flush: bool) -> tuple[list[float], float, int]:
    """(each job's wait, the longest time without a start after the flush, the jobs queued at the flush)."""
    number = int(queued * _SPARE)
    begins = bench.ready(number)
    due = [begins + n / 10_000 for n in range(number)]
    jobs = bench.submit(_KIND, number, seconds=_SECONDS, due=due.__getitem__)
    time.sleep(max(0.0, begins + _FLUSH - time.monotonic()))
    held = int(bench.rig.sql(_QUEUED)[0][0])
    flushed_at = time.monotonic()
    if flush:
        with broker_flushed.strike(bench.rig, Random(0)):  # noqa: S311 - it draws none
            pass
    runs = bench.await_done(jobs, _PATIENCE)
    starts = [runs[job][0].start for job in jobs]
    later = [flushed_at, *sorted(start for start in starts if start > flushed_at)]
    pause = max(after - before for before, after in pairwise(later))
    return [start - moment for start, moment in zip(starts, due, strict=True)], pause, held
