"""A hundred thousand jobs due at one moment: how fast dispatch sends them, while others claim and submit.

An API, a beat and the workers of two queues run meanwhile, and a client submits further jobs one after the
other. Told are the jobs a second from the moment until the last was published, and until the last ended, and
how long the submissions took.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from uuid import UUID

from api.client import Client
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round, quantile
from ops.bench.ground import Ground, ground
from ops.bench.kinds.bench.noop import noop
from ops.bench.measures.drain import fill, prepared
from ops.bench.process import Process
from ops.bench.turns import turns
from worker.contract.queues import EMAIL, REPORT
from worker.ledger.engines import Ledger
from worker.ledger.transitions import enqueue

_PILOT = 2000  # jobs that tell how long the others take to be written
_SPARE = 2.0  # times as long
_SETTLE = 30.0  # seconds for the processes to start
_PATIENCE = 600.0
_LOOK = 0.25
_PAUSE = 0.02  # seconds between two submissions

_WAITING = ("state = 'scheduled'", "state = 'queued' AND published_at IS NULL")
_LIVE = "state IN ('scheduled', 'queued', 'running', 'retrying')"
_RIGHT = "state = 'succeeded' AND attempt = 1 AND payload ->> 'number' = result ->> 'number'"


def measure(course: Course) -> list[Round]:
    """Let as many become due as the goal says."""
    with ground(course) as place:
        return turns(course, {"jobyard": lambda: _due(place, course.scale(100_000, 2000))})


def _due(place: Ground, count: int) -> Mapping[str, float]:
    place.clear()
    with ExitStack() as stack:
        moment = _scheduled(place.ledger, count, place.client, _SETTLE)
        stack.enter_context(place.api())
        stack.enter_context(place.worker(REPORT.name))
        stack.enter_context(place.worker(EMAIL.name))
        beat = stack.enter_context(place.role("beat"))
        if time.time() > moment:
            raise Invalid("the jobs were due before all was ready")
        time.sleep(moment - time.time())
        with _submitting(place) as latencies:
            published = max(_until(beat, place, each) for each in _WAITING) - moment
            ended = _until(beat, place, _LIVE + " AND scheduled_at IS NOT NULL") - moment
        beat.wait(lambda: not place.any(_LIVE), _PATIENCE, _LOOK)
        right, wanted = place.count(_RIGHT), count + len(latencies)
        if right != wanted:
            raise Invalid(f"of {wanted} jobs {right} gave their own number at once")
        return {
            "dispatched per second": count / published,
            "ended per second": count / ended,
            "submissions meanwhile, p99 ms": 1000 * quantile(latencies, 0.99),
        }


def _scheduled(ledger: Ledger, count: int, client: UUID, ready: float) -> float:
    """Schedule half for either queue, for a moment after all of them are written; that moment.

    Args:
        ledger: where.
        count: how many.
        client: whose.
        ready: seconds to spare, for processes to start.
    """
    began = time.time()
    with ledger.read() as connection:  # undone at its end: it only tells how long the others take
        enqueue(connection, prepared(noop, REPORT, range(_PILOT), client))
    moment = time.time() + ready + _SPARE * count / _PILOT * (time.time() - began)
    at = datetime.fromtimestamp(moment, UTC)
    for queue in (REPORT, EMAIL):
        fill(ledger, noop, queue, count // 2, client, due=at)
    return moment


def _until(beat: Process, place: Ground, condition: str) -> float:
    """When no job meets the condition any more."""
    beat.wait(lambda: not place.any(condition), _PATIENCE, _LOOK)
    return time.time()


@contextmanager
def _submitting(place: Ground) -> Iterator[list[float]]:
    """Submit one job after the other; how long each took."""
    latencies: list[float] = []
    over = threading.Event()
    api = f"http://{place.api_address[0]}:{place.api_address[1]}"

    def submit() -> None:
        with Client(api, place.key) as client:
            while not over.wait(_PAUSE):
                began = time.perf_counter()
                client.submit(noop.name, {"number": len(latencies)})
                latencies.append(time.perf_counter() - began)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield latencies
    finally:
        over.set()
        thread.join()
