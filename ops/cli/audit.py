"""The audit log: what operators and admins did."""

import click
import msgspec
from rich.markup import escape
from rich.table import Column, Table

from ops.cli.moments import written
from ops.cli.site import LISTED, console, found_settings, open_ledger
from worker.ledger import audit as ledger_audit


@click.command()
@click.option("--act", help="Only entries of this act: key.add, job.cancel, …")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def audit(act: str | None, limit: int, *, as_json: bool) -> None:
    """Show who did what as an operator or an admin, newest first."""
    with open_ledger(found_settings()) as ledger, ledger.read() as connection:
        entries = [dict(row) for row in ledger_audit.page(connection, limit, act=act)]
    if as_json:
        for entry in entries:
            click.echo(msgspec.json.encode(entry).decode())
        return
    table = Table(
        Column("when", no_wrap=True),
        "who",
        "act",
        Column("what", no_wrap=True),
        Column("details", overflow="fold"),
        box=None,
        pad_edge=False,
    )
    for entry in entries:
        details = {name: value for name, value in (entry["details"] or {}).items() if value not in (None, "")}
        shown = ", ".join(f"{name}={value}" for name, value in details.items())
        table.add_row(
            written(entry["acted_at"]),
            entry["actor"],
            entry["act"],
            entry["subject"],
            escape(shown),
        )
    console(LISTED).print(table)
