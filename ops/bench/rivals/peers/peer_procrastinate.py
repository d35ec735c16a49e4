"""Procrastinate on PostgreSQL: durable as the platform is, and without results, which it does not keep."""

import asyncio
import os
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

URL = os.environ["BENCH_DATABASE"]

app = App(connector=PsycopgConnector(conninfo=URL), import_paths=["peer_procrastinate"])

_MOMENTS = """
    SELECT (j.args ->> 'number')::int, extract(epoch FROM e.at)::float
    FROM procrastinate_jobs j JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'started'
    WHERE j.status = 'succeeded' AND j.attempts = 1
"""


@app.task(name="noop", queue="default")
async def noop(number: int) -> int:
    """Give the number back, to nobody."""
    return number


def clear() -> None:
    """Forget what was before, and make the tables where they are missing."""
    with psycopg.connect(URL) as connection:
        found = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
    if found is None or found[0] is None:
        asyncio.run(_make())
    with psycopg.connect(URL) as connection:
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_events CASCADE")


async def _make() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


def submit(count: int) -> list[Any]:
    """Queue jobs."""
    asyncio.run(_submit(count))
    return []


async def _submit(count: int) -> None:
    async with app.open_async():
        await noop.batch_defer_async(*({"number": number} for number in range(count)))


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    words = ["procrastinate", "--app", "peer_procrastinate.app", "worker", "--concurrency", "8"]
    return [words] * cores


def done() -> int:
    """How many ended."""
    with psycopg.connect(URL) as connection:
        row = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        ).fetchone()
    return int(row[0]) if row else 0


def results(_handles: list[Any]) -> list[tuple[int, float]]:
    """Which jobs ran, and when they started."""
    with psycopg.connect(URL) as connection:
        return connection.execute(_MOMENTS).fetchall()
