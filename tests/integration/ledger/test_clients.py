"""Clients and their keys."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from worker.contract import Rights, Scopes
from worker.ledger import clients


def test_a_key_opens_for_its_client(connection: Connection) -> None:
    client = clients.add_client(connection, "acme")
    assert client
    key_id, key = clients.add_key(connection, client.id, "laptop")

    found = clients.client_of_key(connection, key)
    assert found
    assert (found.id, found.name, found.key_id) == (client.id, "acme", key_id)
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


def test_a_key_submits_and_reads_unless_it_says_more(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    _, plain = clients.add_key(connection, client.id, "plain")
    _, wide = clients.add_key(connection, client.id, "wide", scopes=Scopes.of(["operate"]))

    found = [clients.client_of_key(connection, key) for key in (plain, wide)]

    assert [key and key.scopes for key in found] == [Scopes(), Scopes.of(["operate"])]
    assert [key and key.reach for key in found] == [client.id, None]


def test_a_scope_of_a_later_version_means_nothing() -> None:
    assert clients.scopes_of(["read", "fly"]) == Scopes.of(["read"])


def test_the_use_of_a_key_is_noted_once_a_minute(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    key_id, _ = clients.add_key(connection, client.id, "laptop")

    def used() -> datetime | None:
        moment: datetime | None = clients.find_key(connection, key_id)["last_used_at"]
        return moment

    assert used() is None
    clients.note_use(connection, key_id)
    first = used()
    assert first
    age = text("UPDATE api_keys SET last_used_at = now() - :seconds * interval '1 second'")
    for seconds, kept in ((50, True), (70, False)):
        connection.execute(age, {"seconds": seconds})
        before = used()
        clients.note_use(connection, key_id)
        assert (used() == before) is kept


def test_a_rotated_key_is_good_for_a_while_beside_its_successor(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    rights, scopes = Rights(("email.*",)), Scopes.of(["submit"])
    old_id, old = clients.add_key(connection, client.id, "robot", rights=rights, scopes=scopes)

    made = clients.rotate_key(connection, old_id, overlap=3600)
    assert made
    found = [clients.client_of_key(connection, key) for key in (old, made[1])]

    assert [key and (key.key_id, key.rights, key.scopes) for key in found] == [
        (old_id, rights, scopes),
        (made[0], rights, scopes),
    ]
    ends = clients.find_key(connection, old_id)["expires_at"]
    assert timedelta(minutes=59) < ends - datetime.now(UTC) < timedelta(minutes=61)
    assert clients.find_key(connection, made[0])["expires_at"] is None


def test_a_key_rotated_without_overlap_ends_at_once(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    key_id, key = clients.add_key(connection, client.id, "robot")

    assert clients.rotate_key(connection, key_id, overlap=0)
    assert clients.client_of_key(connection, key) is None
    assert clients.rotate_key(connection, key_id, overlap=0) is None


def test_a_successor_is_made_for_as_long_as_the_key_was(connection: Connection) -> None:
    client = clients.ensure_client(connection, "acme")
    soon = datetime.now(UTC) + timedelta(days=3)
    key_id, _ = clients.add_key(connection, client.id, "robot", soon)
    connection.execute(text("UPDATE api_keys SET created_at = created_at - interval '7 days'"))

    made = clients.rotate_key(connection, key_id, overlap=30 * 86400)
    assert made

    assert clients.find_key(connection, key_id)["expires_at"] == soon
    life = clients.find_key(connection, made[0])["expires_at"] - datetime.now(UTC)
    assert timedelta(days=9.9) < life < timedelta(days=10.1)
