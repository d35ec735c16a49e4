"""Kinds, queues and schedules fit each other."""

import pytest

from schedules import files
from worker import catalog
from worker.catalog import AnyKind
from worker.contract.queues import ISOLATION, POOLS, QUEUES, WORKERS, Queue
from worker.enqueue import Enqueuer

CATALOG = catalog.load()
every_kind = pytest.mark.parametrize("kind", CATALOG.values(), ids=CATALOG.keys())
every_queue = pytest.mark.parametrize("queue", QUEUES.values(), ids=QUEUES.keys())


@every_kind
def test_a_kind_waits_in_a_queue_of_the_table(kind: AnyKind) -> None:
    assert QUEUES[kind.queue.name] is kind.queue
    assert kind.queue is not ISOLATION


@every_kind
def test_a_kind_says_what_it_does(kind: AnyKind) -> None:
    assert kind.description.endswith(".")


@every_queue
def test_a_queue_has_a_pool_and_numbers_that_work(queue: Queue) -> None:
    assert queue.pool in POOLS
    assert queue.concurrency >= 1
    assert queue.prefetch >= 0
    assert queue.deadline > 0
    assert queue.grace > 0


def test_a_queue_stands_under_its_own_name() -> None:
    assert [queue.name for queue in QUEUES.values()] == list(QUEUES)


def test_every_queue_has_one_worker_of_the_embedded_default() -> None:
    consumed = [queue for queues in WORKERS.values() for queue in queues]
    assert sorted(queue.name for queue in consumed) == sorted(QUEUES)


def test_what_must_run_alone_gets_a_process_for_itself() -> None:
    assert ISOLATION.pool == "prefork"


def test_the_shipped_schedules_enqueue_valid_jobs_of_known_kinds() -> None:
    schedules = files.load([files.SHIPPED], Enqueuer(CATALOG))
    assert {rule.submission.kind for rule in schedules} <= set(CATALOG)
    assert schedules
