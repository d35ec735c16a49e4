"""Why jobs failed lately: their errors, counted.

Read from the index of each client's failed jobs, a bounded number of them, so that neither the history nor
those that succeeded cost anything.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from worker.ledger.ids import floor_of
from worker.ledger.jobs import LOOK

_FEWEST = 200  # of each client, however many clients there are
_LONGEST = 300  # characters of a message that tell errors apart


class FailureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which failed jobs are meant; None: any."""

    client_id: UUID | None = None
    kind: str | None = None
    queue: str | None = None
    created_after: datetime
    created_before: datetime | None = None


class Failures(msgspec.Struct, frozen=True):
    """Errors, each with how many jobs failed with it."""

    rows: Sequence[Row[Any]]  # kind, type, message, jobs, first, last, example
    complete: bool  # whether all failed and cancelled jobs of that time were looked at


# In the order of their index, as by `worker.ledger.jobs.order_of`. PostgreSQL makes no text of an escaped
# NUL, so that is replaced before a member is read.
_ERRORS = text(r"""
    WITH each AS (
        SELECT CASE WHEN CAST(:client_id AS uuid) IS NULL
                    THEN greatest(:fewest, :look / greatest((SELECT count(*) FROM clients), 1))
                    ELSE :look END AS most
    ), looked AS MATERIALIZED (
        SELECT owner.id AS owner, found.*
        FROM (SELECT id FROM clients WHERE CAST(:client_id AS uuid) IS NULL
              UNION ALL SELECT CAST(:client_id AS uuid) WHERE CAST(:client_id AS uuid) IS NOT NULL) owner,
             LATERAL (SELECT id, kind, queue, state, finished_at, error FROM jobs
                      WHERE client_id = ANY(ARRAY[owner.id]) AND state IN ('failed', 'cancelled')
                        AND id >= :floor AND id < :ceiling
                      ORDER BY client_id DESC, id DESC LIMIT (SELECT most FROM each)) found
    ), failed AS (
        SELECT id, kind, finished_at,
               CAST(replace(CAST(error AS text), '\u0000', '\ufffd') AS json) AS error
        FROM looked
        WHERE state = 'failed' AND (CAST(:kind AS text) IS NULL OR kind = :kind)
          AND (CAST(:queue AS text) IS NULL OR queue = :queue)
    )
    SELECT found.*, about.complete
    FROM (SELECT coalesce(max(jobs), 0) < (SELECT most FROM each) AS complete
          FROM (SELECT count(*) AS jobs FROM looked GROUP BY owner) owners) about
    LEFT JOIN (
        SELECT kind, coalesce(error ->> 'type', 'Unknown') AS type,
               left(coalesce(error ->> 'message', ''), :longest) AS message,
               count(*) AS jobs, min(finished_at) AS first, max(finished_at) AS last,
               (array_agg(id ORDER BY id DESC))[1] AS example
        FROM failed GROUP BY 1, 2, 3
    ) found ON true
""")
_LAST = UUID(int=2**128 - 1)


def errors(connection: Connection, wanted: FailureFilter) -> Failures:
    """What failed jobs failed with, of those that were accepted in a time.

    Args:
        connection: of an open transaction.
        wanted: which jobs. Everybody's are those of the clients that there still are.
    """
    until = wanted.created_before
    words = {
        "client_id": wanted.client_id,
        "kind": wanted.kind,
        "queue": wanted.queue,
        "floor": floor_of(wanted.created_after),
        "ceiling": _LAST if until is None else floor_of(until),
        "look": LOOK,
        "fewest": _FEWEST,
        "longest": _LONGEST,
    }
    rows = connection.execute(_ERRORS, words).all()
    return Failures([row for row in rows if row.kind is not None], complete=rows[0].complete)
