"""The article's pages, fetched over the API: a hundred of 0 to 2 seconds, and a thousand of 2 on one worker.

The hundred are submitted one by one, each by a thread that waits for its result, and as one batch; the time
runs until the client knows that all are there. One page takes 2.0 seconds, so nobody is quicker. The thousand
are one batch; told is what the worker's process holds at most meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random

from api.client import Client
from ops.bench import memory
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.ground import Ground, ground
from ops.bench.looks import looks
from ops.bench.process import Process
from ops.bench.slow import site
from ops.bench.turns import turns

LONGEST = 2.0  # seconds

_KIND = "web.fetch"
_PATIENCE = 120.0
_LOOK = 0.25  # seconds between two looks at the worker's memory
_CONNECTIONS = 100
_RIGHT = (
    "state = 'succeeded' AND attempt = 1 AND result ->> 'status' = '200' AND (result ->> 'bytes')::int = "
)


def measure(course: Course) -> list[Round]:
    """Fetch in turns, on one platform."""
    with ground(course) as place, ExitStack() as stack:
        url = stack.enter_context(site(place))
        stack.enter_context(place.api())
        stack.enter_context(place.role("beat"))
        worker = stack.enter_context(place.worker("web"))
        api = f"http://{place.api_address[0]}:{place.api_address[1]}"
        client = stack.enter_context(Client(api, place.key, connections=_CONNECTIONS))
        hundred = _hundred(course.scale(100, 10))
        thousand = [LONGEST] * course.scale(1000, 20)
        return turns(
            course,
            {
                "100 pages one by one": lambda: _fetched(
                    place, url, hundred, lambda pages: _singles(client, pages)
                ),
                "100 pages as a batch": lambda: _fetched(
                    place, url, hundred, lambda pages: _batch(client, pages)
                ),
                "1,000 pages on one worker": lambda: _remembered(
                    worker, lambda: _fetched(place, url, thousand, lambda pages: _batch(client, pages))
                ),
            },
        )


def _hundred(count: int) -> list[float]:
    """Seconds from none to the longest, in an order that is always the same."""
    delays = [round(LONGEST * number / (count - 1), 3) for number in range(count)]
    Random(1).shuffle(delays)  # noqa: S311 - no secret
    return delays


def _fetched(
    place: Ground, url: str, delays: Sequence[float], fetch: Callable[[list[str]], None]
) -> Mapping[str, float]:
    before = time.time_ns()
    paths = [f"/{delay:.3f}/{before}-{number:04}" for number, delay in enumerate(delays)]
    began = time.perf_counter()
    fetch([url + path for path in paths])
    took = time.perf_counter() - began
    right = place.count(f"{_RIGHT} {len(paths[0])} AND payload ->> 'url' LIKE '%/{before}-%'")
    if right != len(paths):
        raise Invalid(f"{right} of {len(paths)} pages were fetched at once, and whole")
    return {"seconds": took, "of the ideal": took / max(delays)}


def _singles(client: Client, pages: list[str]) -> None:
    def run(page: str) -> None:
        _require_ended(client.run(_KIND, {"url": page}, _PATIENCE).ended)

    with ThreadPoolExecutor(len(pages)) as threads:
        list(threads.map(run, pages))


def _batch(client: Client, pages: list[str]) -> None:
    batch = client.batch([{"kind": _KIND, "payload": {"url": page}} for page in pages])
    _require_ended(client.wait_batch(batch.id, _PATIENCE).ended)


def _require_ended(ended: bool) -> None:  # noqa: FBT001 - a condition
    if not ended:
        raise Invalid(f"not all pages were there after {_PATIENCE:g} s")


def _remembered(worker: Process, fetch: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    with looks(lambda: memory.held(memory.family(worker.pid)), _LOOK) as held:
        figures = fetch()
    return {**figures, "worker's MB at most": max(look.seen for look in held)}
