"""Plain Celery, prefork, with the events that Flower needs."""

import peer_celery
from peer_celery import app, clear, done, noop, results, submit

__all__ = ["app", "clear", "done", "noop", "results", "submit", "workers"]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [[*words, "--task-events"] for words in peer_celery.workers(cores)]
