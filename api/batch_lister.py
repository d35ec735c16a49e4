"""Listing the batches of a client."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.acting import whose
from api.filters import ClientName, listing
from api.queries import page_start, page_token
from api.representations import BatchPage, ListedBatch
from worker.enqueue import Moment, Tag
from worker.ledger import batches, clients
from worker.ledger.batches import BatchFilter
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger


class BatchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the client's batches to list."""

    state: Annotated[
        Literal["unfinished", "finished"] | None,
        Meta(description="Only batches whose jobs have all ended once, or have not."),
    ] = None
    tag: Annotated[Tag | None, Meta(description="Only batches that carry this tag.")] = None
    created_after: Annotated[
        Moment | None, Meta(description="Only batches accepted at this time or later (RFC 3339).")
    ] = None
    created_before: Annotated[
        Moment | None, Meta(description="Only batches accepted before this time (RFC 3339).")
    ] = None
    client: Annotated[
        ClientName | None,
        Meta(
            description="Whose batches, by the client's name, or `*` for everybody's: keys with `operate`."
            " Unset: one's own."
        ),
    ] = None
    page_size: Annotated[
        int, Meta(ge=1, le=200, description="Batches a page; a page may hold fewer and not be the last.")
    ] = 50
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="`next_page_token` of the page before.")
    ] = None


class BatchLister:
    """Lists batches, from the replica where there is one.

    Args:
        ledger: has the batches.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(self, asked: BatchQuery, client: Client) -> BatchPage:
        """Those that fit, newest first.

        Raises:
            Problem: the page token is none, or the key does not reach that client.
        """
        wanted = BatchFilter(
            client_id=whose(self._ledger, client, asked.client),
            finished=None if asked.state is None else asked.state == "finished",
            tag=asked.tag,
            created_after=asked.created_after,
            created_before=asked.created_before,
        )
        before = page_start(asked.page_token) if asked.page_token is not None else None
        with listing(), self._ledger.read() as connection:
            found = batches.page(connection, wanted, asked.page_size, before)
            names = {}
            if wanted.client_id != client.id:
                names = clients.names_of(connection, {row.client_id for row in found.rows})
        shown = [ListedBatch.of_row(row, names.get(row.client_id)) for row in found.rows]
        return BatchPage(shown, None if found.before is None else page_token(found.before))
