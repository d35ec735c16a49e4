"""`/v1/queues`: how much waits where, and pausing, resuming and purging a queue."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from api.answers import answer
from api.applications import Request, Response
from api.bodies import decode, read_json
from api.cooperation import breathe
from api.errors import FieldError, Problem
from api.follower import Follower
from api.queue_reader import QueueDescription, QueueReader
from api.representations import Job, Time
from worker.enqueue import Moment, in_utc
from worker.ledger import audit, messages, queues, transitions
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger

MOST = 10_000  # jobs that one request purges
_REFUSED = 100_000  # jobs that a resumption has published again: bundles for the usual depth of the broker
_SLICE = 1_000  # jobs that one transaction changes
_LONGEST = 4 * 1024  # bytes of what a purge asks for


class QueueList(msgspec.Struct, frozen=True):
    """All queues."""

    queues: Annotated[list[QueueDescription], Meta(description="Each as it is now.")]


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to purge, and the confirmation."""

    confirm: Annotated[
        str | None,
        Meta(description="The queue's name once more, for a purge is not taken back. A dry run needs none."),
    ] = None
    dry_run: Annotated[bool, Meta(description="Only say how many jobs are meant.")] = False
    until: Annotated[
        Moment | None,
        Meta(
            description="Only jobs that were due by then: `until` of the answer before, to go on. Unset: now."
        ),
    ] = None


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    dry_run: Annotated[bool, Meta(description="As it was asked for.")]
    matched: Annotated[int, Meta(description=f"Jobs that are meant, {MOST} at most.")]
    changed: Annotated[int, Meta(description="Jobs that were cancelled; 0 in a dry run.")]
    more: Annotated[bool, Meta(description="Whether there may be more: ask again with `until`.")]
    until: Annotated[Time, Meta(description="Jobs that were due by then are meant.")]


_DECODER = msgspec.json.Decoder(Purge)


class Queues:
    """The queues, over all clients."""

    def __init__(self, reader: QueueReader) -> None:
        self._reader = reader

    def on_get(self, _req: Request, resp: Response) -> None:
        """List them."""
        answer(resp, 200, QueueList(self._reader.lately()))

    on_head = on_get


class OneQueue:
    """A queue."""

    def __init__(self, reader: QueueReader) -> None:
        self._reader = reader

    def on_get(self, _req: Request, resp: Response, queue: str) -> None:
        """Show it."""
        _require(self._reader, queue)
        answer(resp, 200, self._reader.look()[queue])

    on_head = on_get


class PauseQueue:
    """The pausing of a queue: what runs goes on, and nothing begins."""

    def __init__(self, ledger: Ledger, reader: QueueReader) -> None:
        self._ledger = ledger
        self._reader = reader

    def on_post(self, req: Request, resp: Response, queue: str) -> None:
        """Pause it, whatever restarts meanwhile."""
        _require(self._reader, queue)
        client: Client = req.context.client
        with self._ledger.write() as connection:
            if queues.pause(connection, queue, f"operator {client.name}"):
                _note(connection, client, "queue.pause", queue)
        answer(resp, 200, self._reader.look()[queue])


class ResumeQueue:
    """The resuming of a queue."""

    def __init__(self, ledger: Ledger, reader: QueueReader) -> None:
        self._ledger = ledger
        self._reader = reader

    def on_post(self, req: Request, resp: Response, queue: str) -> None:
        """Resume it, and have those of its jobs published again whose messages were refused."""
        _require(self._reader, queue)
        client: Client = req.context.client
        with self._ledger.write() as connection:
            resumed = queues.resume(connection, queue)
            if resumed:
                _note(connection, client, "queue.resume", queue)
        if resumed:
            self._publish_again(queue)
        answer(resp, 200, self._reader.look()[queue])

    def _publish_again(self, name: str) -> None:
        """Only now that every claim sees the queue resumed. What is not reached is reconcile's business."""
        with self._ledger.write() as connection:
            until = queues.moment(connection)
        for _ in range(_REFUSED // _SLICE):
            with self._ledger.write() as connection:
                if messages.forget_queue(connection, name, until, _SLICE) < _SLICE:
                    return
            breathe()


class PurgeQueue:
    """The cancelling of all that waits in a queue.

    Args:
        ledger: cancels.
        reader: knows the queues.
        follower: whose waiters learn of it at once.
    """

    def __init__(self, ledger: Ledger, reader: QueueReader, follower: Follower[Job]) -> None:
        self._ledger = ledger
        self._reader = reader
        self._follower = follower

    def on_post(self, req: Request, resp: Response, queue: str) -> None:
        """Cancel what is queued; what runs, and what is due later, is left alone."""
        _require(self._reader, queue)
        asked = decode(read_json(req, _LONGEST), _DECODER)
        if not asked.dry_run and asked.confirm != queue:
            raise _not_confirmed(queue)
        with self._ledger.write() as connection:
            until = in_utc(asked.until, "until") or queues.moment(connection)
        if asked.dry_run:
            answer(resp, 200, self._count(queue, until))
        else:
            changed = self._purge(queue, until, req.context.client)
            more = changed >= MOST
            done = Purged(dry_run=False, matched=changed, changed=changed, more=more, until=until)
            answer(resp, 200, done)

    def _count(self, name: str, until: datetime) -> Purged:
        with self._ledger.write() as connection:
            found = queues.count_waiting(connection, name, until, MOST + 1)
        return Purged(dry_run=True, matched=min(found, MOST), changed=0, more=found > MOST, until=until)

    def _purge(self, name: str, until: datetime, client: Client) -> int:
        changed = 0
        while changed < MOST:
            taken = self._purge_slice(name, until, client)
            changed += taken
            if taken < _SLICE:
                break
            breathe()
        return changed

    def _purge_slice(self, name: str, until: datetime, client: Client) -> int:
        with self._ledger.write() as connection:
            ids = queues.pick_waiting(connection, name, until, _SLICE)
            if ids:
                transitions.cancel_all(connection, ids, f"operator {client.name}")
                _note(connection, client, "queue.purge", name, jobs=len(ids))
        self._follower.waiters.wake(map(str, ids))
        return len(ids)


def _require(reader: QueueReader, name: str) -> None:
    if name not in reader.names:
        known = ", ".join(reader.names)
        raise Problem(404, f"there is no queue {name!r}: {known} are those there are", code="no-such-queue")


def _not_confirmed(name: str) -> Problem:
    reason = f"must be the queue's name, {name!r}: a purge is not taken back"
    errors = [FieldError("confirm", reason)]
    return Problem(422, f"confirm: {reason}", code="purge-not-confirmed", errors=errors)


def _note(connection: Connection, client: Client, act: str, name: str, **details: int) -> None:
    audit.note(connection, f"client {client.name}", act, name, key=str(client.key_id), **details)
