"""A client's own files, by way of the HTTP API, for payloads to name."""

import mimetypes
from pathlib import Path

import click
import msgspec
from rich.console import Console

from ops.cli.said import Said
from ops.cli.site import open_client

_UNKNOWN = "application/octet-stream"


@click.group()
def artifacts() -> None:
    """Upload files for payloads to name; `jobyard jobs artifact` gets those that jobs make."""


@artifacts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", type=Said(), help="What it is called; unset: as FILE.")
@click.option(
    "--type", "content_type", type=Said(plain=True), help="Its media type; unset: by the ending of the name."
)
def upload(file: Path, name: str | None, content_type: str | None) -> None:
    """Store FILE, and show its id."""
    called = name or file.name
    with open_client() as client:
        stored = client.upload(called, file.read_bytes(), content_type or _guessed(called))
    Console().print_json(msgspec.json.encode(stored).decode())


@artifacts.command()
@click.argument("artifact_id", type=click.UUID)
def delete(artifact_id: object) -> None:
    """Delete a file that was uploaded; a job that names it and has not read it yet will fail."""
    with open_client() as client:
        client.delete_upload(str(artifact_id))


def _guessed(name: str) -> str:
    type_, coding = mimetypes.guess_type(name)
    return type_ if type_ and not coding else _UNKNOWN  # the type is that of what was compressed
