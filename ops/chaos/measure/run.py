"""All measurements, one after the other, on one platform."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from ops.chaos.api import Api
from ops.chaos.measure import beats, flush, outage, workers
from ops.chaos.measure.bench import CONNECTIONS, Bench
from ops.chaos.measure.claim import Claim
from ops.chaos.place import place
from ops.chaos.rig import running as platform

MEASURED = "measured.json"


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    rounds: int = 5  # kills of each worker
    queued: int = 10_000  # when the broker is flushed
    away: tuple[float, ...] = (30.0,)  # seconds of each outage of the broker


def run(course: Course, out: Path, say: Callable[[str], None]) -> list[Claim]:
    """Measure on a platform of its own.

    Args:
        course: what to measure.
        out: a folder; the claims, the histories and the logs go there.
        say: told each claim as it is measured.

    Raises:
        NotUp: the platform does not come up.
        TooSlow: a measurement came to nothing.
        KeyboardInterrupt: somebody stopped it; nothing is left running.
    """
    claims: list[Claim] = []
    with (
        place(out) as folder,
        platform(folder, os.environ) as rig,
        closing(Api(rig.api_port, rig.key, CONNECTIONS)) as api,
    ):
        _write(out, claims)
        for claim in _measured(course, Bench(rig, api, folder)):
            say(f"{claim.what} {claim.promised}: {claim.found}")
            claims.append(claim)
            _write(out, claims)
    return claims


def _measured(course: Course, bench: Bench) -> Iterator[Claim]:
    yield from workers.measure(bench, course.rounds)
    yield from beats.measure(bench)
    for away in course.away:
        yield from outage.measure(bench, away)
    yield from flush.measure(bench, course.queued)


def _write(out: Path, claims: list[Claim]) -> None:
    (out / MEASURED).write_bytes(msgspec.json.format(msgspec.json.encode(claims)))
