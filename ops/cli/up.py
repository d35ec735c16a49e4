"""The whole platform on one machine: bring it up.

Everything waits for this module, and its process lives as long as the platform, so it loads no more than it
needs: SQLAlchemy and the ledger only where somebody looks at a terminal, or the ledger is somebody else's.
"""

import os

import click
from rich.console import Console

from ops.cli.declared import read_definitions
from ops.cli.environment import read_settings
from ops.cli.view import Lines, Screen
from ops.embedded import ServerError
from ops.embedded.home import Home
from ops.supervisor import AlreadyRunningError, Supervisor, SupervisorError
from worker import logs


@click.command()
def up() -> None:
    """Start the platform and keep it running until Ctrl-C or SIGTERM."""
    settings = read_settings()
    read_definitions(settings)  # or each worker would die of the same fault
    key_file = Home(settings.home_path).key
    if settings.database_url is not None:
        from ops.cli.waiting import await_ledger  # noqa: PLC0415 - see above

        await_ledger(settings)
    console = Console()
    view = Screen(console, key_file, settings) if console.is_terminal else Lines(console, key_file)
    try:
        supervisor = Supervisor(settings, os.environ, on_change=view.show)
        supervisor.prepare()
        logs.set_up(settings, "supervisor", console=False)
        supervisor.run()
    except (AlreadyRunningError, ServerError, SupervisorError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        view.close()
    console.print("jobyard is down; nothing of it is left running")
