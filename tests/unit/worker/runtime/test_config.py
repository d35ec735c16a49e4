import json

import pytest
from kombu.utils.json import dumps

from worker.contract.queues import QUEUES
from worker.runtime.config import config

REDIS = "redis://127.0.0.1:1/0"
RABBITMQ = "amqp://127.0.0.1:1//"


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_nothing_but_json_is_decoded(url: str) -> None:
    given = config(url)
    assert given["accept_content"] == ["json"]
    assert (given["task_serializer"], given["result_serializer"]) == ("json", "json")


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_results_are_not_kept_by_celery(url: str) -> None:
    given = config(url)
    assert given["result_backend"] is None
    assert given["task_ignore_result"] is True


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_work_goes_on_while_the_broker_is_away(url: str) -> None:
    given = config(url)
    assert given["worker_cancel_long_running_tasks_on_connection_loss"] is False
    assert given["broker_connection_max_retries"] is None
    assert given["broker_connection_retry_on_startup"] is True
    assert given["broker_channel_error_retry"] is True


def test_redis_acknowledges_nothing_and_rabbitmq_after_the_outcome() -> None:
    assert config(REDIS)["broker_transport_options"]["ack_emulation"] is False
    assert config(REDIS)["task_acks_late"] is False
    assert config(RABBITMQ)["task_acks_late"] is True


def test_a_silent_rabbitmq_is_noticed_early_enough_to_resume_within_ten_seconds() -> None:
    given = config(RABBITMQ)
    assert 2 * given["broker_heartbeat"] < 8
    assert isinstance(given["broker_heartbeat"], int)  # AMQP has whole seconds


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_no_event_waits_for_a_confirmation(url: str) -> None:
    assert "confirm_publish" not in config(url)["broker_transport_options"]


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_a_worker_can_tell_flower_how_it_is_connected(url: str) -> None:
    options = config(url)["broker_transport_options"]
    assert json.loads(dumps(options)).keys() == options.keys()


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_every_queue_is_declared_and_no_other_one_is_made(url: str) -> None:
    given = config(url)
    assert [queue.name for queue in given["task_queues"]] == list(QUEUES)
    assert given["task_create_missing_queues"] is False


def test_limits_are_the_ledgers_business() -> None:
    assert config(REDIS)["worker_disable_rate_limits"] is True
