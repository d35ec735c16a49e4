"""The same platform on RabbitMQ, for what differs there; whatever builds on it comes from tests/smoke."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_celery import CeleryTestBroker  # type: ignore[import-untyped]  # it has none

from tests.rabbitmq import RabbitMQ
from tests.servers import Servers
from tests.smoke import platform as platforms
from tests.smoke.conftest import Fleet
from tests.smoke.platform import QUEUE_OF, Platform
from worker.contract.queues import POOLS


@pytest.fixture(scope="module")
def platform(embedded: Servers, rabbitmq: RabbitMQ, folder: Path) -> Iterator[Platform]:
    """Not for the whole run: others have the node after these tests, and would find messages of these."""
    place = Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=folder))
    place.chmod(0o711)
    rabbitmq.empty()
    broker = CeleryTestBroker(rabbitmq.process)
    with (
        embedded.database() as database_url,
        platforms.running(database_url, place, lease=3.0, broker=broker) as started,
    ):
        yield started
    rabbitmq.await_leaving()
    rabbitmq.empty()


@pytest.fixture(scope="module")
def fleet(platform: Platform) -> Iterator[Fleet]:
    """A worker of each pool, started side by side. The prefork one also runs what must be alone."""
    queues = {**QUEUE_OF, "prefork": f"{QUEUE_OF['prefork']},isolation"}
    with ExitStack() as stack:
        workers = {pool: stack.enter_context(platform.worker(pool, queues[pool])) for pool in POOLS}
        for worker in workers.values():
            worker.ready()
        yield workers
