"""What a report reads, and what its SQL and its parameters must not do."""

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import Engine, text

from tests.integration.report.conftest import Render
from worker.contract import Cancelled, Fatal, Retryable

Define = Callable[[str], Path]

ALL = '[tables.sales]\nsql = "SELECT * FROM sales ORDER BY id"\ncolumns.amount.total = true\n'
DAYS = '[tables.days]\nsql = "SELECT sold_on, count(*) AS n FROM sales GROUP BY 1 ORDER BY 1"\n'
TWO = f"{ALL}\n{DAYS}"


def query(sql: str) -> str:
    return f"[tables.sales]\nsql = '''{sql}'''\n"


def lines(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_a_csv_holds_every_row_of_its_table(define: Define, render: Render) -> None:
    define(TWO + "max_rows = 2")
    content, done = render()
    header, *rows = lines(content)
    assert header[:3] == ["id", "customer", "amount"]
    assert (len(rows), rows[0][:3]) == (1000, ["1", "customer 1", "1.10"])
    assert (done.rows, done.truncated) == ({"sales": 1000}, ())
    assert done.bytes == len(content)
    assert done.sha256 == hashlib.sha256(content).hexdigest()


def test_a_csv_holds_the_table_that_is_asked_for(define: Define, render: Render) -> None:
    define(TWO)
    content, done = render(table="days")
    assert lines(content)[1] == ["2026-03-01", "100"]
    assert done.rows == {"days": 10}


def test_an_xlsx_has_a_sheet_a_table_with_numbers_dates_and_exact_totals(
    define: Define, render: Render
) -> None:
    define(TWO)
    content, done = render("xlsx")
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["sales", "days"]
    assert done.rows == {"sales": 1000, "days": 10}
    assert [cell.data_type for cell in book["sales"][2]] == list("nsnddbnssd")
    assert book["sales"]["C1002"].value == 500_600  # 1.10 + 2.10 + … + 1000.10


@pytest.mark.parametrize("format_", ["pdf", "html"])
def test_a_page_says_how_many_rows_it_leaves_out(define: Define, render: Render, format_: str) -> None:
    define(ALL + "max_rows = 10")
    _, done = render(format_)
    assert (done.rows, done.truncated) == ({"sales": 1000}, ("sales",))


def test_totals_of_a_page_are_those_of_all_rows(define: Define, render: Render) -> None:
    define(ALL + "max_rows = 10")
    assert b">500,600.00<" in render("html")[0]


def test_all_tables_show_one_state_of_the_source(define: Define, render: Render, shop: Engine) -> None:
    counting = 'sql = "SELECT count(*) AS n FROM sales"'
    define(f"[tables.sales]\n{counting}\n[tables.later]\n{counting}")

    def sell(_: int) -> None:
        with shop.begin() as connection:
            connection.execute(text("INSERT INTO sales (id) SELECT max(id) + 1 FROM sales"))

    content, _ = render("xlsx", between=sell)
    with shop.begin() as connection:
        sold = connection.execute(text("DELETE FROM sales WHERE id > 1000")).rowcount
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert (book["sales"]["A2"].value, book["later"]["A2"].value, sold) == (1000, 1000, 2)


def test_a_rendering_can_be_cancelled_between_rows(define: Define, render: Render) -> None:
    define(ALL)
    seen: list[int] = []

    def between(rows: int) -> None:
        seen.append(rows)
        raise Cancelled("a cancel was requested")

    with pytest.raises(Cancelled):
        render(between=between)
    assert seen == [500]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"report": "nosuch"}, r"no report 'nosuch'; there are: activity, failures, .*sales"),
        ({"table": "nosuch"}, "no table 'nosuch' in the report 'sales'; there are: sales, days"),
        ({"nosuch": 1}, "no parameter 'nosuch'; there are: none"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(
    define: Define, render: Render, wanted: dict[str, Any], words: str
) -> None:
    define(TWO)
    with pytest.raises(Fatal, match=words):
        render(**wanted)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM sales",
        "DELETE FROM sales RETURNING id",
        "UPDATE sales SET paid = true",
        "WITH gone AS (DELETE FROM sales RETURNING id) SELECT * FROM gone",
        "SELECT * FROM sales FOR UPDATE",
        "SELECT * FROM sales FOR SHARE",
        "SELECT sell()",
        "SELECT 1; DELETE FROM sales",
        "SELECT 1; COMMIT; DELETE FROM sales",
        "SELECT 1; ROLLBACK; DELETE FROM sales",
        "SELECT 1; COMMIT; BEGIN; DELETE FROM sales; COMMIT",
        "SELECT 1; SET TRANSACTION READ WRITE; DELETE FROM sales",
        "TRUNCATE sales",
        "DROP TABLE sales",
        "CREATE TABLE other (n int)",
        "COPY sales TO '/tmp/sales'",
        "SELECT nextval('nothing')",
        "SELECT * INTO other FROM sales",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_query_that_writes_is_refused_and_changes_nothing(
    define: Define, render: Render, shop: Engine, sql: str
) -> None:
    define(query(sql))
    with pytest.raises(Fatal, match=r"^table 'sales': data source 'shop': \w+"):
        render()
    with shop.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM sales WHERE paid IS NOT NULL")) == 1000


def test_a_query_that_takes_too_long_is_ended_and_tried_again(
    define: Define, render: Render, own: Path
) -> None:
    (own / "sources" / "shop.toml").write_text("statement_timeout = 0.2")
    define(query("SELECT pg_sleep(30)"))
    with pytest.raises(Retryable, match="data source 'shop': a statement ran longer"):
        render()


def test_a_source_that_is_away_is_tried_again(define: Define, own: Path) -> None:
    from worker import definitions  # noqa: PLC0415 - this test alone renders by itself
    from worker.adapters.report import DefinedReports  # noqa: PLC0415 - as above
    from worker.adapters.sql import Sources  # noqa: PLC0415 - as above
    from worker.contract.ports import ReportOrder  # noqa: PLC0415 - as above
    from worker.settings import Settings  # noqa: PLC0415 - as above

    define(ALL)
    known = definitions.load(own)
    away = Settings(sources={"shop": "postgresql://somebody:secret@127.0.0.1:1/shop"})
    with pytest.raises(Retryable) as raised:
        DefinedReports(known, Sources(away, known)).render(
            ReportOrder(report="sales", format="csv"), io.BytesIO(), lambda _: None
        )
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 1 AS a, 2 AS a", "the query gives two columns 'a'"),
        ("SELECT nosuch FROM sales", 'column "nosuch" does not exist'),
        ("SELECT CAST('0044-03-15 BC' AS date) AS ides", "cast it to text"),
        ("SELECT 1 / (id - 700) AS n FROM sales", "division by zero"),
    ],
)
def test_a_query_that_cannot_work_says_why(define: Define, render: Render, sql: str, words: str) -> None:
    define(query(sql))
    with pytest.raises(Fatal, match=words):
        render()


