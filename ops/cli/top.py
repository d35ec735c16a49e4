"""The platform live in a terminal, by way of the HTTP API."""

import contextlib
import time

import click
from rich.console import Console
from rich.live import Live

from api.client import ApiError, Client, Unreachable
from ops.cli.frame import Frame, take
from ops.cli.site import console, open_client


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and end; so it does in a pipe.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.5),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
def top(every: float, *, once: bool) -> None:
    """Watch queues, workers, running jobs, failures and throughput; Ctrl-C ends it.

    Needs a key with the scope operate.
    """
    shown = console()
    with open_client() as client:
        frame = Frame(client.url)
        frame.add(take(client))
        if once or not shown.is_terminal:
            shown.print(frame.draw(shown.width))
        else:
            _watch(client, frame, shown, every)


def _watch(client: Client, frame: Frame, shown: Console, every: float) -> None:
    with contextlib.suppress(KeyboardInterrupt), Live(console=shown, screen=True, auto_refresh=False) as live:
        trouble = ""
        while True:
            live.update(frame.draw(shown.width, trouble), refresh=True)
            time.sleep(every)
            trouble = _look(client, frame)


def _look(client: Client, frame: Frame) -> str:
    """Take a new snapshot; why there is none, where the API restarts or is away."""
    try:
        frame.add(take(client))
    except (Unreachable, ApiError) as error:
        return f"no newer picture: {error}"
    return ""
