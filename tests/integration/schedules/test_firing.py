"""Each firing is exactly one job, whatever the number of beats, and whenever one of them dies."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import Connection, text

from schedules import turn
from schedules.files import CLIENT, Files
from schedules.firing import BATCH, MOST_FIRINGS, Firing
from schedules.metrics import Metrics
from worker import catalog
from worker.contract import Rights, Scopes
from worker.contract.states import State
from worker.enqueue import Enqueuer
from worker.ledger import agenda, clients, firings, jobs, schedules, transitions
from worker.ledger.engines import Ledger
from worker.ledger.firings import Fired
from worker.ledger.ids import new_id
from worker.ledger.jobs import JobFilter
from worker.ledger.schedules import Stored
from worker.scheduling import Definition, Schedule

KINDS = catalog.load()
ENQUEUER = Enqueuer(KINDS)


def definition(**said: Any) -> Definition:
    said = {"kind": "upkeep.prune", "cron": "* * * * * *"} | said
    return msgspec.json.decode(msgspec.json.encode(said), type=Definition)


def beat(ledger: Ledger, metrics: Metrics | None = None) -> Firing:
    return Firing(ENQUEUER, ledger, metrics or Metrics(), catalog.of_operators(KINDS))


def tick(ledger: Ledger, part: Firing | Files | None = None) -> bool:
    with ledger.write() as connection:
        todo = agenda.read(connection)
    return (part or beat(ledger)).run(todo)


def given(ledger: Ledger, ago: str = "0 s", name: str = "tidy", **said: Any) -> Stored:
    """A schedule of a client with a key, to which beats have not come for so long."""
    with ledger.write() as connection:
        owner = clients.ensure_client(connection, "ada")
        if not clients.good_keys(connection, [owner.id]):
            clients.add_key(connection, owner.id, "test", scopes=Scopes.of(["operate"]))
        now = connection.execute(text("SELECT now()")).scalar_one()
        stored = Stored(
            id=new_id(),
            client_id=owner.id,
            name=name,
            definition=msgspec.json.encode(definition(**said)).decode(),
            enabled=True,
            from_file=False,
            fired_until=now,
            next_fire_at=now,
            created_at=now,
            updated_at=now,
        )
        assert schedules.add(connection, stored)
        away(connection, stored, ago)
    return stored


def due_once(ledger: Ledger, name: str = "tidy", **said: Any) -> Stored:
    """A schedule with one fire time, which has just come."""
    at = now_of(ledger) - timedelta(seconds=1)
    return given(ledger, "1 minute", name, **{"cron": None, "at": at.isoformat()} | said)


def away(connection: Connection, stored: Stored, ago: str) -> None:
    words = text("""
        UPDATE client_schedules
        SET fired_until = now() - CAST(:ago AS interval), due_at = now() - interval '1 ms' WHERE id = :id
    """)
    connection.execute(words, {"ago": ago, "id": stored.id})


def again(ledger: Ledger, stored: Stored, ago: str = "1 s") -> None:
    """As if its time had come once more."""
    with ledger.write() as connection:
        away(connection, stored, ago)


def history(ledger: Ledger, stored: Stored) -> list[Fired]:
    """Oldest first."""
    with ledger.write() as connection:
        return firings.page(connection, stored.key, 1000)[::-1]


def made(ledger: Ledger) -> int:
    with ledger.write() as connection:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())


def now_of(ledger: Ledger) -> datetime:
    with ledger.write() as connection:
        now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return now


def finish(ledger: Ledger, ids: Sequence[UUID | None]) -> None:
    with ledger.write() as connection:
        connection.execute(
            text("UPDATE jobs SET state = 'succeeded', finished_at = now() WHERE id = ANY(:ids)"),
            {"ids": list(ids)},
        )


def test_a_schedule_that_is_new_owes_nothing(ledger: Ledger) -> None:
    stored = given(ledger, cron="0 0 1 1 *", missed="all")

    tick(ledger)

    assert history(ledger, stored) == []


def test_a_firing_makes_a_job_that_belongs_to_the_client(ledger: Ledger) -> None:
    stored = due_once(ledger, tags=["nightly"])

    tick(ledger)

    (fired,) = history(ledger, stored)
    with ledger.write() as connection:
        wanted = JobFilter(client_id=stored.client_id, tag="schedule:tidy")
        (listed,) = jobs.page(connection, wanted, 10).rows
        job = jobs.find(connection, listed.id)
    assert job
    assert (job["kind"], job["state"], job["scheduled_at"]) == ("upkeep.prune", State.QUEUED, fired.fire_at)
    assert job["tags"] == ["schedule:tidy", "nightly"]
    assert job["published_at"] is None, "dispatch publishes it"
    assert (fired.job_id, fired.state, fired.skipped) == (job["id"], "queued", None)


@pytest.mark.parametrize("missed", ["one", "all"])
def test_many_beats_at_once_make_one_job_of_each_firing(ledger: Ledger, missed: str) -> None:
    stored = [given(ledger, "20 s", f"s{number}", missed=missed) for number in range(10)]
    together = Barrier(6)

    def ticks(_: int) -> None:
        part = beat(ledger)
        for _ in range(5):
            together.wait(60)
            tick(ledger, part)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ticks, range(6)))

    fired = [history(ledger, each) for each in stored]
    assert made(ledger) == sum(map(len, fired))
    for of_one in fired:
        times = [each.fire_at for each in of_one]
        assert len(times) >= 20
        assert (times[-1] - times[0]).total_seconds() == len(times) - 1, "none was left out"


STEPS = ["schedules.claim_due", "firings.record", "transitions.enqueue", "schedules.settle"]


@pytest.mark.parametrize("step", STEPS)
def test_a_beat_that_dies_between_two_steps_leaves_the_firing_to_the_next(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stored = given(ledger, "1 s")
    with monkeypatch.context() as dying:
        module, name = step.split(".")
        module_of = {"schedules": schedules, "firings": firings, "transitions": transitions}[module]
        act = getattr(module_of, name)

        def act_and_die(*words: Any) -> None:
            act(*words)
            raise SystemExit

        dying.setattr(module_of, name, act_and_die)
        with pytest.raises(SystemExit):
            tick(ledger)
    assert made(ledger) == 0

    tick(ledger)
    tick(ledger)

    fired = history(ledger, stored)
    assert made(ledger) == len(fired) == len({each.fire_at for each in fired})
    assert fired[0].job_id


def test_what_another_beat_holds_is_not_waited_for(ledger: Ledger) -> None:
    held = given(ledger, "1 s", "held")
    with ledger.write() as connection:
        assert schedules.claim_due(connection, 10)
        free = given(ledger, "1 s", "free")
        tick(ledger)
        assert history(ledger, held) == []
        assert history(ledger, free)


@pytest.mark.parametrize(("missed", "jobs_made"), [("skip", 0), ("one", 1), ("all", 3)])
def test_what_was_missed_is_made_up_once_as_the_policy_says(
    ledger: Ledger, missed: str, jobs_made: int
) -> None:
    now = now_of(ledger)
    # Fires once a day, two hours ago the last time.
    daily = given(ledger, "3 days", cron=f"{now.minute} {(now.hour - 2) % 24} * * *", missed=missed)

    for _ in range(2):
        tick(ledger)

    assert made(ledger) == jobs_made
    reasons = [fired.skipped for fired in history(ledger, daily) if fired.skipped]
    assert reasons == ([turn.MISSED] if missed == "skip" else [])


def test_it_fires_at_the_first_tick_after_the_time_and_not_before(ledger: Ledger) -> None:
    stored = given(ledger, cron="*/2 * * * * *")
    part = beat(ledger)
    while not history(ledger, stored):
        tick(ledger, part)

    (fired,) = history(ledger, stored)
    assert 0 <= (fired.fired_at - fired.fire_at).total_seconds() < 2  # when it would fire again


def test_a_tick_with_nothing_due_claims_nothing(ledger: Ledger) -> None:
    stored = given(ledger, cron="0 0 1 1 *")
    tick(ledger)

    with ledger.write() as connection:
        assert schedules.claim_due(connection, 10) == []
        found = schedules.find(connection, stored.id, None)
    assert found
    assert found.next_fire_at
    assert (found.next_fire_at.month, found.next_fire_at.day) == (1, 1)


def test_a_thousand_that_are_due_at_once_are_fired_in_a_few_transactions(ledger: Ledger) -> None:
    first = given(ledger, "1 s", cron=None, every=3600)
    with ledger.write() as connection:
        connection.exec_driver_sql("""
            INSERT INTO client_schedules (id, client_id, name, definition)
            SELECT gen_random_uuid(), client_id, 's' || number, definition
            FROM client_schedules, generate_series(1, 999) AS number
        """)
        due = """UPDATE client_schedules SET due_at = now(), fired_until =
                 date_bin('1 hour', now(), '1970-01-01Z') - interval '1 s'"""
        connection.exec_driver_sql(due)
        connection.exec_driver_sql("ANALYZE client_schedules")
    part = beat(ledger)

    rounds = 1
    while tick(ledger, part):
        rounds += 1

    assert rounds <= 1000 // BATCH + 1
    assert made(ledger) == 1000
    assert len(history(ledger, first)) == 1
    with ledger.write() as connection:
        plan = connection.exec_driver_sql("""
            EXPLAIN SELECT id FROM client_schedules WHERE due_at <= now() ORDER BY due_at LIMIT 250
            FOR UPDATE SKIP LOCKED
        """)
        assert "client_schedules_due" in str(plan.scalars().all())


def test_what_a_long_outage_left_is_fired_in_transactions_of_bounded_size(ledger: Ledger) -> None:
    missed = [given(ledger, "10 minutes", f"s{number}", missed="all", limit=500) for number in range(6)]
    part = beat(ledger)
    sizes = []
    more = True
    while more:
        before = made(ledger)
        more = tick(ledger, part)
        sizes.append(made(ledger) - before)

    assert max(sizes) <= MOST_FIRINGS + 500
    assert all(len(history(ledger, stored)) >= 500 for stored in missed)


def test_a_single_time_fires_once_and_is_over(ledger: Ledger) -> None:
    at = now_of(ledger) - timedelta(seconds=1)
    stored = due_once(ledger, at=at.isoformat())

    for _ in range(3):
        tick(ledger)

    (fired,) = history(ledger, stored)
    assert fired.fire_at == at
    with ledger.write() as connection:
        found = schedules.find(connection, stored.id, None)
        left = connection.execute(text("SELECT due_at FROM client_schedules")).scalar_one()
    assert found
    assert found.next_fire_at is left is None


def test_jitter_makes_the_job_due_later(ledger: Ledger) -> None:
    stored = due_once(ledger, jitter=86400)

    tick(ledger)

    (fired,) = history(ledger, stored)
    assert fired.state == "scheduled"


def test_a_firing_is_counted_with_how_late_it_was(ledger: Ledger, metrics: Metrics) -> None:
    at = now_of(ledger) - timedelta(minutes=30)
    for name in ("first", "second"):
        given(ledger, "1 hour", name, cron=None, at=at.isoformat())

    tick(ledger, beat(ledger, metrics))

    assert counted(metrics, "jobyard_beat_fired_total", schedule="") == 2, "clients' schedules share a label"
    assert counted(metrics, "jobyard_jobs_accepted_total", kind="upkeep.prune") == 2
    assert counted(metrics, "jobyard_beat_firing_lateness_seconds_count") == 2
    late = counted(metrics, "jobyard_beat_firing_lateness_seconds_sum")
    assert late == pytest.approx(2 * 1800, abs=240)


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


# ── while a job of an earlier firing lives ────────────────────────────────────────────────────────────


def test_skip_leaves_a_firing_out_while_a_job_lives(ledger: Ledger) -> None:
    stored = given(ledger, "1 s", overlap="skip")
    tick(ledger)
    again(ledger, stored)
    while len(history(ledger, stored)) < 2:
        again(ledger, stored)
        tick(ledger)
    first, second = history(ledger, stored)[:2]
    assert (first.state, second.job_id, second.skipped) == ("queued", None, turn.LIVES)

    finish(ledger, [first.job_id])
    while made(ledger) < 2:
        again(ledger, stored)
        tick(ledger)


def test_replace_cancels_the_job_that_lives(ledger: Ledger) -> None:
    stored = given(ledger, "1 s", overlap="replace")
    fired: list[Fired] = []
    while len(fired) < 2:
        tick(ledger)
        again(ledger, stored)
        fired = [each for each in history(ledger, stored) if each.job_id]

    first, second = fired[:2]

    assert (first.state, second.state) == ("cancelled", "queued")
    with ledger.write() as connection:
        (act,) = jobs.acts_on(connection, first.job_id or uuid4())
    assert act["actor"] == "schedule tidy"


def test_queue_lets_firings_wait_and_fires_them_one_after_the_other(ledger: Ledger, metrics: Metrics) -> None:
    part = beat(ledger, metrics)
    stored = given(ledger, "3 s", cron="* * * * * *", overlap="queue", ends_at=now_of(ledger).isoformat())
    tick(ledger, part)
    fired = history(ledger, stored)
    count = len(fired)
    assert count >= 2
    assert [bool(each.job_id) for each in fired] == [True] + [False] * (count - 1)
    assert {each.skipped for each in fired} == {None}

    for number in range(count):
        again(ledger, stored, "0 s")
        tick(ledger, part)  # that one still lives
        fired = history(ledger, stored)
        assert [bool(each.job_id) for each in fired] == [True] * (number + 1) + [False] * (count - number - 1)
        finish(ledger, [fired[number].job_id])
        again(ledger, stored, "0 s")
        tick(ledger, part)
    assert made(ledger) == count
    late = counted(metrics, "jobyard_beat_firing_lateness_seconds_count")
    assert late == 1, "to wait for another job is not to be late"


# ── whose jobs they are ───────────────────────────────────────────────────────────────────────────────


def key_of(ledger: Ledger, stored: Stored, rights: Rights | None = None, *scopes: str) -> UUID:
    """The only good key that its client has from now on."""
    with ledger.write() as connection:
        for row in clients.keys_of(connection, stored.client_id):
            clients.revoke_key(connection, row["id"])
        given_scopes = Scopes.of(scopes or ("submit", "read"))
        key_id, _ = clients.add_key(connection, stored.client_id, "x", rights=rights, scopes=given_scopes)
    return key_id


def test_without_a_good_key_a_client_fires_nothing_and_is_told_why(ledger: Ledger) -> None:
    stored = due_once(ledger)
    with ledger.write() as connection:
        clients.revoke_key(connection, key_of(ledger, stored))

    tick(ledger)

    (fired,) = history(ledger, stored)
    assert fired.skipped == "kind: its client has no good key that may submit upkeep.prune"
    assert made(ledger) == 0


@pytest.mark.parametrize(
    ("rights", "scopes", "fires"),
    [
        (None, ["submit"], True),
        (["web.*"], ["submit"], True),
        (["email.*"], ["submit"], False),
        (None, ["read"], False),
    ],
)
def test_it_fires_while_any_key_of_its_client_may_submit_the_kind(
    ledger: Ledger, rights: list[str] | None, scopes: list[str], *, fires: bool
) -> None:
    stored = due_once(ledger, kind="web.fetch", payload={"url": "https://example.com/"})
    key_of(ledger, stored, Rights.of(rights) if rights else None, *scopes)

    tick(ledger)

    assert made(ledger) == fires


def test_a_kind_of_operators_needs_an_operators_key(ledger: Ledger) -> None:
    wish = {"kind": "report.oversee", "payload": {"report": "jobs"}}
    key_of(ledger, due_once(ledger, "first", **wish), None, "submit")
    tick(ledger)
    assert made(ledger) == 0

    key_of(ledger, due_once(ledger, "second", **wish), None, "operate")
    tick(ledger)
    assert made(ledger) == 1


def test_what_is_wrong_with_one_schedule_stops_no_other(ledger: Ledger) -> None:
    bad, gone, good = (given(ledger, "1 s", name) for name in ("bad", "gone", "good"))
    with ledger.write() as connection:
        change = text("UPDATE client_schedules SET definition = CAST(:to AS json) WHERE id = :id")
        connection.execute(change, {"id": bad.id, "to": '{"of": "a later version"}'})
        was = definition(kind="no.more")
        connection.execute(change, {"id": gone.id, "to": msgspec.json.encode(was).decode()})

    tick(ledger)

    assert history(ledger, bad) == []
    assert "there is no kind 'no.more'" in str(history(ledger, gone)[0].skipped)
    assert history(ledger, good)[0].job_id
    with ledger.write() as connection:
        assert bad.id not in {stored.id for stored, _ in schedules.claim_due(connection, 10)}


def test_a_client_that_is_removed_takes_its_schedules_along(ledger: Ledger) -> None:
    stored = given(ledger)

    with ledger.write() as connection:
        clients.remove_client(connection, stored.client_id)
        assert schedules.find(connection, stored.id, None) is None


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────


def files(ledger: Ledger, **definitions: Definition) -> Files:
    return Files([Schedule.of(name, each) for name, each in definitions.items()], ledger)


def of_file(ledger: Ledger, name: str = "tidy") -> Stored | None:
    with ledger.write() as connection:
        owner = clients.ensure_client(connection, CLIENT)
        return next(iter(schedules.page(connection, owner.id, 10, name=name)), None)


def test_a_file_fires_like_any_other_schedule_and_needs_no_key(ledger: Ledger) -> None:
    tick(ledger, files(ledger, tidy=definition()))
    stored = of_file(ledger)
    assert stored
    assert (stored.key, stored.from_file) == ("tidy", True)

    while not history(ledger, stored):
        tick(ledger)

    with ledger.write() as connection:
        job = jobs.find(connection, history(ledger, stored)[0].job_id or uuid4(), stored.client_id)
    assert job


def test_reading_the_same_files_again_changes_nothing(ledger: Ledger) -> None:
    for _ in range(2):
        tick(ledger, files(ledger, tidy=definition()))
    before = of_file(ledger)

    tick(ledger, files(ledger, tidy=definition()))

    assert of_file(ledger) == before


def test_a_file_that_is_gone_fires_no_more(ledger: Ledger) -> None:
    tick(ledger, files(ledger, tidy=definition(), other=definition()))
    tick(ledger, files(ledger, other=definition()))

    assert of_file(ledger) is None
    assert of_file(ledger, "other")


def test_a_file_that_comes_back_owes_nothing_for_the_time_before(ledger: Ledger) -> None:
    with ledger.write() as connection:  # as the version before left it
        connection.exec_driver_sql("INSERT INTO schedules VALUES ('tidy', now() - interval '40 days')")
    tick(ledger, files(ledger, other=definition(cron="0 0 1 1 *")))

    tick(ledger, files(ledger, tidy=definition(cron="0 * * * *", missed="all")))
    tick(ledger)

    assert made(ledger) == 0


def test_what_waited_of_a_file_that_is_gone_makes_no_job_when_it_comes_back(ledger: Ledger) -> None:
    rarely = definition(cron="0 0 1 1 *", overlap="queue")
    tick(ledger, files(ledger, tidy=rarely))
    stored = of_file(ledger)
    assert stored
    with ledger.write() as connection:
        waits = firings.NewFiring(schedule=stored.key, fire_at=schedules.now(connection))
        firings.record(connection, [waits])
    tick(ledger, files(ledger, other=rarely))

    tick(ledger, files(ledger, tidy=rarely))
    tick(ledger)

    assert made(ledger) == 0
    (fired,) = history(ledger, stored)
    assert fired.skipped == schedules.GONE


def test_a_changed_file_owes_at_most_a_minute_of_the_past(ledger: Ledger) -> None:
    tick(ledger, files(ledger, tidy=definition(cron="0 0 1 1 *")))
    stored = of_file(ledger)
    assert stored
    again(ledger, stored, "10 days")

    began = time.monotonic()
    tick(ledger, files(ledger, tidy=definition(missed="all")))
    tick(ledger)

    assert 60 <= made(ledger) <= 61 + time.monotonic() - began


def test_a_file_goes_on_from_where_the_version_before_fired_it_and_shares_its_firings(ledger: Ledger) -> None:
    now = now_of(ledger).replace(microsecond=0)
    with ledger.write() as connection:
        until = text("INSERT INTO schedules VALUES ('tidy', :until)")
        connection.execute(until, {"until": now - timedelta(seconds=5)})
        noted = text("INSERT INTO firings (schedule, fire_at, job_id) VALUES ('tidy', :at, :job)")
        connection.execute(noted, {"at": now - timedelta(seconds=2), "job": uuid4()})

    tick(ledger, files(ledger, tidy=definition()))
    tick(ledger)

    stored = of_file(ledger)
    assert stored
    times = [fired.fire_at for fired in history(ledger, stored)]
    assert times[:5] == [now - timedelta(seconds=ago) for ago in (4, 3, 2, 1, 0)]
    assert made(ledger) == len(times) - 1
