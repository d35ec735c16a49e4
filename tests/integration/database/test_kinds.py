"""The kinds as a worker runs them, over the real adapters."""

import csv
import io
from ipaddress import ip_network

import msgspec
import pytest

from tests.fakes import FakeContext
from tests.integration.database.warehouse import Warehouse
from tests.integration.web_fetch.servers import page, web_server
from worker.adapters.http import GuardedFetcher
from worker.adapters.sql.loading import SqlLoader
from worker.adapters.sql.statements import SqlStatements
from worker.contract import Fatal, Retryable
from worker.definitions import Parameter, Statement
from worker.kinds.database.execute import DatabaseExecute, execute
from worker.kinds.database.load import DatabaseLoad, load


def payload(**fields: object) -> DatabaseLoad:
    return msgspec.convert(
        {"source": "warehouse", "table": "people", "format": "csv", "mode": "append"} | fields, DatabaseLoad
    )


@pytest.fixture(scope="module")
def fetcher() -> GuardedFetcher:
    return GuardedFetcher([ip_network("127.0.0.1/32")], "test/1")


def test_a_large_file_with_bad_rows_is_loaded_without_them(
    warehouse: Warehouse, fetcher: GuardedFetcher
) -> None:
    """The short form of `jobyard bench load`."""
    bad = {number: ("x" if number % 4000 else "-1") for number in range(1999, 20_001, 2000)}
    rows = (f"{number},Somebody,{bad.get(number, 36)}\n" for number in range(1, 20_001))
    ctx = FakeContext(artifacts={"uploaded": ("id,name,age\n" + "".join(rows)).encode()})
    result = load(payload(artifact="uploaded", max_rejected=10), ctx, SqlLoader(warehouse.sources), fetcher)
    assert msgspec.to_builtins(result) == {
        "table": "people",
        "mode": "append",
        "rows_read": 20_000,
        "rows_applied": 19_990,
        "rows_rejected": 10,
        "rejected_artifact": "rejected.csv",
    }
    assert warehouse.rows("SELECT count(*) FROM shop.people") == [(19_990,)]
    rejected = csv.DictReader(io.StringIO(ctx.saved["rejected.csv"].content.decode(), newline=""))
    assert [int(row["line"]) for row in rejected] == [number + 1 for number in sorted(bad)]
    assert ctx.reports[-1] == (20_000, None, "rows read")


def test_too_many_rejected_rows_fail_the_job_and_are_still_listed(
    warehouse: Warehouse, fetcher: GuardedFetcher
) -> None:
    ctx = FakeContext()
    with pytest.raises(Fatal) as caught:
        load(payload(data="id,name\n1,Ada\nx,Bad\n"), ctx, SqlLoader(warehouse.sources), fetcher)
    assert str(caught.value) == (
        "nothing was applied: rejected rows: 1, allowed: 0 (the first: line 3: id: invalid input syntax for"
        ' type integer: "x"); the artifact rejected.csv gives the reason of each'
    )
    assert ctx.saved["rejected.csv"].content.startswith(b"line,reason,row\r\n3,")
    assert warehouse.names() == {}


def test_a_file_is_fetched_from_a_url(warehouse: Warehouse, fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: page(200, b"id,name\n1,Ada\n")) as server:
        load(payload(url=server.url + "/people.csv"), FakeContext(), SqlLoader(warehouse.sources), fetcher)
    assert warehouse.names() == {1: "Ada"}


def test_a_file_that_breaks_off_leaves_nothing(warehouse: Warehouse, fetcher: GuardedFetcher) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nid,name\n1,Ada\n"
    with web_server(lambda _: answer) as server, pytest.raises(Retryable):
        load(payload(url=server.url), FakeContext(), SqlLoader(warehouse.sources), fetcher)
    assert warehouse.names() == {}


def test_a_named_statement_is_run(warehouse: Warehouse) -> None:
    statement = Statement(
        source="warehouse",
        sql="INSERT INTO shop.regions VALUES (:code) RETURNING code",
        parameters={"code": Parameter(type="text")},
    )
    known = msgspec.structs.replace(warehouse.known, statements={"open_region": statement})
    asked = DatabaseExecute(statement="open_region", params={"code": "west"})
    result = execute(asked, FakeContext(), SqlStatements(warehouse.sources, known))
    assert msgspec.to_builtins(result) == {
        "statement": "open_region",
        "rows_affected": 1,
        "rows": [{"code": "west"}],
    }
    with pytest.raises(Fatal, match="there is no statement 'close_region'; there are: open_region"):
        execute(
            DatabaseExecute(statement="close_region"), FakeContext(), SqlStatements(warehouse.sources, known)
        )
