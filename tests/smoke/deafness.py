"""Workers that hear nothing any more, in both ways that happens: the loop hangs, or the broker forgot it."""

import time
from typing import Any

import kombu
from celery import signals
from celery.worker.control import control_command

from worker.ledger.ids import new_id

_WORD = "hang for ever"


def prepare() -> None:
    """Let a test make this worker deaf."""
    signals.task_received.connect(_hang_at_the_word, weak=False)
    control_command(args=[("queue", str)], signature="<queue>")(stop_hearing)


def hang(broker_url: str, queue: str) -> None:
    """Have the worker of a queue never come back from the next message that it takes."""
    headers = {"lang": "py", "task": "probe.echo", "id": str(new_id()), "retries": 0, "argsrepr": _WORD}
    with kombu.Connection(broker_url) as connection:
        connection.Producer().publish(
            [[], {}, {}], routing_key=queue, headers=headers, serializer="json", correlation_id=headers["id"]
        )


def stop_hearing(state: Any, queue: str) -> dict[str, str]:
    """A remote command: the broker sends no more, and the worker does not know."""
    state.consumer.task_consumer.cancel_by_queue(queue)
    return {"ok": queue}


def _hang_at_the_word(request: Any, **_: Any) -> None:
    # RabbitMQ gives the message to the next worker, which is to live.
    while request.argsrepr == _WORD and not request.delivery_info["redelivered"]:
        time.sleep(60)
