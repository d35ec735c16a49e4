"""Waiting for a ledger that is not there yet: a server of somebody else's that starts, or comes back."""

import math
import time

import click
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from worker.ledger.engines import Ledger
from worker.settings import Settings

_PAUSE = 1.0  # seconds between two tries

# What PostgreSQL answers though waiting helps; all else that it answers is a mistake, which does not.
# (https://www.postgresql.org/docs/current/errcodes-appendix.html, 53300 and 57P; libpq tells no code.)
_PASSING = ("database system is", "too many clients", "connection slots", "terminating connection")


def await_ledger(settings: Settings, seconds: float = math.inf) -> None:
    """Return as soon as the ledger takes connections, and say once that it does not.

    Args:
        settings: their `database_url` must be set.
        seconds: how long to wait at most.

    Raises:
        ClickException: it does not within this time, or never will: a wrong password, say.
    """
    give_up_at, said = time.monotonic() + seconds, False
    ledger = Ledger.open(settings, "cli")
    try:
        while reason := _absence(ledger):
            if time.monotonic() >= give_up_at or not _passes(reason):
                raise click.ClickException(f"the ledger does not answer: {reason}")
            if not said:
                click.echo(f"waiting for the ledger: {reason}", err=True)
                said = True
            time.sleep(_PAUSE)
    finally:
        ledger.close()


def _absence(ledger: Ledger) -> str:
    """Why it cannot be reached; empty where it can."""
    try:
        with ledger.write() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        return str(error.orig).strip().splitlines()[0]
    return ""


def _passes(reason: str) -> bool:
    return "FATAL" not in reason or any(words in reason for words in _PASSING)
