"""The broker is away: how submissions fare, and how soon all of them are done after its return."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import repeat
from pathlib import Path

import msgspec

from ops.chaos.history import Journal, Submitted, read
from ops.chaos.load import Clients
from ops.chaos.measure.bench import CONNECTIONS, Bench
from ops.chaos.measure.claim import Claim, at_most
from ops.chaos.mix import Wish
from ops.chaos.report import quantile

LIMIT = 10.0  # seconds
SLOWER = 2.0  # times the p99 in calm

_KIND = "chaos.web"
_RATE = 40.0  # submissions a second
_CALM = 30.0  # seconds
_LAST_ANSWERS = 30.0
_PATIENCE = 300.0


def measure(bench: Bench, away: float) -> Iterator[Claim]:
    """Submit at a steady rate in calm, then while every connection to the broker is cut and refused."""
    usual = _drain(bench, int(_RATE * away))
    file = bench.new_file()
    cut_at, back_at = _submit(bench, file, away)
    tries = [event for event in read([file]) if isinstance(event, Submitted)]
    calm = [tried for tried in tries if tried.at < cut_at]
    during = [tried for tried in tries if cut_at <= tried.at - tried.seconds < back_at]
    yield accepted(during, away)
    yield slower(calm, during)
    jobs = [tried.job for tried in during if tried.job is not None]
    runs = bench.await_done(jobs, _PATIENCE)
    later = [run.start for job in jobs for run in runs[job] if run.start > back_at]
    yield at_most("after its return work goes on", LIMIT, [min(later) - back_at] if later else [])
    done = max(run.seen for job in jobs for run in runs[job])
    what = f"and all {len(jobs)} are done, in the {usual:.1f} s that so many take and"
    yield at_most(what, LIMIT, [done - back_at - usual])


def _drain(bench: Bench, number: int) -> float:
    """Seconds that such a backlog takes in calm."""
    begins = bench.ready(number)
    jobs = bench.submit(_KIND, number, due=lambda _: begins)
    runs = bench.await_done(jobs, _PATIENCE)
    return max(run.seen for job in jobs for run in runs[job]) - begins


def _submit(bench: Bench, file: Path, away: float) -> tuple[float, float]:
    """When the broker went, and when it came back."""
    with closing(Journal(file)) as journal:
        wish = Wish(kind=_KIND, payload={"journal": str(bench.runs_file)})
        wishes = (
            msgspec.structs.replace(wish, key=f"{file.stem}-{number}")
            for number, wish in enumerate(repeat(wish))
        )
        clients = Clients(bench.api, wishes, _RATE, CONNECTIONS, journal)
        clients.start()
        try:
            time.sleep(_CALM)
            cut_at = time.monotonic()
            bench.rig.to_broker.cut()
            time.sleep(away)
        finally:
            bench.rig.to_broker.restore()
            back_at = time.monotonic()
            clients.stop(_LAST_ANSWERS)
    return cut_at, back_at


def accepted(during: Sequence[Submitted], away: float) -> Claim:
    """That no try during the outage was answered otherwise than with 202."""
    refused = [tried for tried in during if tried.job is None]
    return Claim(
        what=f"broker away for {away:g} s: submissions are accepted",
        promised="all, at once",
        found=f"{len(during) - len(refused)} of {len(during)}",
        met=bool(during) and not refused,
    )


def slower(calm: Sequence[Submitted], during: Sequence[Submitted]) -> Claim:
    """That submissions during the outage took about as long as in calm."""
    usual = quantile((tried.seconds for tried in calm), 0.99) or 0.0
    found = quantile((tried.seconds for tried in during), 0.99) or 0.0
    return Claim(
        what="and their p99 is",
        promised=f"at most {SLOWER:g} times the calm one",
        found=f"{1000 * found:.0f} ms, {1000 * usual:.0f} ms in calm",
        met=0 < found <= SLOWER * usual,
    )
