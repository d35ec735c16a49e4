"""Speed with 10 million finished jobs in the history and a million queued, and with an empty ledger.

Two platforms take turns, each with servers of its own. The history lies in the partitions of the last days,
and belongs to another client; the million wait in a queue that is paused. What the rounds leave behind stays
there, as it would, and has ended.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import text

from ops.bench.course import Course
from ops.bench.figures import Round
from ops.bench.ground import Ground, ground
from ops.bench.kinds.bench.noop import noop
from ops.bench.kinds.bench.single import single
from ops.bench.measures import accept
from ops.bench.measures.drain import Way, drained
from ops.bench.turns import Contender, turns
from worker.contract.queues import DATABASE, EMAIL
from worker.ledger import partitions
from worker.ledger.engines import Ledger

_DAYS = 10  # of the history
_CHUNK = 250_000  # jobs in one statement
_TIMEOUT = text("SET LOCAL statement_timeout = 0")
_SETTLE = [
    text(each) for each in ("SET statement_timeout = 0", "VACUUM (ANALYZE)", "RESET statement_timeout")
]
_PAUSE = text("INSERT INTO queues (name, paused_at) VALUES (:queue, now())")
_OTHERS = "00000000-0000-0000-0000-000000000001"  # who owns the history

# A UUIDv7 of a moment: its milliseconds in the first 48 bits, a version, and what is random.
_ID = """
    CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7'
         || substr(replace(CAST(gen_random_uuid() AS text), '-', ''), 14) AS uuid)
"""
_JOBS = text(f"""
    INSERT INTO jobs (id, client_id, kind, queue, state, priority, payload, description,
                      attempt, max_attempts, created_at, due_at, published_at, publications, started_at,
                      finished_at, result)
    SELECT {_ID}, CAST('{_OTHERS}' AS uuid), 'bench.noop', :queue, :state, 1,
           json_build_object('number', n), '', CAST(:ended AS int), 3, at, at,
           CASE WHEN :ended THEN at END, CAST(:ended AS int), CASE WHEN :ended THEN at END,
           CASE WHEN :ended THEN at END, CASE WHEN :ended THEN json_build_object('number', n) END
    FROM (SELECT n, CAST(:first AS timestamptz) + n * CAST(:step AS interval) AS at
          FROM generate_series(1, :count) AS n) AS new
""")  # noqa: S608 - a constant's


def measure(course: Course) -> list[Round]:
    """Fill the one, leave the other empty, and let them take turns."""
    with ground(course, "empty") as empty, ground(course, "full") as full:
        full.keep = True
        _fill(course, full)
        with ExitStack() as stack:
            for place in (empty, full):
                stack.enter_context(place.api())
            return turns(course, _contenders(course, {"empty": empty, "full": full}))


def _contenders(course: Course, places: Mapping[str, Ground]) -> dict[str, Contender]:
    slow, quick = course.scale(4000, 200), course.scale(30_000, 1000)
    backlog = Way(noop, EMAIL, quick, published=False)
    acts = {
        "accept": partial(accept.singles, course=course),
        "drain": partial(drained, way=Way(single, EMAIL, slow)),
        "backlog": partial(drained, way=backlog),
    }
    return {
        f"{act} {name}": partial(run, place) for act, run in acts.items() for name, place in places.items()
    }


def _fill(course: Course, place: Ground) -> None:
    finished, queued = course.scale(10_000_000, 20_000), course.scale(1_000_000, 2_000)
    now = datetime.now(UTC)
    start, step = now - timedelta(days=_DAYS), timedelta(days=_DAYS) / finished
    ledger = place.ledger
    with ledger.write() as connection:
        partitions.make_ahead(connection, start.date(), _DAYS)
        connection.execute(_PAUSE, {"queue": DATABASE.name})
    for number in range(0, finished, _CHUNK):
        _insert(ledger, start + number * step, step, min(_CHUNK, finished - number), ended=True)
        course.say(f"{number + _CHUNK:,} of {finished:,} finished jobs are there")
    for number in range(0, queued, _CHUNK):
        first = now - timedelta(hours=1) + number * timedelta(milliseconds=1)
        _insert(ledger, first, timedelta(milliseconds=1), min(_CHUNK, queued - number), ended=False)
    _settle(ledger)


def _insert(ledger: Ledger, first: datetime, step: timedelta, count: int, *, ended: bool) -> None:
    with ledger.write() as connection:
        connection.execute(_TIMEOUT)
        connection.execute(
            _JOBS,
            {
                "first": first,
                "step": step,
                "count": count,
                "ended": ended,
                "state": "succeeded" if ended else "queued",
                "queue": EMAIL.name if ended else DATABASE.name,
            },
        )


def _settle(ledger: Ledger) -> None:
    """As autovacuum would have done on the way; else it would do so during the first rounds."""
    with ledger.write_at_once() as connection:
        for statement in _SETTLE:
            connection.execute(statement)
