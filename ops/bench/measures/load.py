"""`database.load`: a file of a million rows, a few of them bad, against PostgreSQL's bare COPY."""

import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg2
from sqlalchemy import create_engine, make_url, text

from ops.bench import memory
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.ground import ground
from ops.bench.measures.report import apart
from ops.bench.turns import turns
from worker import definitions
from worker.adapters.sql import Sources
from worker.adapters.sql.loading import SqlLoader
from worker.contract.ports import LoadRequest
from worker.definitions import LoadTable, Source
from worker.settings import Settings

TABLE = """
DROP SCHEMA IF EXISTS bench CASCADE;
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
    tables={"orders": LoadTable(schema="bench", modes=("append",), key=("id",))},
)
# What makes a row a bad one, in turn.
FLAWS: tuple[dict[str, str | None], ...] = (
    {"amount": "-1.00"},
    {"customer": None},
    {"ordered_at": "yesterday at noon"},
    {"amount": "ten"},
)

_BAD = 100  # rows that PostgreSQL refuses
_COLUMNS = ("id", "customer", "amount", "ordered_at", "note")
_COPY = "COPY bench.orders FROM STDIN WITH (FORMAT csv, HEADER true)"
_HELD = "SELECT count(*) FROM bench.orders"


def measure(course: Course) -> list[Round]:
    """Load in turns, each into an empty table."""
    rows = course.scale(1_000_000, 10_000)
    good, flawed = course.folder / "good.csv", course.folder / "flawed.csv"
    _write(good, rows, 0)
    _write(flawed, rows, _BAD)
    with ground(course) as place:
        url = place.warehouse

        def load(path: Path, bad: int) -> Mapping[str, float]:
            _renew(url)
            figures = apart(_load, url, path, bad)
            return _counted(url, rows - bad, figures)

        def copy() -> Mapping[str, float]:
            _renew(url)
            return _counted(url, rows, {"rows per second": rows / _copy(url, good)})

        return turns(
            course,
            {
                "jobyard": lambda: load(good, 0),
                "COPY": copy,
                f"jobyard, {_BAD} bad rows": lambda: load(flawed, _BAD),
            },
        )


def _write(path: Path, rows: int, bad: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(_rows(rows, bad))


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


def _renew(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
    engine.dispose()


def _counted(url: str, rows: int, figures: Mapping[str, float]) -> Mapping[str, float]:
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(_HELD)
        (held,) = cursor.fetchone() or (0,)
    if held != rows:
        raise Invalid(f"{held} of {rows} good rows are in the table")
    return figures


def _load(url: str, path: Path, bad: int) -> Mapping[str, float]:
    shipped = definitions.load(None)
    known = msgspec.structs.replace(shipped, sources={**shipped.sources, "bench": SOURCE})
    sources = Sources(Settings(database_url=url, sources={"bench": url}), known)
    request = LoadRequest(
        job_id=str(uuid4()),
        kind="database.load",
        source="bench",
        table="orders",
        mode="append",
        format="csv",
        max_rejected=bad,
        timeout=600,
    )
    began = time.perf_counter()
    loaded = SqlLoader(sources).load(request, _pieces(path), lambda _: None)
    rate = loaded.rows_applied / (time.perf_counter() - began)
    return {"rows per second": rate, "peak MB": memory.peak()}


def _copy(url: str, path: Path) -> float:
    with closing(_connect(url)) as connection, connection, connection.cursor() as cursor, path.open() as file:
        began = time.perf_counter()
        cursor.copy_expert(_COPY, file)
        connection.commit()
        return time.perf_counter() - began


def _connect(url: str) -> Any:
    parts = make_url(url)
    return psycopg2.connect(
        host=parts.host, port=parts.port, dbname=parts.database, user=parts.username, password=parts.password
    )


@contextmanager
def _pieces(path: Path) -> Iterator[Iterable[bytes]]:
    with path.open("rb") as file:
        yield iter(partial(file.read, 64 * 1024), b"")
