"""How long the audit log is kept."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from worker.adapters.upkeep import LedgerPruner
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.settings import Settings, SettingsError
from worker.storage import Storage

DAY = 86400.0


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with closing(Ledger.open(Settings(database_url=database_url), "test")) as ledger:
        yield ledger


def test_it_is_kept_for_as_long_as_is_said(ledger: Ledger, tmp_path: Path) -> None:
    add = text("""
        INSERT INTO audit (id, acted_at, actor, act, subject)
        VALUES (:id, now() - :days * interval '1 day', 'ada', 'key.add', 'old')
    """)
    with ledger.write() as connection:
        for days in (10, 39, 41, 399, 401):
            connection.execute(add, {"id": new_id(), "days": days})

    def prune(settings: Settings) -> int:
        return LedgerPruner(ledger, Storage(tmp_path), settings).prune(lambda _: None).audit_entries

    shorter = Settings(audit_retention=40 * DAY)
    assert [prune(Settings()), prune(shorter), prune(shorter)] == [1, 2, 0]


def test_it_is_kept_for_a_month_at_least() -> None:
    with pytest.raises(SettingsError, match="JOBYARD_AUDIT_RETENTION"):
        Settings.from_environment({"JOBYARD_AUDIT_RETENTION": str(29 * DAY)})
