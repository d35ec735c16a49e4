"""Drained jobs a second: no-ops that wait when the workers start, against plain Celery and its peers.

Ours are drained three ways. *One by one*: a message for each, published beforehand, as single submissions
are while their queue has room. *Bundles*: the same with a short kind, as dispatch bundles a backlog.
*Backlog*: all of them still in the ledger, and beat dispatches while the worker drains, as it is by default.
The time runs from the first claim to the last outcome, theirs from the start of the first job to that of the
last. Told too is what a job costs of the processor, of all processes and servers together, from the start of
the workers to the last end: other load on the machine changes that less. Our workers send the events that
Flower needs; Celery does so only as `celery_events`.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from sqlalchemy import text

from ops.bench import memory
from ops.bench.course import Course, Invalid
from ops.bench.crowd import COST
from ops.bench.figures import Round
from ops.bench.ground import Ground, ground, libpq
from ops.bench.kinds.bench.noop import noop
from ops.bench.kinds.bench.single import single
from ops.bench.rivals import environment, tutor
from ops.bench.turns import Contender, turns
from schedules.dispatch import Dispatch
from schedules.metrics import Metrics
from worker.broker import Broker
from worker.catalog import AnyKind
from worker.contract.queues import EMAIL, REPORT, Queue
from worker.enqueue import Enqueuer, submission
from worker.ledger import agenda, transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import NewJob

PEERS = ("dramatiq", "taskiq", "huey", "arq", "rq", "procrastinate")
CELERY = ("celery", "celery_threads", "celery_events")

_DATABASE = 2  # of Valkey, for the peers
_CHUNK = 1000  # jobs in one transaction
_LOOK = 0.5  # seconds between two looks
_PATIENCE = 300.0  # seconds that a backlog gets
_LIVE = "state IN ('queued', 'running', 'retrying')"
_OUTCOME = text("""
    SELECT count(*) AS jobs, sum((SELECT count(*) FROM attempts a WHERE a.job_id = j.id)) AS attempts,
           count(*) FILTER (WHERE state = 'succeeded' AND attempt = 1
                            AND payload ->> 'number' = result ->> 'number') AS right,
           count(DISTINCT payload ->> 'number') AS different,
           extract(epoch FROM max(finished_at) - min(started_at)) AS seconds
    FROM jobs j WHERE client_id = :client
""")


class Way(msgspec.Struct, frozen=True):
    """A way in which our jobs are drained."""

    kind: AnyKind
    queue: Queue
    jobs: int
    published: bool = True


def measure(course: Course) -> list[Round]:
    """Let all drain in turns, one at a time."""
    with ground(course) as place:
        return turns(course, {**_ours(course, place), **_theirs(course, place)})


def _ours(course: Course, place: Ground) -> dict[str, Contender]:
    slow, quick = course.scale(4000, 200), course.scale(30_000, 1000)
    ways = {
        "prefork one by one": Way(single, REPORT, slow),
        "threads one by one": Way(single, EMAIL, slow),
        "prefork bundles": Way(noop, REPORT, quick),
        "threads bundles": Way(noop, EMAIL, quick),
        "prefork backlog": Way(noop, REPORT, quick, published=False),
        "threads backlog": Way(noop, EMAIL, quick, published=False),
    }
    return {name: partial(drained, place, way) for name, way in ways.items()}


def _theirs(course: Course, place: Ground) -> dict[str, Contender]:
    jobs = course.scale(4000, 200)
    few = {"rq": jobs // 4}  # it forks for each
    return {peer: partial(_peer, course, place, peer, few.get(peer, jobs)) for peer in (*CELERY, *PEERS)}


def drained(place: Ground, way: Way) -> Mapping[str, float]:
    """Queue jobs, start a worker, and judge what came of them."""
    place.clear()
    fill(place.ledger, way.kind, way.queue, way.jobs, place.client)
    figures = _published(place, way) if way.published else {}
    before = memory.others()
    with (
        nullcontext() if way.published else place.role("beat"),
        place.worker(way.queue.name) as worker,
    ):
        worker.wait(lambda: not place.any(_LIVE), _PATIENCE, _LOOK)
        cost = _cost(before, way.jobs)
    return {"per second": way.jobs / _seconds(place, way.jobs), COST: cost, **figures}


def fill(
    ledger: Ledger, kind: AnyKind, queue: Queue, count: int, client: UUID, *, due: datetime | None = None
) -> None:
    """Queue jobs, each with a number of its own, or schedule them."""
    for start in range(0, count, _CHUNK):
        jobs = prepared(kind, queue, range(start, min(count, start + _CHUNK)), client, due)
        with ledger.write() as connection:
            transitions.enqueue(connection, jobs)


def prepared(
    kind: AnyKind, queue: Queue, numbers: Iterable[int], client: UUID, due: datetime | None = None
) -> list[NewJob]:
    """Jobs to write, each with its number."""
    enqueuer = Enqueuer({kind.name: kind})
    wishes = (
        submission(kind.name, {"number": number}, queue=queue.name, scheduled_at=due) for number in numbers
    )
    return [enqueuer.prepare(wish, client, None) for wish in wishes]


def _published(place: Ground, way: Way) -> Mapping[str, float]:
    broker = Broker(place.redis_url)
    short = [way.kind.name] if way.kind.short else []
    dispatch = Dispatch(place.ledger, broker, 2 * way.jobs, Metrics(), short)
    began = time.perf_counter()
    try:
        while dispatch.run(_todo(place.ledger)):
            pass
    finally:
        broker.close()
    return {"published per second": way.jobs / (time.perf_counter() - began)}


def _todo(ledger: Ledger) -> agenda.Agenda:
    with ledger.write() as connection:
        return agenda.read(connection)


def _seconds(place: Ground, jobs: int) -> float:
    with place.ledger.write() as connection:
        found = connection.execute(_OUTCOME, {"client": place.client}).one()
    if not jobs == found.jobs == found.right == found.different == found.attempts:
        raise Invalid(
            f"of {jobs} jobs {found.right} gave their own number at once, in {found.attempts} attempts"
        )
    return float(found.seconds)


def _peer(course: Course, place: Ground, peer: str, jobs: int) -> Mapping[str, float]:
    interpreter = environment.python(course, peer)
    variables = environment.environ(tutor.url(place, _DATABASE), libpq(place.warehouse))
    out = course.folder / f"{peer}.json"
    queued, ended = out.with_suffix(".queued"), out.with_suffix(".done")
    for file in (out, queued, ended):
        file.unlink(missing_ok=True)
    words = (str(interpreter), str(environment.PROGRAMS / "drive.py"), peer, str(jobs), str(out))
    with place.process(words, variables, f"peer-{peer}") as process:
        process.wait(queued.exists, _PATIENCE)
        before = memory.others()
        process.wait(ended.exists, _PATIENCE)
        cost = _cost(before, jobs)
        process.finish(_PATIENCE)
    found = msgspec.json.decode(out.read_bytes(), type=dict[str, float])
    return {"per second": found["jobs"] / found["seconds"], COST: cost}


def _cost(before: float, jobs: int) -> float:
    return 1000 * (memory.others() - before) / jobs
