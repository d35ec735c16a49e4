"""Where a command finds its platform: the settings, and what a running `up` says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import click
import msgspec
from rich.console import Console
from sqlalchemy.exc import OperationalError

from api.client import ApiError, Client, Unreachable
from ops.cli.environment import read_settings
from ops.supervisor import Status, read_status
from worker.ledger.engines import Ledger
from worker.settings import Settings

_WIDE = 200  # characters
LISTED = 120  # characters of a table with ids and times: a narrower terminal breaks its lines itself


def console(least: int = 0) -> Console:
    """Where a command prints: a table that goes into a pipe is not cut to the width of a terminal.

    Args:
        least: characters that a line may have, however narrow the terminal is.
    """
    shown = Console()
    width = shown.width if shown.is_terminal else _WIDE
    return Console(width=max(width, least))


def running(settings: Settings) -> Status | None:
    """What the platform of this HOME says of itself, where one runs."""
    record = read_status(settings.home_path)
    return record.status if record and record.alive else None


def found_settings() -> Settings:
    """The settings, with the URLs of the platform that runs in this HOME where none are set."""
    settings = read_settings()
    status = running(settings)
    if status is None:
        return settings
    return msgspec.structs.replace(
        settings,
        database_url=settings.database_url or status.urls.database,
        broker_url=settings.broker_url or status.urls.broker,
        smtp_url=settings.smtp_url or status.urls.smtp,
        sources=status.urls.sources | settings.sources,
    )


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger of the platform, or a sentence that says why there is none."""
    if settings.database_url is None:
        raise click.ClickException(
            f"no platform runs in {settings.home_path}: start one with `jobyard up`, "
            "or set JOBYARD_DATABASE_URL"
        )
    ledger = Ledger.open(settings, "cli")
    try:
        yield ledger
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise click.ClickException(f"the ledger does not answer: {reason}") from None
    finally:
        ledger.close()


@contextmanager
def open_client() -> Iterator[Client]:
    """A client of the platform's API, or a sentence that says what is missing."""
    settings = read_settings()
    status = running(settings)
    url = settings.api_url or (status.urls.api if status else None)
    if url is None:
        raise click.ClickException(
            f"no platform runs in {settings.home_path}: start one with `jobyard up`, or set JOBYARD_API_URL"
        )
    key = settings.api_key or _key_of(Path(status.key_file) if status else None)
    try:
        with _client(url, key) as client:
            yield client
    except ApiError as error:
        raise click.ClickException(_told(error)) from None
    except Unreachable as error:
        raise click.ClickException(str(error)) from None


def _client(url: str, key: str) -> Client:
    try:
        return Client(url, key)
    except ValueError as error:
        raise click.ClickException(f"{error}: look at JOBYARD_API_URL and JOBYARD_API_KEY") from None


def _told(error: ApiError) -> str:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return f"{error}: look at JOBYARD_API_KEY (`jobyard keys add CLIENT` makes a key)"
    if scope := error.problem.get("scope"):
        return f"{error}: `jobyard keys add CLIENT --scopes {scope}` makes one, for JOBYARD_API_KEY"
    return str(error)


def _key_of(path: Path | None) -> str:
    if path is not None:
        try:
            return path.read_text().strip()
        except OSError:
            pass
    raise click.ClickException("no API key: set JOBYARD_API_KEY (`jobyard keys add CLIENT` makes one)")
