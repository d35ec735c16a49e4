"""What is wrong, and what to do about it; and what is set."""

import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec
from rich.markup import escape
from rich.table import Column, Table

from ops.cli.environment import read_settings
from ops.cli.site import console, found_settings, running
from ops.doctor import Finding, examine
from worker.settings import PREFIX, Settings, source_variable


@click.command()
def doctor() -> None:
    """Look for what is wrong with this platform; exit status 1 where something is."""
    settings = found_settings()
    findings = [*examine(settings), *_examine_processes(settings)]
    table = Table("", "what", Column("found", overflow="fold"), box=None)
    for finding in findings:
        verdict = "[green]ok[/]" if finding.good else "[red]bad[/]"
        table.add_row(verdict, escape(finding.subject), escape(finding.text))
    console().print(table)
    sys.exit(0 if all(finding.good for finding in findings) else 1)


@click.command()
def settings() -> None:
    """List every setting, its variable, its value now and what it means; secrets are masked."""
    table = Table(Column("variable", no_wrap=True), "value", "meaning", box=None)
    for row in _rows(read_settings()):
        table.add_row(*map(escape, row))
    console().print(table)


def _rows(now: Settings) -> Iterator[tuple[str, str, str]]:
    for name, schema in _schema()["properties"].items():
        meaning = schema["description"]
        if name == "sources":
            variables = [source_variable(source) for source in sorted(now.sources)]
            yield from ((variable, "***", meaning) for variable in variables)
            if not variables:
                yield source_variable("<NAME>"), "", meaning
        else:
            yield PREFIX + name.upper(), _shown(name, getattr(now, name)), meaning


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema_components([Settings])[1]["Settings"]
    return schema


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    return "***" if name.endswith(("_url", "_password", "_key", "_secret")) else str(value)


def _examine_processes(settings: Settings) -> Iterator[Finding]:
    status = running(settings)
    if status is not None:
        ill = [process.name for process in status.processes if process.state != "running"]
        text = f"not running: {', '.join(ill)}; look into {settings.home_path}/logs" if ill else "all run"
        yield Finding("processes", not ill, text)
