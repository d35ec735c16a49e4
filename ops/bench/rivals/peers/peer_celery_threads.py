"""Plain Celery with threads, eight as the platform's own queues with threads have."""

from peer_celery import app, clear, done, noop, results, submit

__all__ = ["app", "clear", "done", "noop", "results", "submit", "workers"]


def workers(_cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [["celery", "-A", "peer_celery", "worker", "--pool", "threads", "-c", "8", "-l", "WARNING"]]
