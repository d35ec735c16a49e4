"""The broker: connection, queues and the message of a job, shared by API, beat and workers.

The broker is a fast carrier that may lose what it carries; the ledger holds the truth. So publishing is
never retried here: what could not be published is marked unpublished, and dispatch sees to it.

The message is Celery's, version 2 (docs.celeryq.dev, "Message Protocol"), without arguments: a worker
reads the payload from the ledger when it claims the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import kombu
from amqp.exceptions import MessageNacked
from kombu.exceptions import ChannelError, OperationalError

from worker.contract.queues import ISOLATION, QUEUES
from worker.contract.states import Priority
from worker.ledger.records import Message

# Redis: the lowest number goes first, in the four steps 0, 3, 6 and 9. RabbitMQ: the highest, and quorum
# queues know two levels, below and above 4.
_REDIS_PRIORITIES = MappingProxyType({Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 6})
_AMQP_PRIORITIES = MappingProxyType({Priority.HIGH: 9, Priority.NORMAL: 4, Priority.LOW: 1})

_SECONDS = 3.0  # that a socket may stay silent before the broker counts as gone

# On Redis, workers tell the API here of jobs that ended: ids, comma-separated. Only a wake-up: the API
# reads the ledger once a second anyway.
ENDED_CHANNEL = "jobyard.ended"

_NOT_FOUND = "404"
_BODY = "[[], {}, {}]"  # args, kwargs, embed: a job's message has none


class BrokerDown(Exception):  # noqa: N818 - a condition that callers expect, not a defect
    """The broker cannot be reached; the ledger keeps what waits."""


def is_redis(url: str) -> bool:
    """Whether a URL names Redis or Valkey, as opposed to RabbitMQ."""
    return url.split(":", 1)[0] in {"redis", "rediss", "sentinel"}


def transport_options(url: str) -> dict[str, Any]:
    """Options of the connection, for every process alike."""
    if not is_redis(url):
        return {"confirm_publish": True}
    return {
        # The ledger knows what was delivered: emulated acknowledgements would double the broker's work
        # and bring back its visibility timeout with its duplicates.
        "ack_emulation": False,
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _SECONDS,
        "socket_keepalive": True,
        # A consuming connection that fell silent is given up after twice this and a second.
        "health_check_interval": int(_SECONDS),
        # No retry option may be set: kombu then publishes singly even inside `Producer.batch()`.
    }


def connect(url: str) -> kombu.Connection:
    """A connection, lazy: nothing is sent before its first use."""
    return kombu.Connection(
        url, transport_options=transport_options(url), connect_timeout=_SECONDS, heartbeat=0
    )


def queue(name: str, url: str) -> kombu.Queue:
    """The declaration of a queue; the default exchange routes to it by its name."""
    arguments = None if is_redis(url) else {"x-queue-type": "quorum"}
    return kombu.Queue(name, kombu.Exchange(""), routing_key=name, queue_arguments=arguments)


def lane(message: Message) -> str:
    """The broker's queue of a message: its job's own, or the one of jobs that must run alone."""
    return ISOLATION.name if message.alone else message.queue


class Broker:
    """One connection that publishes and asks for depths; it belongs to one thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._priorities: Mapping[Priority, int] = _REDIS_PRIORITIES if is_redis(url) else _AMQP_PRIORITIES
        self._connection: kombu.Connection | None = None
        self._producer: Any = None  # kombu's published types do not know `Producer.batch` yet
        transport = kombu.Connection(url)
        self._errors: tuple[type[BaseException], ...] = (
            *transport.connection_errors,
            *transport.channel_errors,
            OperationalError,
            MessageNacked,  # RabbitMQ refused it: a full queue, or a node that went away
            OSError,
        )

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages as one batch.

        Raises:
            BrokerDown: some or all of them may not have arrived.
        """
        try:
            producer = self._open()
            with producer.batch():
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
            return {name: self._depth(name) for name in names}
        except self._errors as error:
            self._lost(error)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()

    def _publish(self, producer: Any, message: Message) -> None:
        job_id = str(message.job_id)
        name = lane(message)
        producer.publish(
            _BODY,
            exchange="",
            routing_key=name,
            content_type="application/json",
            content_encoding="utf-8",
            priority=self._priorities[message.priority],
            correlation_id=job_id,
            headers={
                "lang": "py",
                "task": message.kind,
                "id": job_id,
                "root_id": job_id,
                "parent_id": None,
                "group": None,
                "argsrepr": message.description,
                "kwargsrepr": "{}",
                "retries": 0,
                "eta": None,
                "expires": None,
                "timelimit": [None, None],
                "ignore_result": True,
            },
        )

    def _depth(self, name: str) -> int:
        channel = self._open().channel
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except ChannelError as error:
            # Redis forgets a queue when it is empty; RabbitMQ closes the channel with its 404.
            if str(error.reply_code) != _NOT_FOUND:
                raise
            return 0

    def _open(self) -> Any:
        if self._producer is None:
            self._connection = connect(self._url)
            # Without this kombu tries a dead broker again before it gives up, and waits in between.
            self._connection.ensure_connection(errback=_give_up)
            channel = self._connection.channel()
            for name in QUEUES:
                queue(name, self._url)(channel).declare()
            self._producer = kombu.Producer(channel, auto_declare=False)
        return self._producer

    def _lost(self, error: BaseException) -> NoReturn:
        try:
            self.close()
        except self._errors:
            self._connection = self._producer = None
        raise BrokerDown(type(error).__name__) from error


def _give_up(error: BaseException, _pause: float) -> NoReturn:
    raise error
