"""Clients and their keys."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from worker.contract import Rights
from worker.ledger import clients


def test_a_key_opens_for_its_client(connection: Connection) -> None:
    client = clients.add_client(connection, "acme")
    assert client
    _, key = clients.add_key(connection, client.id, "laptop")

    assert clients.client_of_key(connection, key) == client
    assert clients.client_of_key(connection, key + "x") is None


def test_a_revoked_key_opens_nothing_and_is_revoked_once(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    key_id, key = clients.add_key(connection, client.id, "laptop")

    assert clients.revoke_key(connection, key_id)
    assert clients.client_of_key(connection, key) is None
    assert not clients.revoke_key(connection, key_id)


def test_an_expired_key_opens_nothing(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    _, key = clients.add_key(connection, client.id, "old", datetime.now(UTC) - timedelta(seconds=1))

    assert clients.client_of_key(connection, key) is None


def test_a_key_submits_all_kinds_unless_it_says_which(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    _, free = clients.add_key(connection, client.id, "free")
    _, bound = clients.add_key(connection, client.id, "bound", rights=Rights(("email.*", "report.render")))

    found = [clients.client_of_key(connection, key) for key in (free, bound)]

    assert [client and client.rights for client in found] == [Rights(), Rights(("email.*", "report.render"))]
    assert [clients.rights_of(key["kinds"]) for key in clients.keys_of(connection, client.id)] == [
        Rights(),
        Rights(("email.*", "report.render")),
    ]


def test_a_key_of_no_kinds_submits_nothing(connection: Connection) -> None:
    """None is made by the command, but NULL and an empty list must not be taken for each other."""
    client = clients.ensure_client(connection, "acme")
    _, key = clients.add_key(connection, client.id, "none", rights=Rights(()))

    found = clients.client_of_key(connection, key)

    assert found
    assert not found.rights.allow("email.send")


def test_the_ledger_does_not_hold_the_key(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    _, key = clients.add_key(connection, client.id, "laptop")

    stored = str(connection.execute(text("SELECT CAST(k AS text) FROM api_keys k")).scalar_one())

    assert key not in stored
    assert key.removeprefix(clients.KEY_PREFIX)[:12] not in stored
    (shown,) = clients.keys_of(connection, client.id)
    assert "digest" not in shown


def test_a_name_is_taken_once(connection: Connection) -> None:
    first = clients.add_client(connection, "acme")

    assert clients.add_client(connection, "acme") is None
    assert clients.ensure_client(connection, "acme") == first
    assert clients.find_client(connection, "acme") == first
    assert [client["name"] for client in clients.all_clients(connection)] == ["acme"]


def test_the_keys_go_with_their_client(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    _, key = clients.add_key(connection, client.id, "laptop")

    assert clients.remove_client(connection, client.id)
    assert clients.client_of_key(connection, key) is None
    assert not clients.remove_client(connection, client.id)
