"""Measure `database.load`: a file with some bad rows into a table of a real PostgreSQL.

    python -m ops.bench.load [--rows 1000000] [--bad 100] [--format csv|ndjson] [--mode append|upsert|replace]

It starts the embedded servers in a folder of its own, writes the file, loads it, and prints what is in the
table, the reasons of the rejected rows, the time and this process's peak memory. A million rows take about
ten seconds and 400 MB of disk.
"""

import argparse
import csv
import io
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Engine, create_engine, text

from ops.embedded import EmbeddedServers
from worker import definitions
from worker.adapters.sql import Sources
from worker.adapters.sql.loading import SqlLoader
from worker.contract.ports import Loaded, LoadRequest
from worker.definitions import LoadTable, Source
from worker.settings import Settings

TABLE = """
CREATE SCHEMA bench;
CREATE TABLE bench.orders (
    id bigint PRIMARY KEY,
    customer text NOT NULL,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    ordered_at timestamptz NOT NULL,
    note text
);
"""
SOURCE = Source(
    markers="bench.applied",
    tables={"orders": LoadTable(schema="bench", modes=("append", "upsert", "replace"), key=("id",))},
)
# What makes a row a bad one, in turn.
FLAWS: tuple[dict[str, str | None], ...] = (
    {"amount": "-1.00"},
    {"customer": None},
    {"ordered_at": "yesterday at noon"},
    {"amount": "ten"},
)


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        Path(folder).chmod(0o711)  # the servers' account passes through it to what belongs to it
        path = Path(folder) / f"orders.{arguments.format}"
        _write(path, arguments)
        with (
            EmbeddedServers(Settings(home=f"{folder}/home")) as urls,
            _warehouse(urls.database_url) as engine,
        ):
            before = _peak()
            started = time.monotonic()
            loaded = _load(urls.database_url, path, arguments)
            seconds = time.monotonic() - started
            _print(engine, loaded, seconds)
            print(f"peak memory: {_peak():.0f} MiB ({before:.0f} MiB before the load)")  # noqa: T201 - a program


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure database.load.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the file")
    parser.add_argument("--bad", type=int, default=100, help="of these, rows that PostgreSQL refuses")
    parser.add_argument("--format", choices=("csv", "ndjson"), default="csv")
    parser.add_argument("--mode", choices=("append", "upsert", "replace"), default="append")
    return parser.parse_args()


def _write(path: Path, arguments: argparse.Namespace) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = _rows(arguments.rows, arguments.bad)
        if arguments.format == "csv":
            writer = csv.DictWriter(file, ["id", "customer", "amount", "ordered_at", "note"])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(msgspec.json.encode(row).decode() + "\n" for row in rows)


def _rows(count: int, bad: int) -> Iterator[dict[str, Any]]:
    every = count // bad if bad else count + 1
    for number in range(1, count + 1):
        row = {
            "id": number,
            "customer": f"Customer {number % 5000}",
            "amount": f"{number % 9000 + 1}.50",
            "ordered_at": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T12:00:00Z",
            "note": 'two lines\nand a "quotation"' if number % 10 == 0 else "",
        }
        flawed = number % every == 0 and number // every <= bad
        yield row | (FLAWS[number // every % len(FLAWS)] if flawed else {})


@contextmanager
def _warehouse(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
    yield engine
    engine.dispose()


def _load(url: str, path: Path, arguments: argparse.Namespace) -> Loaded:
    shipped = definitions.load(None)
    known = msgspec.structs.replace(shipped, sources={**shipped.sources, "bench": SOURCE})
    sources = Sources(Settings(database_url=url, sources={"bench": url}), known)
    request = LoadRequest(
        job_id=str(uuid4()),
        kind="database.load",
        source="bench",
        table="orders",
        mode=arguments.mode,
        format=arguments.format,
        max_rejected=arguments.bad,
        timeout=600,
    )
    return SqlLoader(sources).load(request, _pieces(path), lambda _: None)


@contextmanager
def _pieces(path: Path) -> Iterator[Iterable[bytes]]:
    with path.open("rb") as file:
        yield iter(partial(file.read, 64 * 1024), b"")


def _print(engine: Engine, loaded: Loaded, seconds: float) -> None:
    with engine.connect() as connection:
        held = connection.scalar(text("SELECT count(*) FROM bench.orders"))
    reasons = Counter(row["reason"] for row in csv.DictReader(io.StringIO(loaded.rejected or "")))
    lines = [
        f"applied {loaded.rows_applied}, in the table {held}, rejected {loaded.rows_rejected}",
        *(f"  {count} times: {reason}" for reason, count in reasons.most_common()),
        f"{seconds:.1f} s, {loaded.rows_applied / seconds:,.0f} rows/s",
    ]
    print("\n".join(lines))  # noqa: T201 - a program


def _peak() -> float:
    """The most memory that this process ever held, in MiB (getrusage(2): KiB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
