"""Dispatch: what is due becomes queued, and what is queued is published while the broker has room.

The broker is kept shallow: the ledger holds the backlog, so that pausing, priorities, cancelling and the
recovery from a flush are quick. Several beats share the work lane by lane, for one backlog sent by two loses
its order; between them they may fill a queue a little beyond its room, which does no harm.
"""

from collections.abc import Collection, Sequence
from itertools import chain
from uuid import UUID, uuid4

from schedules.bundling import bundled, fair_size
from schedules.mark import Mark
from schedules.metrics import Metrics
from worker.broker import Broker, BrokerDown
from worker.contract.queues import ISOLATION, QUEUES, Queue
from worker.contract.states import State
from worker.ledger import dispatches, jobs, leases, messages, transitions
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.records import Bundle, Message

BATCH = 2000  # of one queue in one round, so that none keeps the others waiting


class Due:
    """The part that turns scheduled and retrying jobs into queued ones, and ends those that expired."""

    name = "due"

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics

    def run(self, todo: Agenda) -> bool:
        """Expire first: what is past its expires_at must not be queued any more."""
        expired = self._expire() if todo.expiring else 0
        due = self._make_due() if todo.due else 0
        return BATCH in {expired, due}

    def _expire(self) -> int:
        with self._ledger.write() as connection:
            expired = transitions.expire(connection, BATCH)
            kinds = jobs.kinds_of(connection, expired)
        self._metrics.expired.inc(len(expired))
        self._metrics.finished(kinds, State.FAILED)
        return len(expired)

    def _make_due(self) -> int:
        with self._ledger.write() as connection:
            due = transitions.make_due(connection, BATCH)
        self._metrics.due.inc(due)
        return due


class Dispatch:
    """The part that publishes queued jobs, by priority and age, while their queue has room.

    A backlog of short jobs is published in bundles, each of which is one message to the broker.

    Args:
        ledger: where the jobs are.
        broker: where their messages go.
        depth: messages of one queue that the broker should hold.
        metrics: counts what was published.
        short: names of the kinds whose jobs may be bundled.
    """

    name = "dispatch"

    def __init__(
        self, ledger: Ledger, broker: Broker, depth: int, metrics: Metrics, short: Collection[str] = ()
    ) -> None:
        self._id = uuid4()
        self._ledger = ledger
        self._broker = broker
        self._mark = Mark(ledger, broker, metrics)
        self._depth = depth
        self._metrics = metrics
        self._short = frozenset(short)
        self._carried: dict[str, float] = {}  # jobs that a message carried lately, by lane

    def run(self, todo: Agenda) -> bool:
        """Publish a batch of each queue."""
        if not todo.publishable:
            return False
        with self._ledger.write() as connection:
            open_lanes = messages.publishable_lanes(connection)
            workers = leases.consumers(connection) if self._short else {}
        lanes = {(queue, alone): ISOLATION.name if alone else queue for queue, alone in open_lanes}
        depths = self._broker.depths(set(lanes.values()))
        self._mark.look()  # after the depths: room that a loss made is for what was lost, not for the younger
        more = False
        for (queue, alone), lane in lanes.items():
            room = self._depth - depths[lane]
            taken = self._take(lane, queue, self._limit(lane, room), alone=alone)
            carriers = self._bundled(taken, depths[lane], QUEUES.get(queue), workers.get(queue, 0))
            if carriers:
                self._carried[lane] = len(taken) / len(carriers)
                carriers = self._fitting(carriers, room)
                self._send(carriers)
            self._metrics.dispatched.labels(lane).inc(len(_jobs(carriers)))
            depths[lane] += len(carriers)
            more |= len(taken) == BATCH and len(carriers) < room
        return more

    def _limit(self, lane: str, room: int) -> int:
        """How many jobs to take for so much room: where the last ones were bundled, the next will be."""
        return max(0, min(int(room * self._carried.get(lane, 1.0)), BATCH))

    def _bundled(
        self, taken: Sequence[Message], waiting: int, queue: Queue | None, workers: int
    ) -> list[Message | Bundle]:
        """The messages for what was taken: what waits in the broker already is for everybody to take too."""
        size = fair_size(waiting + len(taken), queue, workers) if queue else 0
        return bundled(taken, self._short, size)

    def _take(self, lane: str, queue: str, limit: int, *, alone: bool) -> list[Message]:
        # Committed first: a message that arrives before its mark would be published twice.
        if not limit:
            return []
        with self._ledger.write() as connection:
            if not dispatches.begin(connection, self._id, lane):
                return []
            taken = messages.take_publishable(connection, queue, limit, alone=alone)
            if not taken:
                dispatches.end(connection, self._id)
        return taken

    def _fitting(self, carriers: list[Message | Bundle], room: int) -> list[Message | Bundle]:
        """Those for which there is room: fewer jobs may have been bundled than `_limit` went by."""
        if len(carriers) > room:
            with self._ledger.write() as connection:
                messages.unpublish(connection, _jobs(carriers[room:]))
        return carriers[:room]

    def _send(self, carriers: Sequence[Message | Bundle]) -> None:
        try:
            self._broker.publish(carriers)
        except BrokerDown:
            with self._ledger.write() as connection:
                messages.unpublish(connection, _jobs(carriers))
                dispatches.end(connection, self._id)
            raise
        with self._ledger.write() as connection:
            dispatches.end(connection, self._id)


def _jobs(carriers: Sequence[Message | Bundle]) -> list[UUID]:
    """Whose messages they carry."""
    each = (carrier.messages if isinstance(carrier, Bundle) else (carrier,) for carrier in carriers)
    return [message.job_id for message in chain.from_iterable(each)]
