"""The audit log is only added to."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from worker.ledger import audit


@pytest.fixture(autouse=True)
def entries(connection: Connection) -> None:
    """One of today, and one of long ago."""
    audit.note(connection, "ada@here", "key.add", "k1", client="acme")
    audit.note(connection, "ada@here", "key.revoke", "k1")
    connection.execute(
        text("""INSERT INTO audit (id, acted_at, actor, act, subject)
                VALUES ('00000000-0000-7000-8000-000000000000', now() - interval '31 days', 'a', 'b', 'c')""")
    )


def test_entries_come_newest_first(connection: Connection) -> None:
    newest, older, *_ = audit.page(connection, 10)
    assert (newest["act"], newest["details"]) == ("key.revoke", None)
    assert (older["act"], older["details"]) == ("key.add", {"client": "acme"})
    assert [entry["act"] for entry in audit.page(connection, 10, before=newest["id"])] == ["key.add", "b"]
    assert [entry["act"] for entry in audit.page(connection, 10, act="key.add")] == ["key.add"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'eve'",
        "UPDATE audit SET actor = 'eve' WHERE act = 'b'",
        "DELETE FROM audit WHERE act = 'key.add'",
        "TRUNCATE audit",
    ],
)
def test_nobody_changes_or_deletes_them(connection: Connection, change: str) -> None:
    with pytest.raises(DBAPIError, match="only added to"), connection.begin_nested():
        connection.execute(text(change))
    assert len(audit.page(connection, 10)) == 3


def test_old_ones_are_forgotten(connection: Connection) -> None:
    cutoff = datetime.now(UTC) - timedelta(seconds=audit.SHORTEST)
    assert audit.forget(connection, cutoff, 10) == 1
    assert len(audit.page(connection, 10)) == 2
    with pytest.raises(DBAPIError, match="30 days at least"), connection.begin_nested():
        audit.forget(connection, datetime.now(UTC), 10)
