"""Measure waiting: how soon thousands who wait on one API process learn of their jobs' ends.

    python -m ops.bench.waiting [--clients 2000] [--ends 100] [--submissions 50]

It starts the embedded servers and an API of one process in a folder of its own. Each client waits for a job
of its own with `Prefer: wait`; the jobs end, so many a second, as a worker would end them; meanwhile others
submit. It prints the milliseconds between the commit of an outcome and the answer, those that submissions
took while all waited and before, and those of a crowd that waits for one job; and what each phase took of
the API's processor, which other load on the machine does not change much.

Its clients speak HTTP over asyncio and not through `api.client`, which takes a thread for each who waits: two
thousand of those would be what is measured.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import psutil
import redis
import urllib3
from sqlalchemy import create_engine

from ops.embedded import EmbeddedServers
from ops.embedded.ports import free_ports
from worker.broker import ENDED_CHANNEL
from worker.contract.states import State
from worker.ledger import clients, leases, migrate, transitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import Claim, NewJob, Outcome
from worker.settings import Settings

_HOST = "127.0.0.1"
_SUBMISSION = b'{"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}}'


class Held(NamedTuple):
    """A job that this program holds as a worker would."""

    id: UUID
    token: UUID


class Site:
    """A running API, its ledger, and its broker.

    Args:
        settings: of the API.
        master: gunicorn's.
    """

    def __init__(self, settings: Settings, master: int) -> None:
        self._master = psutil.Process(master)
        self.port = settings.api_port
        self._metrics = f"http://{_HOST}:{settings.api_metrics_port}/metrics"
        self.ledger = Ledger.open(settings, "bench")
        self.broker = redis.Redis.from_url(settings.broker_url or "")
        self._worker = uuid4()
        with self.ledger.write() as connection:
            self.client = clients.ensure_client(connection, "bench")
            _, self.key = clients.add_key(connection, self.client.id, "bench")
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
        (worker,) = self._master.children()
        times = worker.cpu_times()
        return float(times.user + times.system)

    def waiters(self) -> int:
        """How many wait."""
        page = urllib3.request("GET", self._metrics).data.decode()
        return int(float(page.partition("\njobyard_api_waiters ")[2].split("\n", 1)[0] or 0))

    def _new(self) -> NewJob:
        return NewJob(
            id=new_id(),
            client_id=self.client.id,
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


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        Path(folder).chmod(0o711)  # the servers' account passes through it to what belongs to it
        with EmbeddedServers(Settings(home=f"{folder}/home")) as urls:
            port, metrics_port = free_ports(2)
            settings = Settings(
                home=f"{folder}/home",
                database_url=urls.database_url,
                broker_url=urls.broker_url,
                api_port=port,
                api_metrics_port=metrics_port,
                api_workers=1,
            )
            engine = create_engine(urls.database_url)
            with engine.begin() as connection:
                migrate.upgrade(connection)
            engine.dispose()
            with _serving(settings) as master:
                asyncio.run(_measure(Site(settings, master), arguments))


async def _measure(site: Site, arguments: argparse.Namespace) -> None:
    await _reachable(site)
    alone = await _submitting(site, arguments.submissions, 5.0)
    _print("submissions, nobody waiting", alone)
    jobs = site.hold(arguments.clients)
    waiting = await _all_waiting(site, jobs)
    before = site.processor()
    submitting = asyncio.create_task(
        _submitting(site, arguments.submissions, arguments.clients / arguments.ends)
    )
    ended = await _ending(site, jobs, 1 / arguments.ends)
    answered = await asyncio.gather(*waiting)
    _print(f"{len(jobs)} clients, each its job", [a - e for a, e in zip(answered, ended, strict=True)])
    _print("submissions meanwhile", await submitting)
    print(f"  {site.processor() - before:.1f} s of the API's processor")  # noqa: T201 - a program
    (held,) = site.hold(1)
    crowd = await _all_waiting(site, [held] * arguments.clients)
    before = site.processor()
    at = await asyncio.to_thread(site.end, held)
    _print(f"{len(crowd)} clients, one job", [answered - at for answered in await asyncio.gather(*crowd)])
    print(f"  {site.processor() - before:.1f} s of the API's processor")  # noqa: T201 - a program


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


async def _reachable(site: Site) -> None:
    while True:
        try:
            (await Connection.open(site)).close()
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return


@contextmanager
def _serving(settings: Settings) -> Iterator[int]:
    config = Path(__file__).parents[2] / "api" / "gunicorn.conf.py"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", str(config)],
        env=os.environ | settings.environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure waiting for jobs to end.")
    parser.add_argument("--clients", type=int, default=2000, help="who wait at once")
    parser.add_argument("--ends", type=float, default=100, help="jobs that end in a second")
    parser.add_argument("--submissions", type=float, default=50, help="in a second, meanwhile")
    return parser.parse_args()


def _print(what: str, seconds: Sequence[float]) -> None:
    ms = sorted(1000 * each for each in seconds)
    cut = statistics.quantiles(ms, n=100)
    print(  # noqa: T201 - a program
        f"{what}: {len(ms)}, ms p50 {cut[49]:.1f}, p95 {cut[94]:.1f}, p99 {cut[98]:.1f}, most {ms[-1]:.1f}"
    )


if __name__ == "__main__":
    main()
