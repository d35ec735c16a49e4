"""Consuming: reconnect every second for ever, and drop what is no message."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import redis.exceptions
from celery.events import EventDispatcher
from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.common import ignore_errors

_PAUSE = 1  # second
_MOMENT = 0.1  # seconds for which events wait for others
_EVENTS = 500  # sent together at most

# What Celery raises on a body or a header of the wrong shape. None of a broker's errors is among them.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


# What Redis says when it has no memory left, or became a replica. Kombu does not count them among the errors
# of a connection, and Celery ends a worker that gets one while it declares its queues.
_REFUSALS = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)


class Dispatcher(EventDispatcher):
    """Celery's, with room for the events of a moment: a bundle alone brings 150, and theirs holds 24."""

    _group_buffer: dict[str, list[Any]]  # Celery's, of which its stub does not tell

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"buffer_limit": _EVENTS})

    def extend_buffer(self, other: "Dispatcher") -> None:  # type: ignore[override]  # all are of this class
        """Take over from the dispatcher of a lost connection, also what waited to travel together.

        Celery leaves that behind; Flower would show the jobs that ended meanwhile as started for ever.
        """
        super().extend_buffer(other)
        for group, events in list(other._group_buffer.items()):  # noqa: SLF001 - of the same class
            self._group_buffer[group].extend(events)


class Consumer(CeleryConsumer):
    """Celery's consumer, with a steady pause between two tries, and without a death by a malformed message.

    Celery waits two seconds longer with every try, up to thirty; no setting reaches that, and jobs must
    run again within ten seconds of the broker's return.
    """

    event_dispatcher: Any = None  # of the step that sends events
    hub: Any  # Celery's loop
    _flush_events: Callable[[], None]
    _flushed_at = float("-inf")  # monotonic time: what was buffered before is sent then
    connection_errors: tuple[type[BaseException], ...]  # after which it connects again

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc, valid-type]  # a class, as no stub says
        """Celery's steps, without the exchanges and queues that it declares for ETA tasks on RabbitMQ."""

        default_steps = [  # noqa: RUF012 - Celery's attribute
            step for step in CeleryConsumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As Celery makes it."""
        super().__init__(*args, **kwargs)
        # With every lost connection: that Celery 6 has another default for what our configuration sets. Only
        # now, for Celery's own logging lets all of these pass.
        warnings.filterwarnings("ignore", r"\s*In Celery 5\.1 we introduced", CPendingDeprecationWarning)
        self.connection_errors = (*self.connection_errors, *_REFUSALS)
        # Of a gevent pool. With heartbeats on its events, Celery's loop for it waits a tenth of a second for
        # those after every message, and takes ten messages a second.
        if getattr(self.pool, "is_green", False):
            self.amqheartbeat = 0

    def connection_for_read(self, heartbeat: float | None = None) -> Any:
        """The connection of the messages, with heartbeats on every pool, or one that asks for none.

        Remote control has its own under gevent, where nobody would send its heartbeats.
        """
        wanted = None if heartbeat is None else self.app.conf.broker_heartbeat
        return super().connection_for_read(heartbeat=wanted)

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

    def connection_for_write(self, *args: Any, **kwargs: Any) -> Any:
        """The connection of the events, of which none is sent while RabbitMQ takes no messages.

        They would fill the socket and then hold up the worker.
        """
        connection = super().connection_for_write(*args, **kwargs)
        if connection.transport.driver_type == "amqp":
            connection.connection.on_blocked = lambda _reason: self._send_events(enabled=False)
            connection.connection.on_unblocked = lambda: self._send_events(enabled=True)
        return connection

    def on_connection_error_after_connected(self, exc: Exception) -> Any:
        """Let go of the connection of the events too: saying goodbye on it would wait for RabbitMQ."""
        events = getattr(self.event_dispatcher, "connection", None)
        if events is not None and events.transport.driver_type == "amqp":
            events.collect()
        if isinstance(exc, _REFUSALS):  # connecting works, so nothing else would pause
            time.sleep(_PAUSE)
        return super().on_connection_error_after_connected(exc)

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # its stub promises a function
        """Send the events of a moment as one message.

        Celery's own sends what each turn of its loop brings, one event or two; that was more than half of
        what the main process of a busy worker did.
        """
        now = time.monotonic()
        if now >= self._flushed_at:
            self._flushed_at = now + _MOMENT
            # A pool's thread may say so, and the timer is the loop's.
            self.hub.call_soon(self.hub.call_later, _MOMENT, self._flush_events)

    def shutdown(self) -> None:
        """Send the last events, then as Celery does."""
        ignore_errors(self, self._flush_events)  # type: ignore[arg-type]  # it has the errors of its own
        super().shutdown()

    def _send_events(self, *, enabled: bool) -> None:
        # Not by `disable()`: the news may come while an event is sent, which holds the dispatcher's lock.
        self.event_dispatcher.enabled = enabled

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop it as any other message that is none; Celery's own tells nobody but the log."""
        self.on_invalid_task(None, message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What takes each message; Celery's ends the worker where a body is not of its shape."""
        take = super().create_task_handler(*args, **kwargs)

        def take_or_drop(message: Any) -> None:
            try:
                take(message)
            except _MALFORMED as error:
                self.on_invalid_task(None, message, error)

        return take_or_drop
