"""Bundling: what is published of a backlog of short jobs travels in few messages.

A pure rule. It bundles only where there is enough for every slot of every worker and for all that they fetch
ahead, so that none holds a backlog while others idle; and never what a process died under, so that a killer
is found and has no neighbours.
"""

from collections.abc import Collection, Iterator, Sequence
from uuid import uuid4

from worker.contract.queues import Queue
from worker.ledger.records import Bundle, Message

SIZE = 50  # jobs in one bundle at most


def fair_size(jobs: int, queue: Queue, workers: int) -> int:
    """How many of these jobs a bundle may hold, so that each worker gets as many as it can take at once.

    Args:
        jobs: that they share: what is published now, and what waits in the broker.
        queue: in which they wait; its row says how many messages one worker takes.
        workers: that consume it; none counts as one, which may come.
    """
    return min(SIZE, jobs // (max(1, workers) * queue.concurrency * (1 + queue.prefetch)))


def bundled(messages: Sequence[Message], short: Collection[str], size: int) -> list[Message | Bundle]:
    """The messages to publish for those of the jobs, in the order in which the first of each stood.

    Args:
        messages: of one lane, by priority and age.
        short: names of the kinds that may be bundled.
        size: of a bundle at most; below two there is none.
    """
    if size < 2:  # noqa: PLR2004 - of one there is no bundle
        return list(messages)
    groups: dict[object, list[Message]] = {}
    for message in messages:
        together = message.kind in short and not message.suspect and not message.alone
        key: object = (message.priority, message.kind) if together else message.job_id
        groups.setdefault(key, []).append(message)
    return [carrier for group in groups.values() for carrier in _carriers(group, size)]


def _carriers(group: Sequence[Message], size: int) -> Iterator[Message | Bundle]:
    for start in range(0, len(group), size):
        part = tuple(group[start : start + size])
        yield part[0] if len(part) == 1 else Bundle(id=uuid4(), messages=part)
