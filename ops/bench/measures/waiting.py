"""Clients that wait on one API process: how soon thousands learn of their jobs' ends, and what they cost.

Each client waits for a job of its own with `Prefer: wait`; the jobs end, so many a second, as a worker would
end them; meanwhile others submit. Told are the milliseconds between the commit of an outcome and the answer,
those that submissions took while all waited and before, and those of a crowd that waits for one job; and what
each phase took of the API's processor, which other load on the machine does not change much.

Its clients speak HTTP over asyncio and not through `api.client`, which takes a thread for each who waits:
thousands of those would be what is measured.
"""

import asyncio
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
import psutil
import redis
import urllib3

from ops.bench import memory
from ops.bench.course import Course
from ops.bench.figures import Round, quantile
from ops.bench.ground import Ground, ground
from ops.bench.turns import turns
from worker.broker import ENDED_CHANNEL
from worker.contract.states import State
from worker.ledger import leases, transitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import Claim, NewJob, Outcome
from worker.settings import Settings

_HOST = "127.0.0.1"
_SUBMISSION = b'{"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}}'
_ENDS = 100.0  # jobs that end in a second
_SUBMISSIONS = 50.0  # in a second, meanwhile


class Held(NamedTuple):
    """A job that this program holds as a worker would."""

    id: UUID
    token: UUID


class Site:
    """A running API of one process, its ledger, and its broker.

    Args:
        place: where it runs.
        settings: of the API.
        master: gunicorn's process.
    """

    def __init__(self, place: Ground, settings: Settings, master: int) -> None:
        self._master = psutil.Process(master)
        self._client, self.key = place.client, place.key
        self.port = settings.api_port
        self._metrics = f"http://{_HOST}:{settings.api_metrics_port}/metrics"
        self.ledger = Ledger.open(settings, "bench")
        self.broker = redis.Redis.from_url(settings.broker_url or "")
        self._worker = uuid4()
        with self.ledger.write() as connection:
            leases.renew(connection, self._worker, name="bench", host="bench", pid=1, queues=["web"])

    def hold(self, count: int) -> list[Held]:
        """Jobs that run."""
        jobs = [self._new() for _ in range(count)]
        wishes = [Claim(job_id=job.id, token=uuid4(), worker_id=self._worker, alone=False) for job in jobs]
        with self.ledger.write() as connection:
            transitions.enqueue(connection, jobs)
        with self.ledger.write() as connection:
            return [Held(held.id, held.token) for held in transitions.claim(connection, wishes)]

    def end(self, held: Held) -> float:
        """End a job; when that was committed, as monotonic seconds."""
        state = State.SUCCEEDED
        outcome = Outcome(job_id=held.id, token=held.token, worker="bench", state=state, result=b"{}")
        with self.ledger.write() as connection:
            transitions.finish(connection, [outcome])
        committed = time.monotonic()
        self.broker.publish(ENDED_CHANNEL, str(held.id))
        return committed

    def processor(self) -> float:
        """Seconds of the processor that the API took so far."""
        return memory.processor(self._master.children())

    def memory(self) -> float:
        """MB that the API holds, its master included."""
        return memory.held(memory.family(self._master.pid))

    def close(self) -> None:
        """Let go of ledger and broker."""
        self.ledger.close()
        self.broker.close()

    def waiters(self) -> int:
        """How many wait."""
        page = urllib3.request("GET", self._metrics).data.decode()
        return int(float(page.partition("\njobyard_api_waiters ")[2].split("\n", 1)[0] or 0))

    def _new(self) -> NewJob:
        return NewJob(
            id=new_id(),
            client_id=self._client,
            kind="web.fetch",
            queue="web",
            payload=b'{"url": "http://127.0.0.1/"}',
            description="",
            max_attempts=1,
        )


