"""The `jobyard` command: every act of an operator, and each role alone for containers.

Commands read their words, call a room, and print. Work of their own must not live here. A command's module is
imported when the command is called for: ten roles start at once, and none waits for what the others need.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from ops.interruption import STATUS, ended_by_ctrl_c

# Command → its module.
COMMANDS = MappingProxyType(
    {
        "up": "up",
        "status": "platform",
        "demo": "platform",
        "chaos": "chaos",
        "bench": "bench",
        "doctor": "diagnosis",
        "settings": "diagnosis",
        "definitions": "definitions",
        "reports": "reports",
        "clients": "clients",
        "keys": "clients",
        "audit": "audit",
        "webhooks": "webhooks",
        "jobs": "jobs",
        "batches": "batches",
        "artifacts": "artifacts",
        "schedules": "schedules",
        "queues": "queues",
        "top": "top",
        "mail": "mail",
        "migrate": "schema",
        "api": "roles",
        "worker": "roles",
        "beat": "roles",
        "flower": "roles",
        "mail-sink": "roles",
    }
)

# The modules of the extra `worker`.
_OF_WORKERS = frozenset({"idna", "jinja2", "standardwebhooks", "typst", "vl_convert", "xlsxwriter"})


@contextmanager
def _libraries() -> Iterator[None]:
    """End a command with a sentence where it needs what is installed with workers alone."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _OF_WORKERS:
            raise
        raise click.ClickException(
            f"this needs {error.name}, which is installed with workers alone: run it where a worker runs,"
            " or `pip install 'jobyard[worker]'`"
        ) from None


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the same everywhere
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        with ended_by_ctrl_c(), _libraries():
            module = import_module(f"ops.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _libraries():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(STATUS)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jobyard", prog_name="jobyard")
def main() -> None:
    """Jobyard: a job that was accepted is never lost and always ends in a state its client can read."""
