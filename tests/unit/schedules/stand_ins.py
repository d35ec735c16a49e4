"""Stand-ins for what a beat's parts look at: a clock, a ledger, an agenda."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import MagicMock

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from worker.ledger.agenda import Agenda

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def moment(self) -> datetime:
        """The same time on the ledger's clock."""
        return START + timedelta(seconds=self.now)


class FakeLedger:
    """Gives connections that nothing is behind; away while a test says so."""

    def __init__(self) -> None:
        self.away = False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.away:
            raise OperationalError("SELECT", {}, ConnectionError("refused"))
        yield MagicMock(spec=Connection)

    write_at_once = write


def todo(moment: datetime = START, **fields: object) -> Agenda:
    given: dict[str, object] = {
        "moment": moment,
        "firing": False,
        "due": False,
        "expiring": False,
        "publishable": False,
        "published": False,
        "ended": False,
        "oldest_dispatch": None,
        "oldest_heartbeat": None,
    }
    return Agenda(**given | fields)  # type: ignore[arg-type]
