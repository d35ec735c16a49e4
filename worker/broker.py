"""The broker: connection, queues and publishing, shared by API, beat and workers.

The broker is a fast carrier that may lose what it carries; the ledger holds the truth. So publishing is
never retried here: what could not be published is marked unpublished, and dispatch sees to it.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import kombu
from amqp.exceptions import MessageNacked
from kombu.exceptions import (  # type: ignore[attr-defined]  # the first is newer than its stubs
    BatchPublishError,
    ChannelError,
    OperationalError,
)

from worker.contract.queues import ISOLATION, QUEUES
from worker.contract.states import Priority
from worker.ledger.records import Bundle, Message
from worker.message import BODY
from worker.message import headers as message_headers
from worker.settings import is_redis

# Redis: the lowest number goes first, in the four steps 0, 3, 6 and 9. RabbitMQ: the highest, and quorum
# queues know none before 4.0, then two levels, up to 4 and above.
_REDIS_PRIORITIES = MappingProxyType({Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 6})
_AMQP_PRIORITIES = MappingProxyType({Priority.HIGH: 9, Priority.NORMAL: 4, Priority.LOW: 1})

SILENCE = 3.0  # seconds that a socket may stay silent before the broker counts as gone

# On Redis, workers tell the API here of jobs that ended: ids, comma-separated. Only a wake-up: the API
# reads the ledger once a second anyway.
ENDED_CHANNEL = "jobyard.ended"

# RabbitMQ puts messages here that a worker refused (they are none, or of a kind that it does not know) and
# those that came back too often. Nothing consumes it: a job that is still queued is published again anyway.
DROPPED = "jobyard.dropped"
_DROPPED_KEPT = 1000  # messages; then the oldest goes

# Before the name of a mark: a queue with one message that nobody takes. It is there as long as the broker's
# data is, which on Redis no queue shows that workers empty.
_MARK = "jobyard.mark."

# https://www.rabbitmq.com/docs/quorum-queues. A queue that exists keeps its arguments for its life: RabbitMQ
# refuses other ones, so what an operator may want to change belongs in a policy.
_QUORUM: Mapping[str, str | int] = MappingProxyType({"x-queue-type": "quorum"})
_ARGUMENTS: Mapping[str, str | int] = MappingProxyType(
    {
        **_QUORUM,
        # A message whose consumers die one after the other; 4.0 has this number, earlier versions no limit.
        "x-delivery-limit": 20,
        # Milliseconds until a message that is not acknowledged costs its worker the channel: above every
        # deadline, for leases and deadlines end what hangs. (3.12; before it is a setting of the server.)
        "x-consumer-timeout": 24 * 3600 * 1000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DROPPED,
    }
)

_NOT_FOUND = "404"


class BrokerDown(Exception):  # noqa: N818 - a condition that callers expect, not a defect
    """The broker cannot be reached; the ledger keeps what waits."""


class BrokerBlocked(OperationalError):  # noqa: N818 - a condition, as above
    """RabbitMQ takes no messages for now: its memory or its disk is nearly full."""


def transport_options(url: str) -> dict[str, Any]:
    """Options of the connection, for every process alike."""
    if not is_redis(url):
        # No `confirm_publish`: it waits for each message (1,800/s, where `_Confirms` reaches 19,000/s), and
        # would let Celery's events wait too.
        return {"on_open": _Bound()}
    return {
        # The ledger knows what was delivered: emulated acknowledgements would double the broker's work
        # and bring back its visibility timeout with its duplicates.
        "ack_emulation": False,
        "socket_connect_timeout": SILENCE,
        "socket_timeout": SILENCE,
        "socket_keepalive": True,
        # A consuming connection that fell silent is given up after twice this and a second.
        "health_check_interval": int(SILENCE),
        # No retry option may be set: kombu then publishes singly even inside `Producer.batch()`.
    }


def connect(url: str) -> kombu.Connection:
    """A connection, lazy: nothing is sent before its first use."""
    options = transport_options(url) | ({} if is_redis(url) else {"on_blocked": _refuse})
    return kombu.Connection(url, transport_options=options, connect_timeout=SILENCE, heartbeat=0)


def queue(name: str, url: str) -> kombu.Queue:
    """The declaration of a queue; the default exchange routes to it by its name."""
    return _queue(name, None if is_redis(url) else _ARGUMENTS)


def queues(url: str) -> list[kombu.Queue]:
    """The declarations of all queues that the broker needs."""
    declared = [queue(name, url) for name in QUEUES]
    if not is_redis(url):
        declared.append(_queue(DROPPED, {**_QUORUM, "x-max-length": _DROPPED_KEPT}))
    return declared


def _queue(name: str, arguments: Mapping[str, str | int] | None) -> kombu.Queue:
    return kombu.Queue(
        name, kombu.Exchange(""), routing_key=name, queue_arguments=arguments and dict(arguments)
    )


def lane(message: Message | Bundle) -> str:
    """The broker's queue of a message: its jobs' own, or the one of jobs that must run alone."""
    return ISOLATION.name if isinstance(message, Message) and message.alone else message.queue


class Broker:
    """One connection that publishes and asks for depths; it belongs to one thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._priorities: Mapping[Priority, int] = _REDIS_PRIORITIES if is_redis(url) else _AMQP_PRIORITIES
        self._connection: kombu.Connection | None = None
        self._producer: Any = None  # kombu's published types do not know `Producer.batch` yet
        self._confirms: _Confirms | None = None
        transport = kombu.Connection(url)
        self._errors: tuple[type[BaseException], ...] = (
            *transport.connection_errors,
            *transport.channel_errors,
            OperationalError,
            BatchPublishError,  # Redis refused some or all of a batch: no memory is left, or it is a replica
            MessageNacked,  # RabbitMQ refused it: a full queue, or a node that went away
            OSError,
        )

    def publish(self, messages: Sequence[Message | Bundle]) -> None:
        """Publish messages as one batch.

        Raises:
            BrokerDown: some or all of them may not have arrived.
        """
        try:
            producer = self._open()
            with self._confirmed(len(messages)), producer.batch():
                for message in messages:
                    self._publish(producer, message)
        except self._errors as error:
            self._lost(error)

    def depths(self, names: Iterable[str]) -> dict[str, int]:
        """How many messages each queue holds; a queue that the broker does not know holds none.

        Raises:
            BrokerDown: the broker did not answer.
        """
        try:
            return {name: self._count(name) or 0 for name in names}
        except self._errors as error:
            self._lost(error)

    def leave(self, mark: str) -> None:
        """Leave a mark, which goes when the broker loses its data.

        Raises:
            BrokerDown: it may not have arrived.
        """
        name = _MARK + mark
        try:
            producer = self._open()
            _queue(name, None if is_redis(self._url) else _QUORUM)(producer.channel).declare()
            with self._confirmed(1), producer.batch():
                producer.publish(BODY, exchange="", routing_key=name, mandatory=True)
        except self._errors as error:
            self._lost(error)

    def holds(self, mark: str) -> bool:
        """Whether a mark that was left is still there.

        Raises:
            BrokerDown: the broker did not answer.
        """
        try:
            return self._count(_MARK + mark) is not None
        except self._errors as error:
            self._lost(error)

    def remove(self, mark: str) -> None:
        """Take a mark away, where it is still there.

        Raises:
            BrokerDown: it may still be there.
        """
        try:
            channel = self._open().channel
            # Redis forgets a queue when it is empty; kombu's deletion there sees only what it bound itself.
            (channel.queue_purge if is_redis(self._url) else channel.queue_delete)(_MARK + mark)
        except self._errors as error:
            self._lost(error)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            self._connection.release()
        self._forget()

    def _publish(self, producer: Any, message: Message | Bundle) -> None:
        headers = message_headers(message)
        producer.publish(
            BODY,
            exchange="",
            routing_key=lane(message),
            content_type="application/json",
            content_encoding="utf-8",
            priority=self._priorities[message.priority],
            mandatory=True,  # RabbitMQ returns what has no queue; it would drop and confirm it otherwise
            correlation_id=headers["id"],
            headers=headers,
        )

    def _count(self, name: str) -> int | None:
        """The messages of a queue; None where the broker knows no such queue."""
        channel = self._open().channel
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except ChannelError as error:
            if str(error.reply_code) != _NOT_FOUND:
                raise
            # Redis forgets a queue when it is empty. On RabbitMQ somebody deleted it, and the channel is
            # closed now: the next use opens another one and declares the queues anew.
            if not is_redis(self._url):
                self.close()
            return None

    def _open(self) -> Any:
        if self._producer is None:
            self._connection = connect(self._url)
            # Without this kombu tries a dead broker again before it gives up, and waits in between.
            self._connection.ensure_connection(errback=_give_up)
            channel = self._connection.channel()
            for declaration in queues(self._url):
                declaration(channel).declare()
            if self._connection.transport.driver_type == "amqp":
                self._confirms = _Confirms(channel)
            self._producer = kombu.Producer(channel, auto_declare=False)
        return self._producer

    def _confirmed(self, count: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._confirms is None else self._confirms.of(count)

    def _lost(self, error: BaseException) -> NoReturn:
        if self._connection is not None:
            with contextlib.suppress(*self._errors):
                self._connection.collect()  # says no goodbye to RabbitMQ, which may be deaf
        self._forget()
        raise BrokerDown(type(error).__name__) from error

    def _forget(self) -> None:
        self._connection = self._producer = self._confirms = None


class _Confirms:
    """Waits for RabbitMQ's confirmations of many messages at once (https://www.rabbitmq.com/docs/confirms)."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0  # RabbitMQ numbers the messages of a channel from 1
        self._unconfirmed: set[int] = set()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)

    @contextlib.contextmanager
    def of(self, count: int) -> Iterator[None]:
        """Publish `count` messages inside; leaving waits until the broker has them all.

        Raises:
            MessageNacked: the broker refused one.
            TimeoutError: the broker said nothing for a while.
        """
        first = self._published + 1
        self._published += count
        self._unconfirmed.update(range(first, first + count))
        yield
        while self._unconfirmed:
            self._channel.connection.drain_events()

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's
        confirmed = {waiting for waiting in self._unconfirmed if waiting <= tag} if multiple else {tag}
        self._unconfirmed -= confirmed

    def _on_nack(self, _tag: int, _multiple: bool) -> NoReturn:  # noqa: FBT001 - py-amqp's
        raise MessageNacked


class _Bound:
    """Lets no call on an AMQP connection wait without bound."""

    def __call__(self, connection: Any) -> None:
        """Take a connection that was opened."""
        # py-amqp's own timeouts are options of the kernel, which sockets under gevent do not see.
        connection.sock.settimeout(SILENCE)

    def __json__(self) -> str:
        """What a worker says of it in `inspect stats`, which has the options of its connection."""
        return f"bound to {SILENCE} s"


def _refuse(reason: str) -> NoReturn:
    raise BrokerBlocked(reason)


def _give_up(error: BaseException, pause: float) -> None:
    if pause:  # without one the next server of the URL is tried
        raise error
