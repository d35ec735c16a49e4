"""`/v1/audit`: who did what as an operator or an admin."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.answers import answer
from api.applications import Request, Response
from api.queries import page_start, page_token, query
from api.representations import Id, Time
from worker.ledger import audit
from worker.ledger.engines import Ledger


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries to list."""

    act: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z_]+\.[a-z_]+$(?!\n)",
                max_length=100,
                extra={"misfit": "is no act: one such as `key.add`"},
            ),
        ]
        | None,
        Meta(description="Only entries of this act: `key.add`, `job.cancel`."),
    ] = None
    page_size: Annotated[int, Meta(ge=1, le=200, description="Entries a page.")] = 50
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="`next_page_token` of the page before.")
    ] = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An act."""

    id: Id
    acted_at: Annotated[Time, Meta(description="When.")]
    actor: Annotated[str, Meta(description="`client NAME`, or the account and machine of a command.")]
    act: Annotated[str, Meta(description="What was done.", examples=["job.cancel"])]
    subject: Annotated[str, Meta(description="What was acted on: an id or a name.")]
    details: Annotated[dict[str, Any] | None, Meta(description="What else is to be known.")]


class AuditPage(msgspec.Struct, frozen=True):
    """Some entries, newest first."""

    entries: Annotated[list[AuditEntry], Meta(description="The entries.")]
    next_page_token: Annotated[str | None, Meta(description="For `page_token`; null: there are no more.")]


class Audit:
    """The audit log, which is only added to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def on_get(self, req: Request, resp: Response) -> None:
        """List it, newest first."""
        asked = query(req, AuditQuery)
        before = page_start(asked.page_token) if asked.page_token is not None else None
        with self._ledger.read() as connection:
            rows = audit.page(connection, asked.page_size + 1, act=asked.act, before=before)
        entries = [AuditEntry(**row) for row in rows[: asked.page_size]]
        more = page_token(entries[-1].id) if len(rows) > len(entries) else None
        answer(resp, 200, AuditPage(entries, more))

    on_head = on_get
