"""What callbacks are signed with. Every look at a secret is noted in the audit log."""

import base64

import click

from ops.cli.clients import named_client
from ops.cli.identity import operator
from ops.cli.site import found_settings, open_ledger
from worker.ledger import audit, webhook_secrets

_PREFIX = "whsec_"  # Standard Webhooks 1.0, "Signature scheme"


@click.group()
def webhooks() -> None:
    """The callbacks of clients."""


@webhooks.group()
def secret() -> None:
    """The secret of a client, with which its callbacks are signed."""


@secret.command()
@click.argument("client")
def show(client: str) -> None:
    """Print the secret that signs a client's callbacks; the first look makes it."""
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        newest, *old = webhook_secrets.live(connection, named_client(connection, client).id)
        audit.note(connection, operator(), "webhook_secret.show", client)
    click.echo(_text(newest))
    if old:
        click.echo(f"{len(old)} older one signs too, for a while after its rotation", err=True)


@secret.command()
@click.argument("client")
@click.option(
    "--overlap",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="Hours for which the old secret signs too.",
)
def rotate(client: str, overlap: float) -> None:
    """Make a client a new secret and print it; for a while callbacks carry both signatures."""
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        made = webhook_secrets.rotate(connection, named_client(connection, client).id, overlap * 3600)
        audit.note(connection, operator(), "webhook_secret.rotate", client, overlap_hours=overlap)
    click.echo(f"the old secret signs too for {overlap:g} h more; the new one:", err=True)
    click.echo(_text(made))


def _text(key: bytes) -> str:
    return _PREFIX + base64.b64encode(key).decode()
