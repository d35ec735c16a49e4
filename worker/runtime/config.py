"""Celery's configuration, with a reason for each value that is not the default."""

from typing import Any

import kombu

from worker.broker import queue, transport_options
from worker.contract.queues import QUEUES
from worker.settings import is_redis

_HEARTBEAT = 2  # seconds


def config(broker_url: str) -> dict[str, Any]:
    """The configuration of every worker."""
    return {
        "broker_url": broker_url,
        "broker_transport_options": transport_options(broker_url),
        # The platform starts in any order, and a broker may come back after hours.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # What the broker refuses for now is an outage too: Valkey answers so while its disk is full, or when
        # it became a replica. Celery's own would end the worker, and what it runs.
        "broker_channel_error_retry": True,
        # RabbitMQ: both sides notice within twice this that the other one is gone; Celery's own would take
        # four minutes. Redis has its `health_check_interval`.
        "broker_heartbeat": _HEARTBEAT,
        "worker_consumer": "worker.runtime.consumer:Consumer",
        # The ledger fences claims by their leases; killing work because the carrier is away helps nobody.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Redis: the message is gone when it is taken, for the ledger knows the job. RabbitMQ: real
        # acknowledgements, so that a lost worker's messages return at once.
        "task_acks_late": not is_redis(broker_url),
        "task_queues": _queues(broker_url),
        "task_create_missing_queues": False,
        "task_default_queue": next(iter(QUEUES)),
        # Nothing but JSON is decoded: pickle from a broker is code from a broker.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # Results are in the ledger.
        "result_backend": None,
        "task_ignore_result": True,
        # Flower.
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        "enable_utc": True,
        "timezone": "UTC",
        "worker_disable_rate_limits": True,  # limits are the ledger's business
        "worker_enable_remote_control": True,
        # RabbitMQ: an exclusive queue belongs to one connection, and for seconds that is the dead one of a
        # worker that has another already; Celery would end the worker. The queue goes 10 s after its worker.
        "control_queue_exclusive": False,
        "control_queue_durable": True,  # RabbitMQ 4 gives up queues that are neither
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # A child that leaks is replaced; the numbers are high enough not to cost anything.
        "worker_max_tasks_per_child": 10_000,
        "worker_max_memory_per_child": 1_500_000,  # KiB
        "worker_proc_alive_timeout": 30.0,
    }


def _queues(broker_url: str) -> list[kombu.Queue]:
    return [queue(name, broker_url) for name in QUEUES]
