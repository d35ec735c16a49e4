"""Celery's commands that are roles here, without its others: `python -m ops.celery worker --queues email`.

Its umbrella command loads Flower, and what its shell for AMQP completes words with, into every process: 12 MB
and a fifth of a second, which a worker has no use for.
"""

import sys
from importlib import import_module

import click
from celery import maybe_patch_concurrency

# Command → its app, and the module that it is in.
COMMANDS = {
    "worker": ("worker.celery", "celery.bin.worker"),
    "beat": ("schedules.beat", "celery.bin.beat"),
    "flower": ("ops.flower", "flower.command"),
}


def main() -> None:
    """Become what the command line names."""
    maybe_patch_concurrency()  # first, as Celery does: gevent patches what is loaded later
    from celery.app.utils import find_app  # noqa: PLC0415 - see above
    from celery.bin.base import CLIContext  # noqa: PLC0415

    name, *words = sys.argv[1:]
    app, module = COMMANDS[name]
    context = CLIContext(find_app(app), no_color=False, workdir=None)
    umbrella = click.Context(click.Command("celery"), obj=context)
    getattr(import_module(module), name).main(words, prog_name=f"celery {name}", parent=umbrella)


if __name__ == "__main__":
    main()
