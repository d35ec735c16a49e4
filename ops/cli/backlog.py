"""What is in the queues of a platform that runs, for the screen of its `up`."""

from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from worker.ledger.engines import Ledger
from worker.ledger.jobs import counts_by_queue
from worker.settings import Settings


class Backlog:
    """Counts live jobs by queue and state.

    Args:
        settings: with the URL of the ledger.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = Ledger.open(settings, "view")

    def look(self) -> Mapping[str, Mapping[str, int]]:
        """The counts; nothing where the ledger does not answer."""
        try:
            with self._ledger.read() as connection:
                return counts_by_queue(connection)
        except SQLAlchemyError:
            return {}
