"""Data sources: `sources/NAME.toml`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Mode = Literal["append", "upsert", "replace"]
# The last look-ahead, for Python's $ would let a newline pass.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}$(?!\n)")]

LEDGER = "ledger"  # the shipped source: the platform's own database, which nothing may write


class LoadTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table that `database.load` may write."""

    schema: Annotated[Name, Meta(description="Where the table stands.")] = "public"
    modes: Annotated[tuple[Mode, ...], Meta(min_length=1, description="What may be done to it.")] = (
        "append",
    )
    key: Annotated[
        tuple[Name, ...], Meta(description="Columns of a unique index, by which upsert finds a row.")
    ] = ()
    columns: Annotated[
        tuple[Name, ...], Meta(description="The only columns that may be loaded; empty: all that can be.")
    ] = ()


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PostgreSQL database; its URL is the variable JOBYARD_SOURCE_<NAME>_URL and stands in no file."""

    description: Annotated[str, Meta(description="What is in it.")] = ""
    statement_timeout: Annotated[
        Annotated[float, Meta(ge=0.001, le=86400)],
        Meta(description="Seconds that one statement of a job may run."),
    ] = 120.0
    markers: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*\.[A-Za-z_][A-Za-z0-9_$]*$(?!\n)")],
        Meta(description="Table, with its schema, that notes which jobs were applied; made where it can be."),
    ] = "public.jobyard_applied"
    tables: Annotated[dict[Name, LoadTable], Meta(description="What `database.load` may write.")] = {}
