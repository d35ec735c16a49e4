"""Steering: what an operator does in Flower to a worker's pool, and to the queues that it consumes.

Celery's own commands answer "ok" before they look, and do what leaves a worker useless: a pool of no slots, a
queue that nobody fills, jobs that must be alone in a process that many share. Ours refuse that with a
sentence, which Flower shows. What they change holds until the worker starts again.
"""

import contextlib
from typing import Any

from celery.worker.control import control_command

from worker.contract.queues import ISOLATION, QUEUES
from worker.runtime.poolcare import is_prefork

_LONGEST_TEXT = 100  # characters of somebody else's text in an answer


def connect() -> None:
    """Replace Celery's commands that change a pool, or what is consumed, by ours."""
    sizing = control_command(args=[("n", int)], signature="[N=1]")
    consuming = control_command(args=[("queue", str)], signature="<queue>")
    sizing(pool_grow)
    sizing(pool_shrink)
    consuming(add_consumer)
    consuming(cancel_consumer)


def pool_grow(state: Any, n: int = 1, **_: Any) -> Any:
    """Add slots to the pool."""
    pool = state.consumer.pool
    refusal = _refusal(pool, n)
    if refusal:
        return {"error": refusal}
    pool.grow(n)
    _fetch_ahead(state.consumer, n)
    return {"ok": f"slots: {pool.num_processes}"}


def pool_shrink(state: Any, n: int = 1, **_: Any) -> Any:
    """Take free slots from the pool."""
    pool = state.consumer.pool
    slots = pool.num_processes
    refusal = _refusal(pool, n)
    if refusal:
        return {"error": refusal}
    if n >= slots:
        return {"error": f"of {slots} slots one must stay; to stop the work of a queue: jobyard queues pause"}
    with contextlib.suppress(ValueError):  # it found fewer that are free
        pool.shrink(n)
    taken = slots - pool.num_processes
    _fetch_ahead(state.consumer, -taken)
    if taken < n:
        return {"error": f"only {taken} of {n} were free: try again when fewer jobs run"}
    return {"ok": f"slots: {pool.num_processes}"}


def add_consumer(state: Any, queue: str, **_: Any) -> Any:
    """Consume a queue."""
    if queue not in QUEUES:
        return {"error": f"there is no queue {queue[:_LONGEST_TEXT]}: there are {', '.join(QUEUES)}"}
    if queue == ISOLATION.name and not is_prefork(type(state.consumer.pool)):
        return {"error": f"jobs of {queue} need a process each: choose a worker with a prefork pool"}
    state.consumer.call_soon(state.consumer.add_task_queue, queue)
    return {"ok": f"consuming from {queue}"}


def cancel_consumer(state: Any, queue: str, **_: Any) -> Any:
    """Consume a queue no longer."""
    if queue not in state.app.amqp.queues.consume_from:
        return {"error": f"this worker does not consume from {queue[:_LONGEST_TEXT]}"}
    state.consumer.call_soon(state.consumer.cancel_task_queue, queue)
    return {"ok": f"no longer consuming from {queue}"}


def _refusal(pool: Any, n: int) -> str | None:
    """Why the pool's size cannot be changed, if so."""
    if not hasattr(pool, "grow"):
        return "a pool of threads keeps its size: start the worker with another --concurrency, or one more"
    return None if n > 0 else "the number of slots to add or to take must be 1 or more"


def _fetch_ahead(consumer: Any, slots: int) -> None:
    """Hold as many messages more, or fewer, as befits the slots that were added or taken."""
    consumer._update_prefetch_count(slots)  # noqa: SLF001 - as Celery's own command does
    if slots and consumer.connection.transport.driver_type == "amqp":
        consumer.call_soon(_consume_anew, consumer)


def _consume_anew(consumer: Any) -> None:
    """RabbitMQ holds a consumer of quorum queues to the number that it began with."""
    consumer.qos.update()
    consumer.task_consumer.cancel()
    consumer.task_consumer.consume()