class Connection:
    """A kept connection to the API."""

    def __init__(self, site: Site, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._key = site.key
        self._reader, self._writer = streams

    @classmethod
    async def open(cls, site: Site) -> "Connection":
        """Connect."""
        return cls(site, await asyncio.open_connection(_HOST, site.port))

    async def ask(self, line: str, body: bytes = b"") -> float:
        """Send a request; when its answer was read, as monotonic seconds."""
        head = (
            f"{line} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._key}\r\nPrefer: wait=60\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write((head if not body else head.replace("Prefer: wait=60\r\n", "")).encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith((b"http/1.1 200", b"http/1.1 202")):
            raise RuntimeError(answer.decode())
        await self._reader.readexactly(int(answer.partition(b"content-length: ")[2].split(b"\r", 1)[0]))
        return time.monotonic()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def measure(course: Course) -> list[Round]:
    """Let as many wait as the goal says."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ground(course) as place:
        one = msgspec.structs.replace(place.settings, api_workers=1)
        alone = msgspec.structs.replace(place, settings=one)
        return turns(course, {"jobyard": lambda: _waited(course, alone)})


def _waited(course: Course, place: Ground) -> Mapping[str, float]:
    with place.api() as process, closing(Site(place, place.settings, process.pid)) as site:
        figures = asyncio.run(_measure(site, course.scale(5000, 50)))
    place.clear()
    return figures


async def _measure(site: Site, number: int) -> Mapping[str, float]:
    alone = await _submitting(site, _SUBMISSIONS, 5.0)
    jobs = site.hold(number)
    waiting = await _all_waiting(site, jobs)
    held, before = site.memory(), site.processor()
    submitting = asyncio.create_task(_submitting(site, _SUBMISSIONS, number / _ENDS))
    ended = await _ending(site, jobs, 1 / _ENDS)
    answered = await asyncio.gather(*waiting)
    each = [answer - end for answer, end in zip(answered, ended, strict=True)]
    meanwhile = await submitting
    took = site.processor() - before
    crowd = await _crowd(site, number)
    return {
        "clients": number,
        "MB": held,
        **_latencies("each its job", each),
        **_latencies("submissions, nobody waiting", alone),
        **_latencies("submissions meanwhile", meanwhile),
        "seconds of its processor": took,
        **_latencies("all one job", crowd),
    }


async def _crowd(site: Site, number: int) -> list[float]:
    (held,) = site.hold(1)
    crowd = await _all_waiting(site, [held] * number)
    at = await asyncio.to_thread(site.end, held)
    return [answered - at for answered in await asyncio.gather(*crowd)]


def _latencies(what: str, seconds: Sequence[float]) -> dict[str, float]:
    return {
        f"{what}, {name} ms": 1000 * quantile(seconds, part) for name, part in (("p50", 0.5), ("p99", 0.99))
    }


async def _all_waiting(site: Site, jobs: Sequence[Held]) -> list[asyncio.Task[float]]:
    tasks = [await _waiting(site, held) for held in jobs]
    while await asyncio.to_thread(site.waiters) < len(tasks):  # noqa: ASYNC110 - the API counts them
        await asyncio.sleep(0.2)
    return tasks


async def _waiting(site: Site, held: Held) -> asyncio.Task[float]:
    connection = await Connection.open(site)

    async def wait() -> float:
        try:
            return await connection.ask(f"GET /v1/jobs/{held.id}")
        finally:
            connection.close()

    return asyncio.create_task(wait())


async def _ending(site: Site, jobs: Sequence[Held], pause: float) -> list[float]:
    """End the jobs, one after the other."""
    began, ended = time.monotonic(), []
    for number, held in enumerate(jobs):
        await asyncio.sleep(began + number * pause - time.monotonic())
        ended.append(await asyncio.to_thread(site.end, held))
    return ended


async def _submitting(site: Site, rate: float, seconds: float) -> list[float]:
    """Submit so many jobs a second; how long each took."""
    began, tasks = time.monotonic(), []
    lanes = asyncio.Queue[Connection]()
    for _ in range(8):
        lanes.put_nowait(await Connection.open(site))

    async def submit() -> float:
        connection = await lanes.get()
        sent = time.monotonic()
        answered = await connection.ask("POST /v1/jobs", _SUBMISSION)
        lanes.put_nowait(connection)
        return answered - sent

    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.monotonic())
        tasks.append(asyncio.create_task(submit()))
    return await asyncio.gather(*tasks)
