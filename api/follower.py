"""Reading what ends, a job or a batch, for its client: at once, or when it ended."""

from collections.abc import Callable
from threading import Event
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from api.metrics import Metrics
from api.turns import Turns
from api.waiting import Waiters


class Ending(Protocol):
    """What ends."""

    @property
    def ended(self) -> bool:
        """Whether it has."""


E = TypeVar("E", bound=Ending)

Read = Callable[[UUID, UUID | None], E]  # what an id stands for now, for a client (None: for any)


class Follower(Generic[E]):
    """Reads one sort of what ends. No connection is held while somebody waits.

    Args:
        read: raises `Problem`, 404, where the client has none.
        look: the same, of what has just ended.
        waiters: learn of ends.
        metrics: count those who wait.
        turns: in which those who wait read. Thousands may come or be woken at once; they stand in line
            there, not for the connections that submissions need as well, and one reading serves all who want
            the same.
    """

    def __init__(
        self, read: Read[E], look: Read[E], waiters: Waiters, metrics: Metrics, turns: Turns
    ) -> None:
        self.waiters = waiters
        self._read = read
        self._look = look
        self._metrics = metrics
        self._turns = turns

    def follow(self, id_: UUID, client_id: UUID | None, seconds: int) -> E:
        """It once it ended, or as it is after `seconds`; raises as `read`."""
        if not seconds:
            return self._read(id_, client_id)
        with self.waiters.expect(id_) as ended:
            found = self._in_turn(self._read, id_, client_id)
            return found if found.ended else self._read_after(ended, seconds, id_, client_id)

    def follow_accepted(self, accepted: E, ended: Event, seconds: int, id_: UUID, client_id: UUID) -> E:
        """The same for what was accepted and is expected since before; as accepted where it cannot be read.

        For accepted it is, whatever became of the ledger since; a client told otherwise submits it again.
        """
        try:
            return self._read_after(ended, seconds, id_, client_id)
        except SQLAlchemyError as error:
            logger.warning("accepted_not_read", error=type(error).__name__)
            return accepted

    def _read_after(self, ended: Event, seconds: int, id_: UUID, client_id: UUID | None) -> E:
        with self._metrics.waiters.track_inprogress():
            ended.wait(seconds)
        return self._in_turn(self._look, id_, client_id)

    def _in_turn(self, read: Read[E], id_: UUID, client_id: UUID | None) -> E:
        return self._turns.take((id_, client_id), lambda: read(id_, client_id))
