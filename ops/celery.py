"""Celery's commands `worker` and `beat` without all its others: `python -m ops.celery worker --queues email`.

Its umbrella command loads Flower, and what its shell for AMQP completes words with, into every process: 12 MB
and a fifth of a second, which a worker has no use for.
"""

import sys
from importlib import import_module

from celery import maybe_patch_concurrency

APPS = {"worker": "worker.celery", "beat": "schedules.beat"}


def main() -> None:
    """Become what the command line names."""
    maybe_patch_concurrency()  # first, as Celery does: gevent patches what is loaded later
    from celery.app.utils import find_app  # noqa: PLC0415 - see above
    from celery.bin.base import CLIContext  # noqa: PLC0415

    name, *words = sys.argv[1:]
    context = CLIContext(find_app(APPS[name]), no_color=False, workdir=None)
    getattr(import_module(f"celery.bin.{name}"), name).main(words, prog_name=f"celery {name}", obj=context)


if __name__ == "__main__":
    main()
