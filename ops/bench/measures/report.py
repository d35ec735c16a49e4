"""`report.render` of a large table of a real PostgreSQL, and of one page with a chart: speed and memory.

Each format is rendered in a fresh process, whose peak memory is told. A million rows take about two minutes
and 500 MB of disk. The page is rendered once before it counts, as a worker that has done so before would.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
from sqlalchemy import create_engine, text

from ops.bench import memory
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.ground import ground
from ops.bench.turns import turns
from worker import definitions
from worker.adapters.report import DefinedReports
from worker.adapters.sql import Sources
from worker.contract.ports import ReportFormat, ReportOrder
from worker.definitions import Column, Report, ReportTable, Source
from worker.definitions.report import Chart
from worker.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

TABLE = """
CREATE TABLE sales AS
SELECT n AS id, 'Customer ' || n % 5000 AS customer, 'A line of words about order ' || n AS note,
       CAST(n % 9000 + 0.5 AS numeric(12, 2)) AS amount, random() AS weight, n % 3 = 0 AS paid,
       timestamptz '2026-01-01Z' + n * interval '1 minute' AS sold_at,
       CAST('2026-01-01' AS date) + n % 365 AS due
FROM generate_series(1, :rows) AS n
"""
SALES = Report(
    title="Sales",
    source="bench",
    tables={
        "sales": ReportTable(sql="SELECT * FROM sales ORDER BY id", columns={"amount": Column(total=True)})
    },
)
PAGE = Report(
    title="The first days",
    source="bench",
    tables={"days": ReportTable(sql="SELECT id, customer, amount, due FROM sales ORDER BY id LIMIT 20")},
    charts={
        "amounts": Chart(
            table="days",
            spec={
                "mark": "bar",
                "encoding": {
                    "x": {"field": "id", "type": "ordinal"},
                    "y": {"field": "amount", "type": "quantitative"},
                },
            },
        )
    },
)

_PAGES = 10  # renderings of which the median is told


class Measured(msgspec.Struct, frozen=True):
    """What one rendering took."""

    rows: int
    bytes: int
    seconds: float
    before: float  # MB of memory, the modules loaded
    peak: float  # MB of memory


def measure(course: Course) -> list[Round]:
    """Render in turns."""
    rows = course.scale(1_000_000, 10_000)
    with ground(course) as place:
        fill(place.warehouse, rows)
        return turns(
            course,
            {
                "csv": lambda: _large(place.warehouse, "csv", rows),
                "xlsx": lambda: _large(place.warehouse, "xlsx", rows),
                "pdf": lambda: apart(_page, place.warehouse),
            },
        )


def fill(url: str, rows: int) -> None:
    """Make the table."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE), {"rows": rows})
    engine.dispose()


def rendered(url: str, format_: ReportFormat) -> Measured:
    """Render into a file nobody keeps, in a process that does nothing else."""
    return apart(_render, url, format_)


def apart(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What a function returns in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as processes:
        return processes.submit(function, *arguments, **named).result()


def _large(url: str, format_: ReportFormat, rows: int) -> Mapping[str, float]:
    measured = rendered(url, format_)
    if measured.rows != rows:
        raise Invalid(f"{measured.rows} of {rows} rows were written")
    return {"rows per second": rows / measured.seconds, "peak MB": measured.peak}


def _render(url: str, format_: ReportFormat) -> Measured:
    reports = _reports(url)
    before, started = memory.peak(), time.monotonic()
    with tempfile.TemporaryFile() as file:
        done = reports.render(ReportOrder(report="sales", format=format_), file, lambda _: None)
    return Measured(done.rows["sales"], done.bytes, time.monotonic() - started, before, memory.peak())


def _page(url: str) -> Mapping[str, float]:
    took = []
    with tempfile.TemporaryDirectory() as without_layout:
        reports = _reports(url, Path(without_layout))
        for _ in range(1 + _PAGES):
            started = time.perf_counter()
            with tempfile.TemporaryFile() as file:
                reports.render(ReportOrder(report="page", format="pdf"), file, lambda _: None)
            took.append(1000 * (time.perf_counter() - started))
    return {"ms warm": statistics.median(took[1:]), "ms cold": took[0]}


def _reports(url: str, folder: Path = Path()) -> DefinedReports:
    shipped = definitions.load(None)
    sources = {**shipped.sources, "bench": Source()}
    known = msgspec.structs.replace(
        shipped,
        sources=sources,
        reports={"sales": SALES, "page": PAGE},
        report_folders={"sales": folder, "page": folder},
    )
    return DefinedReports(known, Sources(Settings(sources={"bench": url}), known))
