"""Measure `report.render` on a large table of a real PostgreSQL: seconds and memory of CSV and XLSX.

    python -m ops.bench.report [--rows 1000000] [--format csv] [--format xlsx]

It starts the embedded servers in a folder of its own, fills a table, and renders each format in a fresh
process, of which it prints the peak memory. A million rows take about two minutes and 500 MB of disk.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import get_args

import msgspec
from sqlalchemy import create_engine, text

from ops.embedded import EmbeddedServers
from worker import definitions
from worker.adapters.report import DefinedReports
from worker.adapters.sql import Sources
from worker.contract.ports import ReportFormat, ReportOrder
from worker.definitions import Column, Report, ReportTable, Source
from worker.settings import Settings

TABLE = """
CREATE TABLE sales AS
SELECT n AS id, 'Customer ' || n % 5000 AS customer, 'A line of words about order ' || n AS note,
       CAST(n % 9000 + 0.5 AS numeric(12, 2)) AS amount, random() AS weight, n % 3 = 0 AS paid,
       timestamptz '2026-01-01Z' + n * interval '1 minute' AS sold_at,
       CAST('2026-01-01' AS date) + n % 365 AS due
FROM generate_series(1, :rows) AS n
"""
REPORT = Report(
    title="Sales",
    source="bench",
    tables={
        "sales": ReportTable(sql="SELECT * FROM sales ORDER BY id", columns={"amount": Column(total=True)})
    },
)


class Measured(msgspec.Struct, frozen=True):
    """What one rendering took."""

    rows: int
    bytes: int
    seconds: float
    before: float  # MiB of memory, the modules loaded
    peak: float  # MiB of memory


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        Path(folder).chmod(0o711)  # the servers' account passes through it to what belongs to it
        with EmbeddedServers(Settings(home=f"{folder}/home")) as urls:
            fill(urls.database_url, arguments.rows)
            for format_ in arguments.format or ("csv", "xlsx"):
                _print(format_, measure(urls.database_url, format_))


def fill(url: str, rows: int) -> None:
    """Make the table."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE), {"rows": rows})
    engine.dispose()


def measure(url: str, format_: ReportFormat) -> Measured:
    """Render into a file nobody keeps, in a process that does nothing else."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as processes:
        return processes.submit(_render, url, format_).result()


def _render(url: str, format_: ReportFormat) -> Measured:
    shipped = definitions.load(None)
    known = msgspec.structs.replace(
        shipped, sources={**shipped.sources, "bench": Source()}, reports={"sales": REPORT}
    )
    reports = DefinedReports(known, Sources(Settings(sources={"bench": url}), known))
    before, started = _peak(), time.monotonic()
    with tempfile.TemporaryFile() as file:
        done = reports.render(ReportOrder(report="sales", format=format_), file, lambda _: None)
    return Measured(done.rows["sales"], done.bytes, time.monotonic() - started, before, _peak())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure report.render.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table")
    parser.add_argument(
        "--format", action="append", choices=get_args(ReportFormat), help="csv and xlsx otherwise"
    )
    return parser.parse_args()


def _print(format_: str, measured: Measured) -> None:
    print(  # noqa: T201 - a program
        f"{format_}: {measured.rows:,} rows, {measured.bytes / 1e6:,.0f} MB, {measured.seconds:.1f} s,"
        f" peak memory {measured.peak:.0f} MiB ({measured.before:.0f} MiB before)"
    )


def _peak() -> float:
    """The most memory that this process ever held, in MiB (getrusage(2): KiB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
