"""Consuming: reconnect every second for ever, and drop what is no message."""

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

_PAUSE = 1  # second

# What Celery raises on a body or a header of the wrong shape. None of a broker's errors is among them.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Consumer(CeleryConsumer):
    """Celery's consumer, with a steady pause between two tries, and without a death by a malformed message.

    Celery waits two seconds longer with every try, up to thirty; no setting reaches that, and jobs must
    run again within ten seconds of the broker's return.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        connect = conn.ensure_connection

        def steadily(errback: Any, max_retries: Any, **options: Any) -> Any:
            return connect(
                errback,
                max_retries,
                **options,
                interval_start=_PAUSE,
                interval_step=0,
                interval_max=_PAUSE,
            )

        conn.ensure_connection = steadily
        return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What takes each message; Celery's ends the worker where a body is not of its shape."""
        take = super().create_task_handler(*args, **kwargs)

        def take_or_drop(message: Any) -> None:
            try:
                take(message)
            except _MALFORMED as error:
                self.on_invalid_task(None, message, error)

        return take_or_drop
