"""The `jobyard` command: every act of an operator, and each role alone for containers.

Commands read their words, call a room, and print. Work of their own must not live here.
"""

import click

from ops.cli import clients, diagnosis, jobs, platform, roles


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jobyard", prog_name="jobyard")
def main() -> None:
    """Jobyard: a job that was accepted is never lost and always ends in a state its client can read."""


for command in (
    platform.up,
    platform.status,
    platform.demo,
    diagnosis.doctor,
    diagnosis.settings,
    clients.clients,
    clients.keys,
    jobs.jobs,
    roles.migrate,
    roles.api,
    roles.worker,
    roles.beat,
    roles.flower,
):
    main.add_command(command)
