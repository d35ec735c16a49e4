"""Retention: what is past it goes with all that belongs to it, and nothing else does."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tests.integration.ledger.situations import (
    CLIENT,
    change,
    claim,
    claimed,
    enqueue,
    finish,
    row,
    state,
)
from tests.stalls import stalls
from worker.adapters.upkeep import LedgerPruner
from worker.contract import UPKEEP, Cancelled, Context, Payload, Retryable, kind
from worker.contract.ports import Pruned
from worker.contract.states import State
from worker.ledger import (
    artifacts,
    batches,
    clients,
    firings,
    idempotency,
    jobs,
    partitions,
    retention,
    schedules,
    transitions,
    unique_keys,
)
from worker.ledger.batches import NewBatch
from worker.ledger.engines import Ledger
from worker.ledger.ids import floor_of, new_id
from worker.ledger.records import Artifact, UniqueKey
from worker.settings import Settings
from worker.storage import Storage

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
_DAYS = count(30)  # each test has an old day of its own


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "artifacts")


@pytest.fixture
def pruner(ledger: Ledger, storage: Storage) -> LedgerPruner:
    return LedgerPruner(ledger, storage, Settings())


@pytest.fixture
def old_day(ledger: Ledger) -> Iterator[date]:
    """A day far past the retention, with partitions of its own."""
    day = TODAY - next(_DAYS) * DAY
    with ledger.write() as connection:
        partitions.make_ahead(connection, day, days=0)
    yield day
    with ledger.write() as connection:
        for table in partitions.PARTITIONED:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}_{day:%Y%m%d}")


def prune(pruner: LedgerPruner) -> Pruned:
    return pruner.prune(lambda _: None)


def id_of(day: date) -> UUID:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return UUID(int=floor_of(noon).int | (new_id().int & ((1 << 80) - 1)))


def ended(ledger: Ledger, day: date, ago: str, **fields: object) -> UUID:
    """A job that was made on a day and succeeded that long ago."""
    with ledger.write() as connection:
        job_id, token = claimed(connection, id=id_of(day), **fields)
        finish(connection, job_id, token, State.SUCCEEDED, result=b"1")
        change(connection, job_id, finished_at=f"now() - interval '{ago}'")
    return job_id


def store(ledger: Ledger, storage: Storage, job_id: UUID | None, content: bytes = b"abc") -> UUID:
    with storage.create() as (artifact_id, file):
        file.write(content)
    record = Artifact(
        id=artifact_id,
        client_id=CLIENT,
        job_id=job_id,
        name="body",
        content_type="text/plain",
        size=len(content),
        sha256=file.sha256,
    )
    with ledger.write() as connection:
        artifacts.record_artifacts(connection, [record])
    return artifact_id


def test_batches_and_unique_keys_go_with_their_jobs(ledger: Ledger, pruner: LedgerPruner) -> None:
    old, kept = new_id(), new_id()
    with ledger.write() as connection:
        live = enqueue(connection)
        holders = {live: UniqueKey(key="held", states=("queued",)), old: UniqueKey(key="left", states=())}
        unique_keys.hold(connection, CLIENT, holders)
        for batch_id in (old, kept):
            batches.add(connection, NewBatch(id=batch_id, client_id=CLIENT, size=1))
        for table, column in (("unique_keys", "created_at"), ("batches", "finished_at")):
            connection.execute(text(f"UPDATE {table} SET {column} = now() - interval '99 days'"))  # noqa: S608 - constants
        connection.execute(text("UPDATE batches SET finished_at = NULL WHERE id = :id"), {"id": kept})
    assert prune(pruner) == Pruned(batches=1, unique_keys=1)
    with ledger.write() as connection:
        assert batches.find(connection, kept, CLIENT)
        assert unique_keys.hold(connection, CLIENT, {old: holders[live]}) == {old: live}


def stored(storage: Storage, artifact_id: UUID) -> bool:
    try:
        storage.open(artifact_id).close()
    except FileNotFoundError:
        return False
    return True


def known(ledger: Ledger, *ids: UUID) -> list[bool]:
    with ledger.write() as connection:
        return [jobs.find(connection, job_id) is not None for job_id in ids]


def has_partition(ledger: Ledger, day: date) -> bool:
    with ledger.write() as connection:
        return partitions.exists(connection, f"jobs_{day:%Y%m%d}")


def test_an_old_day_goes_with_history_and_artifacts(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, old_day: date
) -> None:
    job_ids = [ended(ledger, old_day, "20 days") for _ in range(3)]
    files = [store(ledger, storage, job_id) for job_id in job_ids[:2]]

    pruned = prune(pruner)

    assert (pruned.jobs, pruned.days, pruned.artifacts) == (3, 1, 2)
    assert known(ledger, *job_ids) == [False] * 3
    assert not has_partition(ledger, old_day)
    assert [stored(storage, file) for file in files] == [False, False]
    with ledger.write() as connection:
        for table in ("attempts", "artifacts"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0  # noqa: S608


def test_a_live_job_outlives_its_day_with_all_that_belongs_to_it(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, old_day: date
) -> None:
    with ledger.write() as connection:
        job_id, token = claimed(connection, id=id_of(old_day))
        finish(connection, job_id, token, State.FAILED)
        transitions.run_again(connection, job_id, "operator")
        before = dict(row(connection, job_id))
    file = store(ledger, storage, job_id)
    ended(ledger, old_day, "20 days")

    pruned = prune(pruner)

    assert (pruned.jobs, pruned.days, pruned.artifacts) == (1, 1, 0)
    with ledger.write() as connection:
        kept = row(connection, job_id)
        assert dict(kept) == before
        assert [entry["outcome"] for entry in jobs.history(connection, kept)] == ["failed"]
        assert [act["actor"] for act in jobs.acts_on(connection, job_id)] == ["operator"]
        assert [found["id"] for found in jobs.artifacts_of(connection, job_id)] == [file]
        again = claim(connection, job_id)
        assert again
        assert finish(connection, job_id, again, State.SUCCEEDED) == State.SUCCEEDED
    assert stored(storage, file)


def test_a_job_that_ran_long_after_its_day_stays_readable_for_the_whole_retention(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, old_day: date
) -> None:
    job_id = ended(ledger, old_day, "13 days")
    file = store(ledger, storage, job_id)

    assert prune(pruner).jobs == 0
    assert known(ledger, job_id) == [True]
    with ledger.write() as connection:
        change(connection, job_id, finished_at="now() - interval '15 days'")

    pruned = prune(pruner)

    assert (pruned.jobs, pruned.artifacts) == (1, 1)
    assert known(ledger, job_id) == [False]
    assert not stored(storage, file)


def test_a_job_that_is_run_again_while_its_day_is_pruned_survives(ledger: Ledger, old_day: date) -> None:
    live_again, over_again = ended(ledger, old_day, "20 days"), ended(ledger, old_day, "20 days")
    forgotten = ended(ledger, old_day, "20 days")
    with ledger.write() as connection:
        cutoff = retention.begin(connection, 14 * 86400.0)
        since = retention.begin(connection)
        assert retention.survivors(connection, old_day, cutoff) == []
    with ledger.write() as connection:
        for job_id in (live_again, over_again):
            change(connection, job_id, state="'failed'")
            transitions.run_again(connection, job_id, "operator")
        token = claim(connection, over_again)
        assert token
        finish(connection, over_again, token, State.SUCCEEDED)

    with ledger.write() as connection:
        retention.begin(connection)
        assert retention.drop_day(connection, old_day, [], since)

    assert known(ledger, live_again, over_again, forgotten) == [True, True, False]


def test_what_is_within_the_retention_stays(ledger: Ledger, storage: Storage, pruner: LedgerPruner) -> None:
    job_id = ended(ledger, TODAY, "13 days")
    files = [store(ledger, storage, job_id), store(ledger, storage, None)]

    assert prune(pruner) == Pruned()
    assert known(ledger, job_id) == [True]
    assert all(stored(storage, file) for file in files)


def test_a_retention_of_less_than_a_day_holds_to_the_second(ledger: Ledger, storage: Storage) -> None:
    over, fresh = ended(ledger, TODAY, "61 seconds"), ended(ledger, TODAY, "50 seconds")
    with ledger.write() as connection:
        live = enqueue(connection)
    file = store(ledger, storage, over)

    pruned = prune(LedgerPruner(ledger, storage, Settings(retention=60.0)))

    assert (pruned.jobs, pruned.days, pruned.artifacts) == (1, 0, 1)
    assert known(ledger, over, fresh, live) == [False, True, True]
    assert not stored(storage, file)


def test_a_young_platform_has_no_partition_of_yesterday_to_prune(ledger: Ledger, storage: Storage) -> None:
    stray = ended(ledger, TODAY - DAY, "24 hours")

    assert prune(LedgerPruner(ledger, storage, Settings(retention=86_399.0))).jobs == 1
    assert known(ledger, stray) == [False]


def test_a_day_that_too_many_jobs_outlive_is_pruned_in_batches(
    ledger: Ledger, pruner: LedgerPruner, old_day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_SURVIVORS", 1)
    over = [ended(ledger, old_day, "20 days") for _ in range(3)]
    kept = [ended(ledger, old_day, "1 day") for _ in range(2)]

    pruned = prune(pruner)

    assert (pruned.jobs, pruned.days) == (3, 0)
    assert has_partition(ledger, old_day)
    assert known(ledger, *over, *kept) == [False] * 3 + [True] * 2


def test_more_than_a_batch_goes_in_several(
    ledger: Ledger, pruner: LedgerPruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.adapters.upkeep._BATCH", 2)
    strays = [ended(ledger, date(2001, 1, 1), "20 days") for _ in range(5)]
    steps: list[int] = []

    pruner.prune(lambda so_far: steps.append(so_far.jobs))

    assert steps == [2, 4, 5]
    assert known(ledger, *strays) == [False] * 5


def test_it_stops_between_two_batches_and_goes_on_the_next_time(
    ledger: Ledger, pruner: LedgerPruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.adapters.upkeep._BATCH", 2)
    strays = [ended(ledger, date(2001, 1, 1), "20 days") for _ in range(5)]

    def cancel(_: Pruned) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        pruner.prune(cancel)

    assert known(ledger, *strays).count(True) == 3
    assert prune(pruner).jobs == 3


def test_keys_are_forgotten_after_their_own_retention(ledger: Ledger, pruner: LedgerPruner) -> None:
    with ledger.write() as connection:
        for key in ("old", "young"):
            idempotency.remember(connection, CLIENT, key, b"f", uuid4())
        aged = "UPDATE idempotency_keys SET created_at = now() - interval '49 hours' WHERE key = 'old'"
        connection.exec_driver_sql(aged)

    assert prune(pruner).idempotency_keys == 1
    with ledger.write() as connection:
        assert idempotency.remember(connection, CLIENT, "old", b"f", uuid4()) is None
        assert idempotency.remember(connection, CLIENT, "young", b"f", uuid4()) is not None


def test_firings_are_noted_as_long_as_their_jobs(ledger: Ledger, pruner: LedgerPruner) -> None:
    now = datetime.now(UTC)

    def fired(fire_at: datetime) -> firings.NewFiring:
        return firings.NewFiring(schedule="s", fire_at=fire_at, job_id=uuid4())

    with ledger.write() as connection:
        for days in (13, 15):
            firings.record(connection, [fired(now - days * DAY)])

    assert prune(pruner).firings == 1
    with ledger.write() as connection:
        assert not firings.record(connection, [fired(now - 13 * DAY)])


def test_old_uploads_go_unless_a_live_job_names_them(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner
) -> None:
    wanted, done_with, unused, young = (store(ledger, storage, None) for _ in range(4))
    with ledger.write() as connection:
        old = text("UPDATE artifacts SET created_at = now() - interval '15 days' WHERE id <> :young")
        connection.execute(old, {"young": young})
        enqueue(connection, payload=f'{{"files": ["{str(wanted).upper()}"]}}'.encode())
        job_id, token = claimed(connection, payload=f'{{"file": "{done_with}"}}'.encode())
        finish(connection, job_id, token, State.SUCCEEDED)

    assert prune(pruner).uploads == 2
    files = (wanted, done_with, unused, young)
    assert [stored(storage, file) for file in files] == [True, False, False, True]


@pytest.mark.parametrize("live", ["scheduled", "queued", "published", "running", "retrying"])
def test_a_job_in_any_live_state_keeps_its_upload(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, live: str
) -> None:
    file = store(ledger, storage, None)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE artifacts SET created_at = now() - interval '15 days'")
        job_id = enqueue(connection, payload=f'{{"file": "{file}"}}'.encode(), published=live == "published")
        if live != "published":
            change(connection, job_id, state=f"'{live}'")

    assert prune(pruner).uploads == 0
    assert stored(storage, file)


def test_a_schedule_keeps_the_upload_that_its_jobs_will_take(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner
) -> None:
    file = store(ledger, storage, None)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE artifacts SET created_at = now() - interval '15 days'")
        owner = clients.ensure_client(connection, "acme")
        definition = f'{{"cron": "0 0 1 * *", "kind": "database.load", "payload": {{"artifact": "{file}"}}}}'
        schedules.sync(connection, owner.id, {"monthly": definition})

    assert prune(pruner).uploads == 0
    assert stored(storage, file)


def test_files_without_a_record_go_after_a_day(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, tmp_path: Path
) -> None:
    known_file = store(ledger, storage, None)
    strays = []
    for _ in range(2):
        with storage.create() as (artifact_id, file):
            file.write(b"abc")
        strays.append(artifact_id)
    yesterday = time.time() - 90_000
    for path in (tmp_path / "artifacts").glob("*/*"):
        if path.name != strays[1].hex:
            os.utime(path, (yesterday, yesterday))

    assert prune(pruner).strays == 1
    assert [stored(storage, file_id) for file_id in (known_file, *strays)] == [True, False, True]


def test_it_makes_the_partitions_of_the_days_ahead(ledger: Ledger, pruner: LedgerPruner) -> None:
    last = TODAY + partitions.DAYS_AHEAD * DAY
    with ledger.write() as connection:
        for table in partitions.PARTITIONED:
            connection.exec_driver_sql(f"DROP TABLE {table}_{last:%Y%m%d}")

    prune(pruner)

    assert has_partition(ledger, last)


def test_two_at_once_do_each_thing_once(
    ledger: Ledger, storage: Storage, pruner: LedgerPruner, old_day: date
) -> None:
    for number in range(8):
        job_id = ended(ledger, old_day if number % 2 else date(2001, 1, 1), "20 days")
        store(ledger, storage, job_id)
    with ledger.write() as connection:
        live = enqueue(connection, id=id_of(old_day))

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(prune, [pruner, pruner]))

    assert [sum(getattr(pruned, name) for pruned in both) for name in ("days", "artifacts")] == [1, 8]
    assert sum(pruned.jobs for pruned in both) == 8
    with ledger.write() as connection:
        assert state(connection, live) == State.QUEUED
        assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 1


def test_a_day_that_somebody_reads_is_put_off_and_the_rest_is_done(
    ledger: Ledger, pruner: LedgerPruner, old_day: date
) -> None:
    job_id = ended(ledger, old_day, "20 days")
    stray = ended(ledger, date(2001, 1, 1), "20 days")

    with ledger.write() as reader:
        reader.exec_driver_sql(f"SELECT count(*) FROM jobs_{old_day:%Y%m%d}")  # noqa: S608
        with pytest.raises(Retryable, match=f"in use for too long: the partitions of {old_day}"):
            prune(pruner)
        assert known(ledger, job_id, stray) == [True, False]

    assert prune(pruner).days == 1


def test_work_goes_on_while_a_day_waits_for_its_lock(
    ledger: Ledger, pruner: LedgerPruner, old_day: date
) -> None:
    """Nobody waits longer for a claim than the pruning waits for its lock."""
    ended(ledger, old_day, "20 days")
    with ledger.write() as connection:
        job_id = enqueue(connection)

    with ThreadPoolExecutor(1) as pool, stalls() as machine, ledger.write() as reader:
        reader.exec_driver_sql(f"SELECT count(*) FROM jobs_{old_day:%Y%m%d}")  # noqa: S608 - a table
        pruning = pool.submit(prune, pruner)
        while not pruning.done():
            began = time.monotonic()
            with ledger.write() as connection:
                token = claim(connection, job_id)
                assert token
                finish(connection, job_id, token, State.RETRYING)
                transitions.make_due(connection, 10)
            assert time.monotonic() - began < 3.0 + machine.longest
        assert isinstance(pruning.exception(), Retryable)


def test_without_a_ledger_another_attempt_is_worth_it(storage: Storage) -> None:
    away = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", database_connect_timeout=1)
    with pytest.raises(Retryable, match="OperationalError"):
        prune(LedgerPruner(Ledger.open(away, "tests"), storage, away))


def cleared(ledger: Ledger, *ids: UUID) -> list[bool]:
    with ledger.write() as connection:
        rows = [row(connection, job_id) for job_id in ids]
    for found in rows:
        assert (found["payload"] is None) == (found["result"] is None)
    return [found["payload"] is None for found in rows]


def ended_as(ledger: Ledger, how: State, ago: str, day: date = TODAY, **fields: object) -> UUID:
    job_id = ended(ledger, day, ago, **fields)
    with ledger.write() as connection:
        change(connection, job_id, state=f"'{how}'")
    return job_id


def test_what_a_job_took_and_made_is_kept_for_as_long_as_the_settings_say_of_its_state(
    ledger: Ledger, storage: Storage
) -> None:
    over = ended(ledger, TODAY, "61 minutes")
    others = [
        ended(ledger, TODAY, "59 minutes"),
        ended_as(ledger, State.FAILED, "61 minutes"),
        ended_as(ledger, State.CANCELLED, "10 days"),
    ]
    file, kept = store(ledger, storage, over), store(ledger, storage, others[0])
    with ledger.write() as connection:
        live = enqueue(connection)

    rules = Settings(retention_succeeded=3600.0, retention_failed=7200.0)
    assert prune(LedgerPruner(ledger, storage, rules)) == Pruned(cleared=1, artifacts=1)
    assert cleared(ledger, over, *others) == [True, False, False, False]
    assert [stored(storage, file), stored(storage, kept)] == [False, True]
    with ledger.write() as connection:
        assert state(connection, over) is State.SUCCEEDED
        assert row(connection, live)["payload"] is not None
    assert prune(LedgerPruner(ledger, storage, rules)) == Pruned()


def test_a_kind_can_keep_less_than_the_settings_say(ledger: Ledger, storage: Storage) -> None:
    @kind("test.brief", queue=UPKEEP, retention=60.0)
    def brief(_payload: Payload, _ctx: Context) -> None:
        """Leave nothing."""

    over = ended_as(ledger, State.FAILED, "61 seconds", kind="test.brief")
    fresh = ended(ledger, TODAY, "59 seconds", kind="test.brief")
    other = ended(ledger, TODAY, "61 seconds")

    pruner = LedgerPruner(ledger, storage, Settings(retention_succeeded=3600.0), [brief])
    assert prune(pruner).cleared == 1
    assert cleared(ledger, over, fresh, other) == [True, False, False]


def test_a_job_that_was_cleared_cannot_run_again_and_goes_with_its_day(
    ledger: Ledger, storage: Storage, old_day: date
) -> None:
    job_id = ended_as(ledger, State.FAILED, "2 days", old_day)
    assert prune(LedgerPruner(ledger, storage, Settings(retention_failed=60.0))).cleared == 1
    with ledger.write() as connection:
        assert transitions.run_again(connection, job_id, "me") is None
    assert known(ledger, job_id) == [True]
    with ledger.write() as connection:
        change(connection, job_id, finished_at="now() - interval '20 days'")
    assert prune(LedgerPruner(ledger, storage, Settings(retention_failed=60.0))).jobs == 1
    assert known(ledger, job_id) == [False]