def test_a_column_that_the_query_does_not_give_is_told(define: Define, render: Render) -> None:
    define('[tables.sales]\nsql = "SELECT id, amount FROM sales"\ncolumns.price.total = true')
    with pytest.raises(Fatal, match="table 'sales': the query gives no column 'price'; it gives: id, amount"):
        render("pdf")


INJECTIONS = [
    "'; DELETE FROM sales; --",
    "' OR '1'='1",
    "\\'; DELETE FROM sales; --",
    "$$; DELETE FROM sales; $$",
    "%s %(x)s :id",
    "/* */ UNION SELECT usename FROM pg_user",
]
BY = {
    "text": "customer = :given",
    "integer": "id = :given",
    "number": "amount = :given",
    "boolean": "paid = :given",
    "date": "sold_on = :given",
    "timestamp": "sold_at = :given",
    "uuid": "reference = :given",
    "json": "details = CAST(:given AS jsonb)",
}
MATCHING = {
    "text": "customer 3",
    "integer": 3,
    "number": 3.1,
    "boolean": True,
    "date": "2026-03-04",
    "timestamp": "2026-03-01T03:00:00Z",
    "uuid": "00000000-0000-0000-0000-000000000003",
    "json": {"n": 3},
}
COUNTS = {"text": 143, "boolean": 500, "date": 100}


def by(type_: str, *, several: bool = False) -> str:
    where = BY[type_].replace("= :given", "= ANY(:given)") if several else BY[type_]
    parameter = f'[parameters.given]\ntype = "{type_}"\nlist = {str(several).lower()}\n'
    return parameter + query(f"SELECT id FROM sales WHERE {where}")  # noqa: S608 - of the table above


@pytest.mark.parametrize("type_", BY)
def test_a_parameter_of_any_type_selects_rows(define: Define, render: Render, type_: str) -> None:
    define(by(type_))
    assert render(given=MATCHING[type_])[1].rows["sales"] == COUNTS.get(type_, 1)


@pytest.mark.parametrize("type_", [type_ for type_ in BY if type_ != "json"])
def test_a_list_of_any_type_selects_rows(define: Define, render: Render, type_: str) -> None:
    define(by(type_, several=True))
    assert render(given=[MATCHING[type_]])[1].rows["sales"] == COUNTS.get(type_, 1)
    assert render(given=[])[1].rows["sales"] == 0


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("type_", BY)
def test_sql_in_a_parameter_is_a_value_or_refused(
    define: Define, render: Render, shop: Engine, type_: str, injection: str
) -> None:
    define(by(type_))
    try:
        assert render(given=injection)[1].rows["sales"] == 0
        assert type_ in {"text", "json"}
    except Fatal as refused:
        assert str(refused).startswith("given: ")  # noqa: PT017 - either is right
    with shop.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM sales")) == 1000


@pytest.mark.parametrize("injection", INJECTIONS)
def test_sql_in_a_list_is_a_value(define: Define, render: Render, injection: str) -> None:
    define(by("text", several=True))
    assert render(given=[injection, "customer 3"])[1].rows["sales"] == 143


CELLS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "<script>alert(1)</script>", '#read("/etc/passwd")']


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_of_the_database_is_harmless_in_every_format(
    define: Define, render: Render, cell: str
) -> None:
    define('[parameters.given]\ntype = "text"\n' + query("SELECT CAST(:given AS text) AS cell"))
    shown = lines(render(given=cell)[0])[1][0]
    assert shown == ("'" + cell if cell[0] in "=+-@\t\r" else cell)
    sheet = openpyxl.load_workbook(io.BytesIO(render("xlsx", given=cell)[0])).active
    assert {each.data_type for row in sheet.iter_rows() for each in row} == {"s"}
    assert b"<script>" not in render("html", given=cell)[0]
    assert render("pdf", given=cell)[0].startswith(b"%PDF")
