"""The mails that the embedded sink stored."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
from rich.table import Column, Table
from rich.text import Text

from ops.cli.environment import read_settings
from ops.cli.site import console, running
from ops.mail.folder import MailFolder
from ops.mail.reading import Attachment, StoredMail, harmless, read
from worker.settings import Settings

_HEADERS = ("Date", "From", "Reply-To", "To", "Cc", "Subject", "Message-ID")
_SHOWN = 5  # recipients of a mail in the list


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs; one array.")
@click.pass_context
def mail(ctx: click.Context, limit: int, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """List the mails that the embedded sink stored, newest first; their recipients include the Bcc."""
    if ctx.invoked_subcommand is not None:
        return
    settings = read_settings()
    folder = MailFolder(settings.home_path)
    mails = list(_newest(folder, limit))
    if as_json:
        click.echo(json.dumps([_summary(mail) for mail in mails], indent=2))
    elif mails:
        console().print(_table(mails))
        click.echo(f"each is a file: {folder.path}/ID.eml", err=True)
    else:
        click.echo(f"no mail is stored in {folder.path}", err=True)
    if _goes_elsewhere(settings):
        click.echo(
            "nothing new is stored here: JOBYARD_SMTP_URL names a mail server, which gets the mails", err=True
        )


@mail.command()
@click.argument("mail_id", metavar="ID")
def show(mail_id: str) -> None:
    """Print a mail: its envelope, header, attachments and plain text."""
    folder = MailFolder(read_settings().home_path)
    path = folder.file(mail_id)
    if path is None:
        raise click.ClickException(
            f"there is no mail {mail_id!r} in {folder.path}: `jobyard mail` lists them"
        )
    click.echo("\n".join(_page(read(path))))


def _newest(folder: MailFolder, limit: int) -> Iterator[StoredMail]:
    for path in folder.files()[:limit]:
        with suppress(FileNotFoundError):  # deleted at this moment
            yield read(path)


def _goes_elsewhere(settings: Settings) -> bool:
    status = running(settings)
    if status is None:
        return settings.smtp_url is not None
    return all(process.role != "mail" for process in status.processes)


def _summary(mail: StoredMail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "path": str(mail.path),
        "arrived_at": mail.arrived.isoformat(),
        "sender": mail.sender,
        "recipients": mail.recipients,
        "from": mail.header("From"),
        "subject": mail.header("Subject"),
        "size": mail.size,
        "attachments": [attachment.name for attachment in mail.attachments],
    }


def _table(mails: list[StoredMail]) -> Table:
    table = Table(
        Column("id", no_wrap=True),
        Column("when", no_wrap=True),
        Column("from", overflow="fold"),
        Column("to", overflow="fold"),
        Column("subject", overflow="fold"),
        Column("size", justify="right"),
        Column("attachments", overflow="fold"),
        box=None,
    )
    for mail in mails:
        texts = (
            mail.id,
            f"{mail.arrived.astimezone():%Y-%m-%d %H:%M:%S}",
            mail.header("From") or mail.sender,
            _few(mail.recipients),
            mail.header("Subject"),
            str(mail.size),
            ", ".join(attachment.name for attachment in mail.attachments),
        )
        table.add_row(*(Text(_line(text)) for text in texts))  # a `Text` is no markup
    return table


def _few(recipients: tuple[str, ...]) -> str:
    more = len(recipients) - _SHOWN
    return ", ".join(recipients[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _page(mail: StoredMail) -> Iterator[str]:
    yield f"File: {mail.path}"
    yield _line(f"Envelope: {mail.sender} to {', '.join(mail.recipients)}")
    yield from (_line(f"{name}: {value}") for name in _HEADERS if (value := mail.header(name)))
    yield from (_attached(attachment) for attachment in mail.attachments)
    yield ""
    yield "(no plain text)" if mail.text is None else harmless(mail.text).rstrip()


def _attached(attachment: Attachment) -> str:
    return _line(f"Attached: {attachment.name} ({attachment.type}, {attachment.size} bytes)")


def _line(text: str) -> str:
    """On a line of its own, whatever it holds."""
    return harmless(text).replace("\n", " ")
