"""`database.load`: what it accepts, where the file comes from, and what it makes of the outcome."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled, Context, Fatal, Retryable
from worker.contract.ports import Fetched, Fetcher, FetchRequest, Loaded, LoadRequest, TableLoader
from worker.kinds.database.load import DatabaseLoad, load

DATA = "id,name\n1,Ada\n"
REJECTED = "line,reason,row\r\n3,id: no,x\r\n"


@dataclass
class FakeLoader:
    """Reads the file, unless it is there already, and gives one prepared answer."""

    loaded: Loaded = Loaded(rows_applied=1, rows_rejected=0)  # noqa: RUF009 - frozen
    requests: list[LoadRequest] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)

    def load(
        self,
        request: LoadRequest,
        file: AbstractContextManager[Iterable[bytes]],
        between: Callable[[int], None],
    ) -> Loaded:
        self.requests.append(request)
        if not self.loaded.repeated:
            with file as pieces:
                self.files.append(b"".join(pieces))
            between(7)
        return self.loaded


@dataclass
class FakeFetcher:
    """Gives one prepared answer."""

    status: int = 200
    requests: list[FetchRequest] = field(default_factory=list)

    @contextmanager
    def fetch(self, request: FetchRequest, check: Callable[[], None]) -> Iterator[Fetched]:
        self.requests.append(request)
        check()
        yield Fetched(
            status=self.status,
            headers={},
            url=request.url,
            redirects=0,
            retry_after=12.0,
            body=iter([DATA[:5].encode(), DATA[5:].encode()]),
        )


def decode(**fields: Any) -> DatabaseLoad:
    """A payload as the API makes it."""
    given = {"source": "warehouse", "table": "people", "format": "csv", "mode": "append"} | fields
    if not given.keys() & {"artifact", "url"}:
        given = {"data": DATA} | given
    return msgspec.json.decode(msgspec.json.encode(given), type=DatabaseLoad)


def run(
    loader: FakeLoader, ctx: FakeContext | None = None, fetcher: FakeFetcher | None = None, **fields: Any
) -> Any:
    return load(decode(**fields), ctx or FakeContext(), loader, fetcher or FakeFetcher())


def test_the_fakes_are_what_the_contract_says() -> None:
    context: Context = FakeContext()
    loader: TableLoader = FakeLoader()
    fetcher: Fetcher = FakeFetcher()
    assert load(decode(), context, loader, fetcher).rows_applied == 1


def test_the_file_is_in_the_payload_an_artifact_or_behind_a_url() -> None:
    loader = FakeLoader()
    run(loader)
    run(loader, FakeContext(artifacts={"mine": DATA.encode() * 10_000}), artifact="mine")
    run(loader, url="https://example.com/people.csv")
    assert loader.files == [DATA.encode(), DATA.encode() * 10_000, DATA.encode()]


def test_what_was_applied_before_is_not_fetched_again() -> None:
    ctx, fetcher = FakeContext(), FakeFetcher()
    result = run(
        FakeLoader(Loaded(rows_applied=5, rows_rejected=1, rejected=REJECTED, repeated=True)),
        ctx,
        fetcher,
        url="https://example.com/people.csv",
    )
    assert (result.rows_read, result.rows_applied, result.rejected_artifact) == (6, 5, "rejected.csv")
    assert ctx.saved["rejected.csv"].content.decode() == REJECTED
    assert fetcher.requests == []
    assert [line.event for line in ctx.log.lines] == ["already_applied"]


def test_the_job_and_the_payload_reach_the_loader() -> None:
    loader = FakeLoader()
    run(
        loader,
        FakeContext(job_id="a job", kind="database.load", left=30.0),
        mode="upsert",
        delimiter=";",
        null="NULL",
        columns={"No.": "id"},
        max_rejected=3,
    )
    assert loader.requests == [
        LoadRequest(
            job_id="a job",
            kind="database.load",
            source="warehouse",
            table="people",
            mode="upsert",
            format="csv",
            delimiter=";",
            null="NULL",
            columns={"No.": "id"},
            max_rejected=3,
            timeout=30.0,
        )
    ]


def test_the_result_tells_what_became_of_the_rows() -> None:
    ctx = FakeContext()
    result = run(FakeLoader(), ctx)
    assert (result.table, result.mode) == ("people", "append")
    assert (result.rows_read, result.rows_applied, result.rows_rejected) == (1, 1, 0)
    assert result.rejected_artifact is None
    assert ctx.saved == {}
    assert ctx.reports == [(7, None, "rows read")]


def test_rejected_rows_become_an_artifact() -> None:
    ctx = FakeContext()
    result = run(FakeLoader(Loaded(rows_applied=1, rows_rejected=1, rejected=REJECTED)), ctx)
    assert result.rejected_artifact == "rejected.csv"
    assert ctx.saved["rejected.csv"].content.decode() == REJECTED
    assert ctx.saved["rejected.csv"].content_type == "text/csv; charset=utf-8"


def test_a_refused_file_fails_the_job_and_leaves_the_artifact() -> None:
    ctx = FakeContext()
    refused = Loaded(rows_applied=0, rows_rejected=1, rejected=REJECTED, refusal="rejected rows: 1")
    with pytest.raises(Fatal, match="nothing was applied: rejected rows: 1; the artifact rejected"):
        run(FakeLoader(refused), ctx)
    assert "rejected.csv" in ctx.saved


def test_a_refused_file_without_rejected_rows_has_no_artifact() -> None:
    ctx = FakeContext()
    with pytest.raises(Fatal, match=r"nothing was applied: it is too large$"):
        run(FakeLoader(Loaded(rows_applied=0, rows_rejected=0, refusal="it is too large")), ctx)
    assert ctx.saved == {}


def test_a_cancel_ends_the_load() -> None:
    with pytest.raises(Cancelled):
        run(FakeLoader(), FakeContext(cancelled=True))


def test_the_fetch_is_bounded_by_payload_and_deadline() -> None:
    fetcher = FakeFetcher()
    run(FakeLoader(), FakeContext(left=9.0), fetcher, url="https://example.com/a", timeout=20, max_bytes=1000)
    (request,) = fetcher.requests
    assert (request.method, request.timeout, request.max_bytes) == ("GET", 9.0, 1000)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again_when_it_says(status: int) -> None:
    with pytest.raises(Retryable, match=f"answered {status}") as caught:
        run(FakeLoader(), fetcher=FakeFetcher(status), url="https://example.com/a")
    assert caught.value.after == 12


@pytest.mark.parametrize("status", [304, 401, 404])
def test_a_file_that_is_not_there_is_fatal(status: int) -> None:
    with pytest.raises(Fatal, match=f"answered {status}"):
        run(FakeLoader(), fetcher=FakeFetcher(status), url="https://example.com/a")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"artifact": "a", "url": "https://example.com/"}, "exactly one of data, artifact and url"),
        ({"data": DATA, "artifact": "a"}, "exactly one of data, artifact and url"),
        ({"data": None}, "exactly one of data, artifact and url"),
        ({"data": "x" * (1024 * 1024 + 1)}, "length <= 1048576"),
        ({"url": "ftp://example.com/"}, "matching regex"),
        ({"url": "https://example.com/\n"}, "matching regex"),
        ({"url": "https://ada:hush@example.com/"}, "holds credentials"),
        ({"url": "https://[::1/"}, "cannot be parsed"),
        ({"table": 'people"; DROP TABLE people; --'}, "matching regex"),
        ({"table": "people\n"}, "matching regex"),
        ({"source": "Warehouse"}, "matching regex"),
        ({"mode": "truncate"}, "Invalid enum value"),
        ({"delimiter": '"'}, "Invalid enum value"),
        ({"format": "ndjson", "null": "NULL"}, "ndjson has neither delimiter nor null"),
        ({"max_rejected": 10_001}, "<= 10000"),
        ({"columns": {"a": "id", "b": "id"}}, "two fields have the same column"),
    ],
)
def test_a_payload_that_cannot_work_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        decode(**fields)


def test_a_description_tells_neither_rows_nor_the_url() -> None:
    assert decode().describe() == "append csv of data to warehouse.people"
    assert decode(url="https://example.com/?key=hush").describe() == "append csv of url to warehouse.people"
    assert decode(artifact="a").describe() == "append csv of artifact to warehouse.people"
