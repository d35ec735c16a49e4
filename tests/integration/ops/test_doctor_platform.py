"""What the doctor finds of the ledger, the broker and the beats, on real servers."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import redis
from sqlalchemy import text

from ops.doctor.broker import examine_broker
from ops.doctor.environment import examine_environment
from ops.doctor.finding import Finding
from ops.doctor.ledger import examine_ledger, room_for_locks
from ops.doctor.schedules import examine_schedules
from schedules.files import SHIPPED, Files, load
from tests.integration.ledger.situations import change, enqueue
from tests.servers import Servers
from worker import catalog
from worker.contract import Rights
from worker.contract.queues import QUEUES
from worker.enqueue import Enqueuer
from worker.ledger import agenda, clients, leases, queues, schedules
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.ids import floor_of, new_id
from worker.ledger.schedules import Stored
from worker.settings import Settings


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with closing(Ledger.open(settings, "test")) as ledger:
        yield ledger
        with ledger.write() as connection:
            for table in ("jobs", "queues", "client_schedules", "api_keys", "workers"):
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a name from here


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_a_worker_counts_for_as_long_as_its_lease(settings: Settings, ledger: Ledger) -> None:
    with ledger.write() as connection:
        worker = text("""
            INSERT INTO workers (id, name, host, pid, queues, heartbeat_at)
            VALUES (gen_random_uuid(), 'all@here', 'here', 1, :queues, now() - interval '40 s')
        """)
        connection.execute(worker, {"queues": list(QUEUES)})
    patient = msgspec.structs.replace(settings, lease=60.0)

    assert by_subject(examine_ledger(patient))["queues"].good
    assert not by_subject(examine_ledger(msgspec.structs.replace(settings, lease=30.0)))["queues"].good


def test_a_replica_that_is_late_or_away_is_held_against_nothing_else(
    settings: Settings, ledger: Ledger, embedded: Servers
) -> None:
    with ledger.write() as connection:
        leases.renew(connection, new_id(), name="all@here", host="here", pid=1, queues=QUEUES)
    with embedded.database() as url:  # a ledger of its own, which has heard of nothing
        late = by_subject(examine_ledger(msgspec.structs.replace(settings, database_read_url=url)))
    nowhere = "postgresql://jobyard@127.0.0.1:1/ledger"
    away = by_subject(examine_ledger(msgspec.structs.replace(settings, database_read_url=nowhere)))

    assert (late["queues"].good, late["replica"].good) == (True, True)
    assert (away["queues"].good, away["replica"].good) == (True, False)
    assert "see that it runs where JOBYARD_DATABASE_READ_URL says" in away["replica"].text


def test_a_clock_of_an_api_that_is_ahead(settings: Settings, ledger: Ledger) -> None:
    with ledger.write() as connection:
        enqueue(connection)
    assert by_subject(examine_ledger(settings))["clock of ids"].good
    ahead = UUID(int=floor_of(datetime.now(UTC) + timedelta(minutes=5)).int + 1)
    with ledger.write() as connection:
        enqueue(connection, id=ahead)
    found = by_subject(examine_ledger(settings))["clock of ids"]
    assert not found.good
    assert "s ahead of the ledger's clock; keep those of APIs by NTP" in found.text


def test_jobs_that_no_beat_makes_queued(settings: Settings, ledger: Ledger) -> None:
    assert by_subject(examine_ledger(settings))["beat"].good
    with ledger.write() as connection:
        job_id = enqueue(connection)
        change(connection, job_id, state="'scheduled'", due_at="now() - interval '2 minutes'")
    found = by_subject(examine_ledger(settings))["beat"]
    assert not found.good
    assert "start `jobyard beat`" in found.text


def test_a_queue_that_was_left_paused(settings: Settings, ledger: Ledger) -> None:
    with ledger.write() as connection:
        queues.pause(connection, "web", "operator ada")
    found = by_subject(examine_ledger(settings))["queue web"]
    assert found.good
    assert "by operator ada; `jobyard queues resume web` lets it go on" in found.text
    with ledger.write() as connection:
        connection.execute(text("UPDATE queues SET paused_at = now() - interval '25 hours'"))
    assert not by_subject(examine_ledger(settings))["queue web"].good


def test_a_queue_whose_oldest_job_waits_past_its_objective(settings: Settings, ledger: Ledger) -> None:
    with ledger.write() as connection:
        job_id = enqueue(connection, queue="report")
        change(connection, job_id, due_at="now() - interval '4 minutes'")
    assert "queue report" not in by_subject(examine_ledger(settings))
    with ledger.write() as connection:
        change(connection, job_id, due_at="now() - interval '6 minutes'")
    found = by_subject(examine_ledger(settings))["queue report"]
    assert not found.good
    assert found.text.startswith("late: 1 waiting, the oldest for 6m 0")
    assert "its objective is 5m 00s; `jobyard queues` and ops/runbooks/queues.md tell why" in found.text
    with ledger.write() as connection:
        queues.pause(connection, "report", "operator ada")
    assert "late" not in by_subject(examine_ledger(settings))["queue report"].text


@pytest.mark.usefixtures("ledger")
def test_a_queue_without_a_worker(settings: Settings) -> None:
    found = by_subject(examine_ledger(settings))["queues"]
    assert "no worker for database, email, " in found.text
    assert "or see why the one there is silent (ops/runbooks/WorkerMissing.md)" in found.text


def about(settings: Settings, subject: str) -> str:
    """What is wrong with it; empty: nothing."""
    found = by_subject(examine_schedules(settings)).get(subject)
    assert found is None or not found.good
    return found.text if found else ""


def test_a_file_that_no_beat_has_read(settings: Settings, ledger: Ledger) -> None:
    assert "no beat has read its file; start `jobyard beat`" in about(settings, "schedule prune")
    enqueuer = Enqueuer(catalog.load())
    Files(load([SHIPPED], enqueuer), ledger).run(todo(ledger))
    assert about(settings, "schedule prune") == ""


def test_a_schedule_that_does_not_fire_when_it_should(settings: Settings, ledger: Ledger) -> None:
    saved(ledger, "morning")
    assert about(settings, "schedule morning") == ""
    with ledger.write() as connection:
        connection.execute(text("UPDATE client_schedules SET next_fire_at = now() - interval '10 minutes'"))
    said = about(settings, "schedule morning")
    assert "should have fired at 20" in said
    assert "start `jobyard beat`, or see what its log says" in said
    with ledger.write() as connection:
        connection.execute(text("""UPDATE client_schedules SET definition = '{"of": "a later version"}'"""))
    assert about(settings, "schedule morning") == said
    with ledger.write() as connection:
        connection.execute(text("UPDATE client_schedules SET next_fire_at = NULL, enabled = false"))
    assert about(settings, "schedule morning") == ""


def test_schedules_that_no_key_allows_any_more(settings: Settings, ledger: Ledger) -> None:
    client_id = saved(ledger, "morning")
    saved(ledger, "evening")
    assert about(settings, "schedules of ada") == ""
    with ledger.write() as connection:
        for key in clients.keys_of(connection, client_id):
            clients.revoke_key(connection, key["id"])
    assert "2 of web.fetch make no jobs: no good key" in about(settings, "schedules of ada")
    with ledger.write() as connection:
        clients.add_key(connection, client_id, "bound", rights=Rights.of(["email.*"]))
    assert "2 of web.fetch make no jobs: no good key" in about(settings, "schedules of ada")
    with ledger.write() as connection:
        clients.add_key(connection, client_id, "another", rights=Rights.of(["web.*"]))
    assert about(settings, "schedules of ada") == ""


def test_schedules_whose_kind_is_no_more_are_told(settings: Settings, ledger: Ledger) -> None:
    saved(ledger, "orphan")
    with ledger.write() as connection:
        connection.exec_driver_sql("""
            UPDATE client_schedules SET definition = '{"kind": "web.gone", "every": 3600}'
            WHERE name = 'orphan'
        """)

    said = about(settings, "schedules of ada")
    assert "1 of web.gone make no jobs: kind: there is no kind 'web.gone'" in said
    assert said.endswith("; change or delete them")


def saved(ledger: Ledger, name: str) -> UUID:
    """A schedule of a client with a key; whose it is."""
    with ledger.write() as connection:
        client_id = clients.ensure_client(connection, "ada").id
        if not clients.good_keys(connection, [client_id]):
            clients.add_key(connection, client_id, "test")
        now = schedules.now(connection)
        stored = Stored(
            id=new_id(),
            client_id=client_id,
            name=name,
            definition='{"kind": "web.fetch", "payload": {"url": "https://example.com/"}, "every": 3600}',
            enabled=True,
            from_file=False,
            fired_until=now,
            next_fire_at=now + timedelta(hours=1),
            created_at=now,
            updated_at=now,
        )
        assert schedules.add(connection, stored)
    return client_id


def todo(ledger: Ledger) -> Agenda:
    with ledger.write() as connection:
        return agenda.read(connection)


def test_a_broker_as_it_should_be_and_one_that_forgets(settings: Settings, broker_url: str) -> None:
    assert all(finding.good for finding in examine_broker(settings))
    with redis.Redis.from_url(broker_url) as connection:
        connection.config_set("maxmemory-policy", "allkeys-lru")
        connection.config_set("appendonly", "no")
        try:
            found = by_subject(examine_broker(settings))
        finally:
            connection.config_set("maxmemory-policy", "noeviction")
            connection.config_set("appendonly", "yes")
    assert (found["eviction"].good, found["persistence"].good) == (False, False)
    assert "must be noeviction" in found["eviction"].text
    assert "set appendonly yes" in found["persistence"].text


def test_servers_that_are_away_are_told_with_where_to_look() -> None:
    away = Settings(database_url="postgresql+psycopg2://127.0.0.1:1/none", broker_url="redis://127.0.0.1:1/0")
    (ledger,), (broker,) = examine_ledger(away), examine_broker(away)
    assert "JOBYARD_DATABASE_URL says (ops/runbooks/LedgerDown.md)" in ledger.text
    assert "JOBYARD_BROKER_URL says (ops/runbooks/BrokerDown.md)" in broker.text


def test_a_rented_broker_that_tells_nothing_of_its_configuration(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as connection:
        user = {"enabled": True, "passwords": ["+rented"], "keys": ["*"], "categories": ["+@all"]}
        connection.acl_setuser("rented", commands=["-config"], **user)
        try:
            host = broker_url.rpartition("@")[2]
            rented = Settings(broker_url=f"redis://rented:rented@{host}")
            found = by_subject(examine_broker(rented))
        finally:
            connection.acl_deluser("rented")
    assert found["eviction"].good
    assert "may not be asked here" in found["eviction"].text


def test_versions_are_told_and_misspelt_variables_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBYARD_HOEM", str(tmp_path))
    found = by_subject(examine_environment())
    assert "Python 3." in found["versions"].text
    assert "celery 5." in found["versions"].text
    assert not found["settings"].good
    assert "JOBYARD_HOEM" in found["settings"].text


def test_all_sessions_have_room_for_their_locks(settings: Settings) -> None:
    assert by_subject(examine_ledger(settings))["locks"].good


def test_too_little_room_for_locks_names_the_setting() -> None:
    found = room_for_locks(needed=1710, settings=64 * 100, sessions=37)
    assert not found.good
    assert "7 sessions" in found.text
    assert "max_locks_per_transaction" in found.text
