"""The tables that the tests load, and a way to load and look at them."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Engine, create_engine, text

from worker.adapters.sql import Sources
from worker.adapters.sql.loading import SqlLoader
from worker.adapters.sql.statements import SqlStatements
from worker.contract.ports import Executed, ExecuteRequest, Loaded, LoadRequest
from worker.contract.ports.database import Mode
from worker.definitions import LEDGER, Definitions, LoadTable, Parameter, Source, Statement
from worker.settings import Settings

EVERY_MODE: tuple[Mode, ...] = ("append", "upsert", "replace")

SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.regions (code text PRIMARY KEY);
INSERT INTO shop.regions VALUES ('north'), ('south');
CREATE TABLE shop.people (
    id integer PRIMARY KEY,
    name text NOT NULL,
    age smallint CHECK (age > 0),
    mail text UNIQUE,
    region text REFERENCES shop.regions DEFERRABLE INITIALLY DEFERRED,
    born date,
    extra jsonb,
    score numeric DEFAULT 1.5
);
CREATE TABLE shop.visits (
    number bigint GENERATED ALWAYS AS IDENTITY,
    "who's "" there" text NOT NULL,
    secret text NOT NULL DEFAULT 'kept',
    loud text GENERATED ALWAYS AS (upper(secret)) STORED
);
"""

SOURCE = Source(
    markers="shop.applied",
    tables={
        "people": LoadTable(schema="shop", modes=EVERY_MODE, key=("id",)),
        "visits": LoadTable(schema="shop"),
        "few": LoadTable(schema="shop"),
        "regions": LoadTable(schema="shop", modes=EVERY_MODE, key=("code",), columns=("code",)),
    },
)


@dataclass(frozen=True)
class Warehouse:
    """One PostgreSQL with the tables above."""

    engine: Engine
    sources: Sources
    known: Definitions

    @classmethod
    @contextmanager
    def at(cls, url: str, source: Source = SOURCE) -> Iterator["Warehouse"]:
        """The one of a database."""
        known = Definitions(
            sources={"warehouse": source, LEDGER: Source()},
            statements={},
            reports={},
            report_folders={},
            templates={},
            template_folders={},
        )
        engine = create_engine(url)
        yield cls(engine, Sources(Settings(database_url=url, sources={"warehouse": url}), known), known)
        engine.dispose()

    def make(self) -> None:
        """Make the tables."""
        self.write(SCHEMA)

    def clear(self) -> None:
        """Drop them."""
        self.write("DROP SCHEMA shop CASCADE")

    def load(
        self,
        file: str | bytes | Iterable[bytes],
        *,
        table: str = "people",
        mode: str = "append",
        job: str | None = None,
        between: Callable[[int], None] = lambda _: None,
        **fields: Any,
    ) -> Loaded:
        """Load a file as the kind does."""
        given = file.encode() if isinstance(file, str) else file
        request = {
            "job_id": job or str(uuid4()),
            "kind": "database.load",
            "source": "warehouse",
            "table": table,
            "mode": mode,
            "format": "csv",
            "timeout": 60.0,
        }
        pieces = [given] if isinstance(given, bytes) else given
        return SqlLoader(self.sources).load(
            msgspec.convert(request | fields, LoadRequest), nullcontext(pieces), between
        )

    def execute(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        source: str = "warehouse",
        job: str | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        max_rows: int = 100,
        timeout: float = 60.0,
    ) -> Executed:
        """Run a statement as if it were declared."""
        statement = Statement(source=source, sql=sql, parameters=dict(parameters or {}), max_rows=max_rows)
        known = msgspec.structs.replace(self.known, statements={"tried": statement})
        request = ExecuteRequest(
            job_id=job or str(uuid4()),
            kind="database.execute",
            statement="tried",
            params=params or {},
            timeout=timeout,
        )
        return SqlStatements(self.sources, known).execute(request)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What is there, seen from outside."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def write(self, statements: str) -> None:
        """Change what is there, from outside."""
        with self.engine.begin() as connection:
            connection.execute(text(statements))

    def names(self) -> dict[int, str]:
        """The people."""
        return dict(self.rows("SELECT id, name FROM shop.people ORDER BY id"))


def reasons(loaded: Loaded) -> dict[int, str]:
    """Why rows were rejected, by line."""
    file = io.StringIO(loaded.rejected or "", newline="")
    return {int(row["line"]): row["reason"] for row in csv.DictReader(file)}
