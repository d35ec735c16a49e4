"""A shop with sales, reports over it, and a way to render them."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from worker import definitions
from worker.adapters.report import DefinedReports
from worker.adapters.sql import Sources
from worker.contract.ports import RenderedReport, ReportOrder
from worker.settings import Settings

WHEN = datetime(2026, 3, 13, 12, tzinfo=UTC)

SHOP = """
CREATE TABLE sales (
    id bigint PRIMARY KEY, customer text, amount numeric(12, 2), sold_on date, sold_at timestamptz,
    paid boolean, share double precision, reference uuid, details jsonb, took interval
);
INSERT INTO sales
SELECT n, 'customer ' || n % 7, n + 0.10, CAST('2026-03-01' AS date) + n % 10,
       timestamptz '2026-03-01 00:00Z' + n * interval '1 hour', n % 2 = 0, n / 1000.0,
       CAST(lpad(to_hex(n), 32, '0') AS uuid), jsonb_build_object('n', n), n * interval '1 second'
FROM generate_series(1, 1000) AS n;
CREATE FUNCTION sell() RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO sales (id) VALUES (1000000) RETURNING id
$$;
"""

Render = Callable[..., tuple[bytes, RenderedReport]]


@pytest.fixture(scope="module")
def shop(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(SHOP.replace(":", r"\:")))
    yield engine
    engine.dispose()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The operator's definitions: the source `shop`."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "shop.toml").write_text("statement_timeout = 5")
    return tmp_path


@pytest.fixture
def define(own: Path) -> Callable[[str], Path]:
    """Write the report `sales`, less its title and source."""

    def write(rest: str) -> Path:
        folder = own / "reports" / "sales"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.toml").write_text(f'title = "Sales"\nsource = "shop"\n{rest}')
        return folder

    return write


@pytest.fixture
def render(own: Path, shop: Engine) -> Render:
    """Render the report `sales`, or another: the file, and what is said of it."""
    url = shop.url.render_as_string(hide_password=False)

    def rendered(
        format_: str = "csv",
        report: str = "sales",
        between: Callable[[int], None] = lambda _: None,
        table: str | None = None,
        **params: Any,
    ) -> tuple[bytes, RenderedReport]:
        known = definitions.load(own)
        settings = Settings(database_url=url, sources={"shop": url})
        reports = DefinedReports(known, Sources(settings, known), lambda: WHEN)
        file = io.BytesIO()
        order = ReportOrder(report=report, format=format_, params=params, table=table)  # type: ignore[arg-type]  # tests know the formats
        done = reports.render(order, file, between)
        return file.getvalue(), done

    return rendered
