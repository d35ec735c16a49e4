"""What a beat tells of the platform."""

from pathlib import Path

import msgspec
import pytest

from schedules.metrics import Metrics
from schedules.observation import EVERY, Observation
from tests.integration.ledger.situations import enqueue
from tests.unit.schedules.stand_ins import Clock, todo
from worker.contract.queues import QUEUES
from worker.ledger.engines import Ledger
from worker.settings import Settings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observation(
    ledger: Ledger, settings: Settings, metrics: Metrics, clock: Clock, tmp_path: Path
) -> Observation:
    settings = msgspec.structs.replace(settings, home=str(tmp_path))
    return Observation(ledger, QUEUES.values(), settings, metrics, clock)


def test_every_queue_is_told_of_also_where_nothing_waits(observation: Observation, metrics: Metrics) -> None:
    observation.run(todo())
    for queue in QUEUES.values():
        told = {
            name: metrics.registry.get_sample_value(f"jobyard_queue_{name}", {"queue": queue.name})
            for name in (
                "depth",
                "oldest_waiting_seconds",
                "running",
                "workers",
                "paused",
                "objective_seconds",
            )
        }
        assert told == dict.fromkeys(told, 0) | {"objective_seconds": queue.objective}


def test_a_look_is_taken_every_few_seconds(
    observation: Observation, metrics: Metrics, ledger: Ledger, clock: Clock
) -> None:
    def depth() -> float | None:
        return metrics.registry.get_sample_value("jobyard_queue_depth", {"queue": "web"})

    observation.run(todo())
    with ledger.write() as connection:
        enqueue(connection)
    observation.run(todo(publishable=True))
    assert depth() == 0
    clock.now += EVERY
    observation.run(todo(publishable=True))
    assert depth() == 1


def test_the_room_on_the_disk_is_told(observation: Observation, metrics: Metrics) -> None:
    observation.run(todo())
    free, size = (
        metrics.registry.get_sample_value(f"jobyard_home_{name}_bytes") or 0 for name in ("free", "size")
    )
    assert 0 < free <= size
