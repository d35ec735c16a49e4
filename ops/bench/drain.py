"""Measure how fast a worker drains a backlog: jobs that do nothing, one by one and in bundles, in turns.

    python -m ops.bench.drain [--jobs 10000] [--rounds 3] [--pool prefork] [--concurrency 2] [--size 50]

It starts the embedded servers in a folder of its own, with PostgreSQL's durability at its defaults. Each
round queues its jobs, has dispatch publish them all, and then starts a worker as `jobyard worker` does; its
time runs from the first claim to the last outcome. A round in which not every job succeeded in its one
attempt ends the measurement.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import create_engine, text

from ops.bench.kinds.bench.noop import noop
from ops.embedded import EmbeddedServers
from schedules import bundling
from schedules.dispatch import Dispatch
from schedules.metrics import Metrics
from worker.broker import Broker
from worker.enqueue import Enqueuer, submission
from worker.ledger import agenda, migrate, transitions
from worker.ledger.engines import Ledger
from worker.settings import Settings

_CHUNK = 1000  # jobs in one transaction
_LOOK = 0.2  # seconds between two looks
_LEFT = text("SELECT count(*) AS jobs FROM jobs WHERE state IN ('queued', 'running', 'retrying')")
_RESULT = text("""
    SELECT count(*) AS jobs, count(*) FILTER (WHERE state = 'succeeded' AND attempt = 1) AS succeeded,
           (SELECT count(*) FROM attempts) AS attempts,
           extract(epoch FROM max(finished_at) - min(started_at)) AS seconds FROM jobs
""")
_CLEAR = text("TRUNCATE jobs, attempts")


class Round(msgspec.Struct, frozen=True):
    """What one round gave, in jobs a second."""

    published: float
    drained: float


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _arguments()
    bundling.SIZE = arguments.size
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        Path(folder).chmod(0o711)  # the servers' account passes through it
        with EmbeddedServers(Settings(home=f"{folder}/home")) as urls:
            settings = Settings(
                home=f"{folder}/home",
                database_url=urls.database_url,
                broker_url=urls.broker_url,
                kinds="ops.bench.kinds",
            )
            _compare(settings, arguments)


def _compare(settings: Settings, arguments: argparse.Namespace) -> None:
    engine = create_engine(settings.database_url or "")
    with engine.begin() as connection:
        migrate.upgrade(connection)
    engine.dispose()
    rounds: dict[str, list[Round]] = {"one by one": [], "in bundles": []}
    for _ in range(arguments.rounds):
        for way, done in rounds.items():
            short = [noop.name] if way == "in bundles" else []
            done.append(_round(settings, short, arguments))
            _say(f"{way}: published {done[-1].published:,.0f}/s, drained {done[-1].drained:,.0f}/s")
    medians = {way: median(each.drained for each in done) for way, done in rounds.items()}
    for way, drained in medians.items():
        _say(f"median {way}: {drained:,.0f}/s")
    _say(f"ratio: {medians['in bundles'] / medians['one by one']:.1f}")


def _round(settings: Settings, short: list[str], arguments: argparse.Namespace) -> Round:
    ledger, broker = Ledger.open(settings, "bench"), Broker(settings.broker_url or "")
    try:
        _queue(ledger, arguments.jobs)
        began = time.perf_counter()
        _publish(ledger, Dispatch(ledger, broker, 2 * arguments.jobs, Metrics(), short))
        published = arguments.jobs / (time.perf_counter() - began)
        _drain(settings, ledger, arguments)
        return Round(published, arguments.jobs / _seconds(ledger, arguments.jobs))
    finally:
        with ledger.write() as connection:
            connection.execute(_CLEAR)
        broker.close()
        ledger.close()


def _queue(ledger: Ledger, count: int) -> None:
    enqueuer, client = Enqueuer({noop.name: noop}), uuid4()
    for start in range(0, count, _CHUNK):
        jobs = [
            enqueuer.prepare(submission(noop.name, {}), client, None)
            for _ in range(min(_CHUNK, count - start))
        ]
        with ledger.write() as connection:
            transitions.enqueue(connection, jobs)


def _publish(ledger: Ledger, dispatch: Dispatch) -> None:
    more = True
    while more:
        with ledger.write() as connection:
            todo = agenda.read(connection)
        more = dispatch.run(todo)


def _drain(settings: Settings, ledger: Ledger, arguments: argparse.Namespace) -> None:
    words = ("worker", noop.queue.name, "-P", arguments.pool, "-c", str(arguments.concurrency))
    worker = subprocess.Popen(
        (sys.executable, "-m", "ops", *words),
        env=os.environ | settings.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while _one(ledger, _LEFT).jobs:
            if worker.poll() is not None:
                sys.exit("the worker ended")
            time.sleep(_LOOK)
    finally:
        worker.terminate()
        worker.wait()


def _seconds(ledger: Ledger, jobs: int) -> float:
    found = _one(ledger, _RESULT)
    if not jobs == found.jobs == found.succeeded == found.attempts:
        sys.exit(f"of {jobs} jobs {found.succeeded} succeeded at once, in {found.attempts} attempts")
    return float(found.seconds)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program


def _one(ledger: Ledger, statement: Any) -> Any:
    with ledger.write() as connection:
        return connection.execute(statement).one()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast a worker drains a backlog.")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--size", type=int, default=bundling.SIZE)
    return parser.parse_args()


if __name__ == "__main__":
    main()
