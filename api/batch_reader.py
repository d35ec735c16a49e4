"""Reading one batch for its client."""

from uuid import UUID

from sqlalchemy import Connection, RowMapping

from api.errors import Problem
from api.identifiers import parse_id
from api.representations import Batch, is_idle
from worker.ledger import batches
from worker.ledger.engines import Ledger


class BatchReader:
    """Reads batches on the writing server, as `JobReader` does jobs.

    Args:
        ledger: has the batches.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self, batch_id: UUID, client_id: UUID | None) -> Batch:
        """The batch as it is now (None: any client's), with its jobs counted; raises as `find_batch`."""
        with self._ledger.write_at_once() as connection:
            row = find_batch(connection, batch_id, client_id)
            counts = batches.counts(connection, batch_id)
            return Batch.of_row(
                row, counts, batches.due_at(connection, batch_id) if is_idle(counts) else None
            )


def find_batch(connection: Connection, batch_id: UUID, client_id: UUID | None) -> RowMapping:
    """The row of a client's batch (None: any client's).

    Raises:
        Problem: 404, this client has no such batch.
    """
    row = batches.find(connection, batch_id, client_id)
    if row is None:
        raise no_such_batch()
    return row


def parse_batch_id(text: str) -> UUID:
    """The id in a path.

    Raises:
        Problem: 404, it is none, and so no batch's.
    """
    batch_id = parse_id(text)
    if batch_id is None:
        raise no_such_batch()
    return batch_id


def no_such_batch() -> Problem:
    """The same answer for an unknown batch and for another client's."""
    return Problem(404, "there is no such batch", code="no-such-batch")
