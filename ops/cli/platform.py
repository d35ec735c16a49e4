"""The whole platform on one machine: look at it, see it work."""

import json
import sys
from collections.abc import Iterator

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ops.cli.environment import read_settings
from ops.cli.site import running
from ops.supervisor import Addresses
from ops.supervisor.targets import targets
from ops.tour import tour


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; URLs carry their credentials.")
@click.option("--targets", "as_targets", is_flag=True, help="For Prometheus: where its metrics are.")
def status(*, as_json: bool, as_targets: bool) -> None:
    """Show the processes of the platform that runs in this HOME, and its URLs with their credentials.

    The exit status is 1 where none runs.
    """
    settings = read_settings()
    found = running(settings)
    if found is None:
        raise click.ClickException(f"no platform runs in {settings.home_path}")
    if as_json or as_targets:
        shown = targets(found, settings.metrics_host) if as_targets else found
        click.echo(json.dumps(msgspec.to_builtins(shown), indent=2))
        return
    table = Table("process", "role", "pid", "state", box=None)
    for process in found.processes:
        table.add_row(process.name, process.role, str(process.pid or ""), process.state.value)
    console = Console()
    console.print(table)
    for name, url in _urls(found.urls):
        console.print(f"{name}: {url}", highlight=False, soft_wrap=True)
    console.print(f"key file: {found.key_file}", highlight=False, soft_wrap=True)


def _urls(urls: Addresses) -> Iterator[tuple[str, str]]:
    named = msgspec.structs.asdict(urls)
    sources = named.pop("sources")
    yield from named.items()
    yield from ((f"source {name}", url) for name, url in sources.items())


@click.command()
@click.option("--pages", type=click.IntRange(1, 1000), default=100, show_default=True)
def demo(pages: int) -> None:
    """Start a platform, run real work on it, show what came out, and stop it."""
    settings = read_settings()
    sys.exit(tour.run(settings, pages))
