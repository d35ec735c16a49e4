"""Definitions: data sources, statements, reports and templates, as this command and the workers read them."""

import json
from collections.abc import Iterator

import click
from rich.markup import escape
from rich.table import Column, Table

from ops.cli.declared import read_definitions
from ops.cli.environment import read_settings
from ops.cli.site import console
from worker import definitions as folder
from worker.definitions import SECTIONS, Definitions


@click.group()
def definitions() -> None:
    """What jobs may name: data sources, statements, reports and templates."""


@definitions.command("list")
def list_definitions() -> None:
    """Check all definitions and list them with their parameters."""
    known = read_definitions(read_settings())
    table = Table("section", "name", Column("what", overflow="fold"), "parameters", box=None)
    for row in _rows(known):
        table.add_row(*map(escape, row))
    console().print(table)


@definitions.command()
@click.argument("section", type=click.Choice(list(SECTIONS)))
def schema(section: str) -> None:
    """Print the JSON Schema of the files of a SECTION, for an editor."""
    click.echo(json.dumps(folder.schema(section), indent=2))


def _rows(known: Definitions) -> Iterator[tuple[str, str, str, str]]:
    for name, source in known.sources.items():
        yield "sources", name, source.description, ""
    for name, statement in known.statements.items():
        yield "statements", name, statement.description, ", ".join(statement.parameters)
    for name, report in known.reports.items():
        yield "reports", name, report.title, ", ".join(report.parameters)
    for name, template in known.templates.items():
        yield "templates", name, template.description, ", ".join(template.parameters)
