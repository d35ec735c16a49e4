"""Reading the queues for those who operate them: one look a second, however many ask."""

from collections.abc import Sequence
from datetime import datetime
from threading import Condition
from typing import Annotated

import msgspec
from cachetools import TTLCache, cached
from msgspec import Meta

from api.representations import Time
from worker.ledger import leases, queues
from worker.ledger.engines import Ledger
from worker.ledger.queues import COUNTED, Pause, Rate, Waiting

_FRESH = 1.0  # seconds for which a look holds

PerMinute = Annotated[float, Meta(ge=0)]


class QueueDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it is now, over all clients."""

    name: Annotated[str, Meta(description="Stable.", examples=["web"])]
    depth: Annotated[
        int, Meta(description=f"Queued jobs; {COUNTED} are so many or more.", ge=0, le=COUNTED, examples=[12])
    ]
    oldest_due_at: Annotated[datetime | None, Meta(description="Since when the oldest of them is due.")]
    oldest_age: Annotated[float, Meta(description="Seconds since then; 0: none waits.", examples=[3.5])]
    running: Annotated[int, Meta(description="Jobs that run.", examples=[4])]
    accepted_per_minute: Annotated[PerMinute, Meta(description="Jobs accepted, lately.", examples=[60.0])]
    finished_per_minute: Annotated[
        PerMinute, Meta(description="Jobs that workers finished, lately; about.", examples=[58.0])
    ]
    failed_per_minute: Annotated[
        PerMinute, Meta(description="Those of them that failed; about.", examples=[0.0])
    ]
    paused_at: Annotated[Time | None, Meta(description="null: it is not paused.")]
    paused_by: Annotated[str | None, Meta(description="Who paused it.", examples=["operator acme"])]
    workers: Annotated[list[str], Meta(description="The workers that consume it.", examples=[["web@host"]])]


class QueueReader:
    """Reads the queues from the ledger: the broker holds only the first few thousand messages of each.

    Args:
        ledger: where the jobs are.
        names: of the queues.
        lease: seconds after which a worker without a heartbeat is none.
    """

    def __init__(self, ledger: Ledger, names: Sequence[str], lease: float) -> None:
        self.names = names
        self._ledger = ledger
        self._lease = lease
        self._cached = cached(
            TTLCache[object, dict[str, QueueDescription]](1, _FRESH), condition=Condition()
        )(self.look)

    def lately(self) -> list[QueueDescription]:
        """All of them: whether they are paused as it is now, the rest at most a second old."""
        found = self._cached()
        with self._ledger.write() as connection:
            paused = queues.paused(connection)
        return [_paused(queue, paused.get(queue.name)) for queue in found.values()]

    def look(self) -> dict[str, QueueDescription]:
        """All of them as they are now, by name."""
        with self._ledger.write() as connection:  # a replica may not know yet what was just paused
            waiting = queues.waiting(connection, self.names)
            running = queues.running(connection)
            rates = queues.rates(connection)
            paused = queues.paused(connection)
            consuming = leases.consuming(connection, self._lease)
        described = {
            name: _describe(
                name,
                waiting[name],
                running=running.get(name, 0),
                rate=rates.get(name, Rate()),
                workers=consuming.get(name, []),
            )
            for name in self.names
        }
        return {name: _paused(described[name], paused.get(name)) for name in self.names}


def _describe(
    name: str, waiting: Waiting, *, running: int, rate: Rate, workers: list[str]
) -> QueueDescription:
    return QueueDescription(
        name=name,
        depth=waiting.depth,
        oldest_due_at=waiting.oldest,
        oldest_age=round(waiting.age, 3),
        running=running,
        accepted_per_minute=round(rate.accepted, 1),
        finished_per_minute=round(rate.finished, 1),
        failed_per_minute=round(rate.failed, 1),
        paused_at=None,
        paused_by=None,
        workers=workers,
    )


def _paused(queue: QueueDescription, pause: Pause | None) -> QueueDescription:
    if pause is None:
        return msgspec.structs.replace(queue, paused_at=None, paused_by=None)
    return msgspec.structs.replace(queue, paused_at=pause.since, paused_by=pause.by)
