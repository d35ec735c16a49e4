"""Pages made of rows in memory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pypdfium2 import PdfDocument

from tests.unit.worker.adapters.report.tables import File, table
from worker.adapters.report.page import Page, page_of, with_charts
from worker.adapters.report.pdf import write_pdf
from worker.adapters.report.web import write_html
from worker.definitions import Chart, Report, ReportTable
from worker.definitions.report import Format

WHEN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def page(
    types: dict[str, Format],
    rows: list[list[Any]],
    *,
    values: dict[str, Any] | None = None,
    charts: dict[str, Chart] | None = None,
    title: str = "Sales",
    description: str = "",
    **definition: Any,
) -> Page:
    report = Report(
        title=title, description=description, source="shop", tables={"days": ReportTable(sql="SELECT")}
    )
    tables = iter([table(types, rows, **definition)])
    return with_charts(page_of("sales", report, values or {}, tables, WHEN), charts or {})


def pdf(shown: Page, folder: Path) -> bytes:
    file = File()
    write_pdf(shown, folder, file.measured, lambda: None)
    return file.content


def html(shown: Page, folder: Path) -> str:
    file = File()
    write_html(shown, folder, file.measured, lambda: None)
    return file.content.decode()


def text_of(content: bytes) -> str:
    """All words of a PDF, without the places at which a long one may be broken."""
    document = PdfDocument(content)
    texts = [document[at].get_textpage().get_text_range() for at in range(len(document))]
    document.close()
    return "\n".join(texts).replace("\u200b", "").replace("\r\n", "\n")
