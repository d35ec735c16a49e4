"""The tutorial as processes: its API, and its worker."""

from collections.abc import Iterator
from contextlib import contextmanager

from ops.bench.course import Course
from ops.bench.ground import Ground
from ops.bench.process import Process
from ops.bench.rivals import environment
from ops.embedded.ports import answers, free_ports

DATABASE = 1  # of Valkey; the platform has 0
QUEUE = "celery"  # Celery's own name for the default one


def url(ground: Ground, database: int = DATABASE) -> str:
    """Valkey's URL with another database than the platform's."""
    return ground.redis_url.rpartition("/")[0] + f"/{database}"


@contextmanager
def api(course: Course, ground: Ground) -> Iterator[tuple[str, int]]:
    """FastAPI with two processes of uvicorn; its address."""
    (port,) = free_ports(1)
    words = ("uvicorn", "tutorial:app", "--workers", "2", "--port", str(port), "--log-level", "warning")
    with _process(course, ground, words) as process:
        process.wait(lambda: answers(port, "127.0.0.1", "/readyz"))
        yield "127.0.0.1", port


@contextmanager
def worker(course: Course, ground: Ground) -> Iterator[Process]:
    """A Celery worker, prefork with a process for each core: its defaults."""
    words = ("celery", "-A", "peer_celery", "worker", "--loglevel", "INFO")
    with _process(course, ground, words) as process:
        process.wait(lambda: process.said("ready."))
        yield process


@contextmanager
def _process(course: Course, ground: Ground, words: tuple[str, ...]) -> Iterator[Process]:
    argv = environment.program(environment.python(course), *words)
    variables = environment.environ(url(ground), ground.warehouse)
    with ground.process(argv, variables, f"tutorial-{words[0]}") as process:
        yield process
