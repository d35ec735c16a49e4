"""Dispatch: what is due becomes queued, and what is queued is published while the broker has room.

The broker is kept shallow: the ledger holds the backlog, so that pausing, priorities, cancelling and the
recovery from a flush are quick. Several beats share the work lane by lane, for one backlog sent by two loses
its order; between them they may fill a queue a little beyond its room, which does no harm.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import uuid4

from schedules.bundling import SIZE, bundled, fair_size
from schedules.mark import Mark
from schedules.metrics import Metrics
from worker.broker import Broker, BrokerDown
from worker.contract.queues import ISOLATION, QUEUES
from worker.contract.states import State
from worker.ledger import dispatches, jobs, leases, messages, transitions
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.records import Message

BATCH = 500  # of one queue in one round, so that none keeps the others waiting


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

    A backlog of short jobs is published in bundles. The broker counts messages, and the ledger what it
    believes to be published; the jobs that the broker holds are no more than either tells.

    Args:
        ledger: where the jobs are.
        broker: where their messages go.
        depth: jobs of one queue that the broker should hold.
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

    def run(self, todo: Agenda) -> bool:
        """Publish a batch of each queue."""
        if not todo.publishable:
            return False
        with self._ledger.write() as connection:
            open_lanes = messages.publishable_lanes(connection)
            workers = leases.consumers(connection) if self._short else {}
            believed = messages.published_in(connection, {queue for queue, _ in open_lanes}, self._depth)
        lanes = {(queue, alone): ISOLATION.name if alone else queue for queue, alone in open_lanes}
        depths = self._broker.depths(set(lanes.values()))
        self._mark.look()  # after the depths: room that a loss made is for what was lost, not for the younger
        more = False
        for (queue, alone), lane in lanes.items():
            held = depths[lane] if alone else self._held(depths[lane], believed[queue])
            room = max(0, self._depth - held)
            published = self._publish(lane, queue, min(room, BATCH), workers, alone=alone)
            self._metrics.dispatched.labels(lane).inc(published)
            depths[lane] += published
            more |= published == BATCH < room
        return more

    def _held(self, messages: int, believed: int) -> int:
        """How many jobs the broker holds, where any of its messages may be a bundle."""
        return max(messages, min(believed, messages * SIZE)) if self._short else messages

    def _publish(self, lane: str, queue: str, limit: int, workers: Mapping[str, int], *, alone: bool) -> int:
        # Committed first: a message that arrives before its mark would be published twice.
        taken = self._take(lane, queue, limit, alone=alone) if limit else []
        if taken:
            size = fair_size(len(taken), QUEUES[queue], workers.get(queue, 0)) if queue in QUEUES else 0
            self._send(taken, size)
        return len(taken)

    def _take(self, lane: str, queue: str, limit: int, *, alone: bool) -> list[Message]:
        with self._ledger.write() as connection:
            if not dispatches.begin(connection, self._id, lane):
                return []
            taken = messages.take_publishable(connection, queue, limit, alone=alone)
            if not taken:
                dispatches.end(connection, self._id)
        return taken

    def _send(self, taken: Sequence[Message], size: int) -> None:
        try:
            self._broker.publish(bundled(taken, self._short, size))
        except BrokerDown:
            with self._ledger.write() as connection:
                messages.unpublish(connection, [message.job_id for message in taken])
                dispatches.end(connection, self._id)
            raise
        with self._ledger.write() as connection:
            dispatches.end(connection, self._id)
