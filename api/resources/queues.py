"""`/v1/queues`: how much waits where."""

from datetime import datetime
from threading import Condition
from typing import Annotated

import msgspec
from cachetools import TTLCache, cached
from msgspec import Meta

from api.answers import answer
from api.applications import Request, Response
from worker.contract.queues import ISOLATION, QUEUES
from worker.ledger import jobs
from worker.ledger.engines import Ledger

_FRESH = 1.0  # seconds for which a count holds: counting a large backlog is not free


class QueueDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it is now, over all clients."""

    name: Annotated[str, Meta(description="Stable.", examples=["web"])]
    depth: Annotated[int, Meta(description="Queued jobs.")]
    oldest_due_at: Annotated[datetime | None, Meta(description="Since when the oldest of them is due.")]
    paused_at: Annotated[datetime | None, Meta(description="null: it is not paused.")]


class QueueList(msgspec.Struct, frozen=True):
    """All queues."""

    queues: Annotated[list[QueueDescription], Meta(description="Each as it is now.")]


class Queues:
    """The queues, read from the ledger: the broker holds only the first few thousand messages of each."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._list = cached(TTLCache[object, QueueList](1, _FRESH), condition=Condition())(self._count)

    def on_get(self, _req: Request, resp: Response) -> None:
        """List them."""
        answer(resp, 200, self._list())

    on_head = on_get

    def _count(self) -> QueueList:
        with self._ledger.read() as connection:
            waiting = jobs.waiting_by_queue(connection)
            paused = jobs.paused_queues(connection)
        names = [name for name in QUEUES if name != ISOLATION.name]
        return QueueList([_describe(name, waiting.get(name), paused.get(name)) for name in names])


def _describe(
    name: str, waiting: tuple[int, datetime] | None, paused_at: datetime | None
) -> QueueDescription:
    depth, oldest = waiting or (0, None)
    return QueueDescription(name=name, depth=depth, oldest_due_at=oldest, paused_at=paused_at)
