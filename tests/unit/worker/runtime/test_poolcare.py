from celery.concurrency import prefork, thread
from celery.worker.components import Pool

from worker.runtime.poolcare import PoolCare, is_prefork


def test_it_comes_after_the_pool() -> None:
    assert PoolCare.requires == (f"{Pool.__module__}:{Pool.__name__}",)


def test_a_pool_of_processes_is_told_from_one_of_threads() -> None:
    assert is_prefork(prefork.TaskPool)
    assert not is_prefork(thread.TaskPool)
