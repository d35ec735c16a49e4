"""`database.load`: load a CSV or NDJSON file into a table."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from worker.contract import DATABASE, Backoff, Context, Fatal, Payload, Result, Retryable, kind, minutes
from worker.contract.ports import Fetched, Fetcher, FetchRequest, Loaded, LoadRequest, TableLoader

MEBIBYTE = 1024 * 1024
PIECE = 64 * 1024  # bytes read at once
MAX_REDIRECTS = 5
REJECTED = "rejected.csv"  # the artifact

# The last look-ahead in the patterns, for Python's $ would let a newline pass.
Source = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,62}$(?!\n)",
        extra={"misfit": "is no name of one: small letters, digits and `_`, up to 63, a letter first"},
        max_length=63,
        description="Data source that the operator declared.",
        examples=["warehouse"],
    ),
]
Table = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$(?!\n)",
        extra={"misfit": "is no name of one: letters, digits, `_` and `$`, up to 63, no digit first"},
        max_length=63,
        description="Table that the source's definition lists.",
        examples=["orders"],
    ),
]
Format = Annotated[
    Literal["csv", "ndjson"],
    Meta(
        description="csv: RFC 4180, its first line names the columns. ndjson: one JSON object a line, whose"
        " fields are columns; objects and arrays fit json columns. Both in UTF-8.",
        examples=["csv"],
    ),
]
Mode = Annotated[
    Literal["append", "upsert", "replace"],
    Meta(
        description="append: add the rows. upsert: add them, or update the rows with the same key; of two in"
        " the file the later one stands. replace: the rows take the place of all that are there; who reads"
        " the table meanwhile sees the old ones.",
        examples=["append"],
    ),
]
Data = Annotated[
    Annotated[str, Meta(max_length=MEBIBYTE)] | None,
    Meta(description="The file itself.", examples=["id,name\n1,Ada\n2,Grace\n"]),
]
Artifact = Annotated[
    Annotated[str, Meta(max_length=64)] | None,
    Meta(
        description="Instead of `data`: the id of an uploaded file, or of a file that a job made.",
        examples=["0190a7c0-0000-7000-8000-000000000001"],
    ),
]
Url = Annotated[
    Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s\x00-\x20\x7f]+$(?!\n)",
            max_length=8192,
            extra={"misfit": "is no URL: one with http or https, without blanks and control characters"},
        ),
    ]
    | None,
    Meta(
        description="Instead of `data`: where to fetch the file, as web.fetch does, from the public network"
        " unless the operator allows more.",
        examples=["https://example.com/orders.csv"],
    ),
]
Delimiter = Annotated[
    Literal[",", ";", "\t", "|"], Meta(description="What separates the fields of a CSV.", examples=[","])
]
Null = Annotated[
    str,
    Meta(
        max_length=100,
        description="The field of a CSV that stands for NULL. With the default no field is an empty text.",
        examples=[""],
    ),
]
Columns = Annotated[
    dict[Annotated[str, Meta(max_length=200)], Annotated[str, Meta(max_length=63)]],
    Meta(
        max_length=1600,
        description="Field of the file → column of the table, for those with different names.",
        examples=[{"Order No.": "id"}],
    ),
]
MaxRejected = Annotated[
    int,
    Meta(
        ge=0,
        le=10_000,
        description="Rows that may be rejected, each with its reason; with one more nothing is applied.",
        examples=[0],
    ),
]
Timeout = Annotated[
    float, Meta(gt=0, le=3600, description="Seconds that fetching `url` may take.", examples=[300.0])
]
MaxBytes = Annotated[
    int,
    Meta(
        ge=1,
        le=1024 * MEBIBYTE,
        description="Largest file, decoded, that is taken from `url`.",
        examples=[100 * MEBIBYTE],
    ),
]


class DatabaseLoad(Payload, frozen=True, kw_only=True):
    """What to load; give exactly one of data, artifact and url."""

    EXAMPLE = {  # noqa: RUF012 - nobody writes to it
        "source": "warehouse",
        "table": "weather",
        "format": "csv",
        "mode": "replace",
        "data": "date,precipitation,temp_max,temp_min,wind,weather\n2026-01-01,0.5,8,2,3.1,rain\n",
    }
    NEEDS = (
        "A data source of this name that the operator declared, and its table: the demo's definitions have"
        " the source (`JOBYARD_DEFINITIONS=ops/tour/definitions ./ops/up`), and the example of"
        " `database.execute` makes the table."
    )

    source: Source
    table: Table
    format: Format
    mode: Mode
    data: Data = None
    artifact: Artifact = None
    url: Url = None
    delimiter: Delimiter = ","
    null: Null = ""
    columns: Columns = {}  # noqa: RUF012 - msgspec makes a new one for each payload
    max_rejected: MaxRejected = 0
    timeout: Timeout = 300.0
    max_bytes: MaxBytes = 1024 * MEBIBYTE

    def __post_init__(self) -> None:
        """Refuse what no schema can: msgspec reports a ValueError as an error of validation."""
        if [self.data, self.artifact, self.url].count(None) != 2:  # noqa: PLR2004 - of the three
            raise ValueError("data: give exactly one of data, artifact and url")
        if self.format == "ndjson" and (self.delimiter != "," or self.null):
            raise ValueError("format: ndjson has neither delimiter nor null")
        if self.url is not None:
            _check_url(self.url)
        _check_columns(self.columns)

    def describe(self) -> str:
        """What goes where; never the rows, nor the URL, which may hold secrets."""
        origin = "data" if self.data is not None else "artifact" if self.artifact is not None else "url"
        return f"{self.mode} {self.format} of {origin} to {self.source}.{self.table}"


class DatabaseLoaded(Result, frozen=True, kw_only=True):
    """What was loaded. `rows_read` is the sum of the other two."""

    table: Annotated[str, Meta(description="Where the rows went.", examples=["orders"])]
    mode: Annotated[str, Meta(description="append, upsert or replace.", examples=["append"])]
    rows_read: Annotated[
        int, Meta(description="Rows in the file, without header and empty lines.", examples=[3])
    ]
    rows_applied: Annotated[int, Meta(description="Rows that the table took.", examples=[2])]
    rows_rejected: Annotated[int, Meta(description="Rows that it did not take.", examples=[1])]
    rejected_artifact: Annotated[
        str | None,
        Meta(
            description="Artifact with line, reason and text of each rejected row, if any was.",
            examples=["rejected.csv"],
        ),
    ] = None


@kind(
    "database.load",
    queue=DATABASE,
    max_attempts=5,
    deadline=minutes(60),
    backoff=Backoff(base=5.0, cap=600.0),
)
def load(payload: DatabaseLoad, ctx: Context, loader: TableLoader, fetcher: Fetcher) -> DatabaseLoaded:
    """Load a CSV or NDJSON file into a table of a data source, all of it in one transaction.

    The table says what types its columns have. Rows that it refuses are rejected, and the artifact
    `rejected.csv` says why; when there are more than `max_rejected`, nothing is applied and the job fails.
    However often the job is attempted, the rows are in the table once.
    """

    def between(rows_read: int) -> None:
        ctx.check_cancelled()
        ctx.progress(rows_read, note="rows read")

    loaded = loader.load(_request(payload, ctx), _file(payload, ctx, fetcher), between)
    if loaded.repeated:
        ctx.log.info("already_applied")
    return _result(payload, loaded, _save(loaded, ctx))


def _request(payload: DatabaseLoad, ctx: Context) -> LoadRequest:
    return LoadRequest(
        job_id=ctx.job_id,
        kind=ctx.kind,
        source=payload.source,
        table=payload.table,
        mode=payload.mode,
        format=payload.format,
        delimiter=payload.delimiter,
        null=payload.null,
        columns=payload.columns,
        max_rejected=payload.max_rejected,
        timeout=ctx.remaining(),
    )


@contextmanager
def _file(payload: DatabaseLoad, ctx: Context, fetcher: Fetcher) -> Iterator[Iterable[bytes]]:
    if payload.data is not None:
        yield [payload.data.encode()]
    elif payload.artifact is not None:
        with ctx.open_artifact(payload.artifact) as file:
            yield iter(partial(file.read, PIECE), b"")
    elif payload.url is not None:
        with fetcher.fetch(_fetch_request(payload, payload.url, ctx), ctx.check_cancelled) as fetched:
            _judge(fetched)
            yield fetched.body


def _fetch_request(payload: DatabaseLoad, url: str, ctx: Context) -> FetchRequest:
    return FetchRequest(
        method="GET",
        url=url,
        timeout=min(payload.timeout, ctx.remaining()),
        max_bytes=payload.max_bytes,
        max_redirects=MAX_REDIRECTS,
    )


def _judge(fetched: Fetched) -> None:
    if 200 <= fetched.status <= 299:  # noqa: PLR2004 - HTTP statuses, here and below
        return
    problem = f"url: the server answered {fetched.status}"
    if fetched.status == 429 or fetched.status >= 500:  # noqa: PLR2004
        raise Retryable(problem, after=fetched.retry_after)
    raise Fatal(problem)


def _save(loaded: Loaded, ctx: Context) -> str | None:
    """Keep the rejected rows, also where nothing is applied for their sake."""
    if loaded.rejected is None:
        return None
    with ctx.save_artifact(REJECTED, "text/csv; charset=utf-8") as file:
        file.write(loaded.rejected.encode())
    return REJECTED


def _result(payload: DatabaseLoad, loaded: Loaded, artifact: str | None) -> DatabaseLoaded:
    if loaded.refusal is not None:
        where = f"; the artifact {artifact} gives the reason of each" if artifact else ""
        raise Fatal(f"nothing was applied: {loaded.refusal}{where}")
    return DatabaseLoaded(
        table=payload.table,
        mode=payload.mode,
        rows_read=loaded.rows_applied + loaded.rows_rejected,
        rows_applied=loaded.rows_applied,
        rows_rejected=loaded.rows_rejected,
        rejected_artifact=artifact,
    )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("url: cannot be parsed") from None
    if "@" in parts.netloc:
        raise ValueError("url: holds credentials, which would be stored with the job")


def _check_columns(columns: Mapping[str, str]) -> None:
    if len(set(columns.values())) < len(columns):
        raise ValueError("columns: two fields have the same column")
