"""Accepting and draining together for long, at 70 % of what the slower of both can do alone.

Clients submit at a steady pace, whatever the answers take, and wait for each result with `Prefer: wait`. Told
are their latencies; and what the last quarter of the time has more than the second: jobs that have not ended,
and in percent the partial indexes, which should follow the backlog, and all tables and indexes by the job.
"""

from collections.abc import Mapping
from contextlib import ExitStack

import msgspec
from sqlalchemy import text

from ops.bench import pace
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round, quantile
from ops.bench.ground import Ground, ground
from ops.bench.kinds.bench.single import single
from ops.bench.looks import growth, looks
from ops.bench.measures import accept
from ops.bench.measures.drain import Way, drained
from ops.bench.turns import turns
from worker.contract.queues import EMAIL
from worker.ledger.engines import Ledger

_PART = 0.7
_MINUTES = 10.0
_SHORT = 0.1
_PAUSE = 2.0  # seconds between two looks

_SIZES = text("""
    SELECT (SELECT count(*) FROM jobs) AS jobs,
           (SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'retrying')) AS live,
           sum(pg_relation_size(i.indexrelid)) FILTER (WHERE i.indpred IS NOT NULL) AS partial,
           sum(pg_relation_size(i.indexrelid))
             + (SELECT sum(pg_table_size(relid)) FROM pg_partition_tree('jobs') WHERE isleaf) AS total
    FROM pg_partition_tree('jobs') p JOIN pg_index i ON i.indrelid = p.relid WHERE p.isleaf
""")


class Sizes(msgspec.Struct, frozen=True):
    """What the ledger holds."""

    jobs: float
    live: float
    partial: float  # bytes
    total: float  # bytes


def measure(course: Course) -> list[Round]:
    """Find out what each can do alone, then let them go on together."""
    with ground(course) as place:
        return turns(course, {"jobyard": lambda: _together(course, place)})


def _together(course: Course, place: Ground) -> Mapping[str, float]:
    with place.api():
        accepted = accept.singles(place, course)["per second"]
    alone = drained(place, Way(single, EMAIL, course.scale(4000, 200)))["per second"]
    rate = _PART * min(accepted, alone)
    seconds = 60 * (course.minutes or (_SHORT if course.short else _MINUTES))
    place.clear()
    with ExitStack() as stack:
        stack.enter_context(place.api())
        stack.enter_context(place.role("beat"))
        stack.enter_context(place.worker(EMAIL.name))
        with looks(lambda: _sizes(place.ledger), _PAUSE) as seen:
            ended = pace.submit(place.api_address, place.key, _wish, rate, seconds)
        _require_all(place, len(ended))
    latencies = [each.seconds for each in ended]
    sizes = [look.seen for look in seen]
    return {
        "submitted per second": rate,
        "p50 ms": 1000 * quantile(latencies, 0.5),
        "p99 ms": 1000 * quantile(latencies, 0.99),
        "backlog grows by jobs": growth([each.live for each in sizes]),
        "partial indexes grow by %": _percent([each.partial for each in sizes]),
        "bytes a job grow by %": _percent([each.total / each.jobs for each in sizes if each.jobs]),
    }


def _wish(number: int) -> object:
    return {"kind": single.name, "queue": EMAIL.name, "payload": {"number": number}}


def _sizes(ledger: Ledger) -> Sizes:
    with ledger.write() as connection:
        row = connection.execute(_SIZES).one()
    return Sizes(*(float(value or 0) for value in row))


def _percent(values: list[float]) -> float:
    return 100 * growth(values) / values[len(values) // 2]


def _require_all(place: Ground, count: int) -> None:
    right = place.count("state = 'succeeded' AND attempt = 1 AND payload ->> 'number' = result ->> 'number'")
    if right != count:
        raise Invalid(f"of {count} jobs {right} gave their own number at once")
