"""A partition a day: an id finds its own, strays are found too, and making one takes them in."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from tests.integration.ledger.situations import WORKER, claim, enqueue, finish, row
from worker.contract.states import State
from worker.ledger import jobs, messages, partitions, transitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import floor_of, new_id, time_of
from worker.ledger.records import Claim, Outcome

FAR = date(2031, 5, 17)  # no partition was made ahead for it
NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)


def stray() -> UUID:
    """An id of `NOON`: what a skewed clock makes."""
    return UUID(int=floor_of(NOON).int | (new_id().int & ((1 << 80) - 1)))


def place(connection: Connection, table: str, key: str, job_id: UUID) -> str:
    found = text(f"SELECT CAST(tableoid AS regclass)::text FROM {table} WHERE {key} = :id")  # noqa: S608 - names
    return str(connection.execute(found, {"id": job_id}).scalar_one())


def test_a_new_job_lands_in_the_partition_of_its_day(connection: Connection) -> None:
    job_id = enqueue(connection)

    assert place(connection, "jobs", "id", job_id) == f"jobs_{time_of(job_id):%Y%m%d}"


def test_a_stray_is_kept_and_found_like_any_other(connection: Connection) -> None:
    job_id = enqueue(connection, id=stray())

    assert place(connection, "jobs", "id", job_id) == "jobs_default"
    token = claim(connection, job_id)
    assert token
    assert finish(connection, job_id, token, State.SUCCEEDED) == State.SUCCEEDED


def test_making_a_partition_takes_its_strays_in_with_their_history(connection: Connection) -> None:
    job_id = enqueue(connection, id=stray())
    token = claim(connection, job_id)
    assert token
    finish(connection, job_id, token, State.FAILED)
    transitions.run_again(connection, job_id, "operator")
    before = dict(row(connection, job_id))

    made = partitions.make_ahead(connection, FAR, days=0)

    assert made == ["jobs_20310517", "attempts_20310517", "acts_20310517"]
    assert place(connection, "jobs", "id", job_id) == "jobs_20310517"
    assert place(connection, "attempts", "job_id", job_id) == "attempts_20310517"
    assert place(connection, "acts", "job_id", job_id) == "acts_20310517"
    after = row(connection, job_id)
    assert dict(after) == before
    assert [entry["outcome"] for entry in jobs.history(connection, after)] == ["failed"]


def test_a_made_partition_works_like_the_others(connection: Connection) -> None:
    partitions.make_ahead(connection, FAR, days=0)
    job_id = enqueue(connection, id=stray())
    token = claim(connection, job_id)
    assert token

    assert finish(connection, job_id, token, State.SUCCEEDED) == State.SUCCEEDED
    assert place(connection, "jobs", "id", job_id) == "jobs_20310517"
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = '{}'"
    (ours, todays) = (
        connection.exec_driver_sql(indexes.format(name)).scalar()
        for name in ("jobs_20310517", f"jobs_{datetime.now(UTC):%Y%m%d}")
    )
    assert ours == todays


def test_partitions_are_made_for_today_and_a_week_ahead_and_only_once(connection: Connection) -> None:
    made = partitions.make_ahead(connection, FAR)

    assert len(made) == 8 * 3
    assert made[-3:] == ["jobs_20310524", "attempts_20310524", "acts_20310524"]
    assert partitions.make_ahead(connection, FAR) == []


def test_the_migrated_ledger_has_partitions_for_the_days_ahead(connection: Connection) -> None:
    today = datetime.now(UTC)

    assert partitions.exists(connection, f"jobs_{today:%Y%m%d}")
    assert partitions.exists(connection, f"jobs_{today + timedelta(days=6):%Y%m%d}")


def test_several_may_make_the_same_partitions_at_once(ledger: Ledger) -> None:
    day = date(2032, 1, 1)

    def make(_: int) -> list[str]:
        with ledger.write() as connection:
            return partitions.make_ahead(connection, day, days=1)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))

    assert sorted(map(len, made)) == [0, 0, 0, 6]


def test_days_lie_before_a_moment_only_as_a_whole(connection: Connection) -> None:
    partitions.make_ahead(connection, date(2020, 3, 1), days=2)

    def before(moment: datetime) -> list[date]:
        return partitions.days_before(connection, moment)

    assert before(datetime(2020, 3, 3, tzinfo=UTC)) == [date(2020, 3, 1), date(2020, 3, 2)]
    assert before(datetime(2020, 3, 2, 23, 59, 59, tzinfo=UTC)) == [date(2020, 3, 1)]
    assert before(datetime(2020, 3, 1, 12, tzinfo=UTC)) == []


def test_a_statement_by_id_touches_one_partition(connection: Connection) -> None:
    job_id = enqueue(connection)

    statement = "EXPLAIN " + messages._UNPUBLISH.text
    plan = "\n".join(connection.execute(text(statement), {"ids": f"{{{job_id}}}"}).scalars())

    assert f"Update on jobs_{time_of(job_id):%Y%m%d}" in plan
    assert plan.count("Update on jobs_") == 1
    assert set(re.findall(r"on (jobs_\w+)", plan)) == {f"jobs_{time_of(job_id):%Y%m%d}"}


_SCANS = text("""
    SELECT CAST(indexrelid AS regclass)::text AS name, pg_stat_get_xact_numscans(indexrelid) AS scans
    FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relname ~ '^(jobs|attempts)_'
    UNION ALL
    SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname ~ '^(jobs|attempts)_'
""")


def scans(connection: Connection) -> dict[str, int]:
    """How often each partition, and each index of one, was read on this connection."""
    return {row.name: row.scans for row in connection.execute(_SCANS)}


def test_claims_and_outcomes_by_a_kept_plan_read_the_primary_key_of_one_partition(
    connection: Connection,
) -> None:
    ids = [enqueue(connection) for _ in range(3)]
    before = scans(connection)

    wishes = [Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=True) for job_id in ids]
    held = transitions.claim(connection, wishes)
    words = [Outcome(job_id=job.id, token=job.token, worker="w", state=State.SUCCEEDED) for job in held]
    assert transitions.finish(connection, words).keys() == set(ids)

    read = {name for name, count in scans(connection).items() if count > before.get(name, 0)}
    assert read == {f"jobs_{time_of(job_id):%Y%m%d}_pkey" for job_id in ids}


def test_a_kept_plan_learns_of_a_partition_that_was_made_since(connection: Connection) -> None:
    assert claim(connection, enqueue(connection))

    partitions.make_ahead(connection, FAR, days=0)
    job_id = enqueue(connection, id=stray())
    token = claim(connection, job_id)

    assert token
    assert finish(connection, job_id, token, State.SUCCEEDED) is State.SUCCEEDED
    assert scans(connection)[f"jobs_{FAR:%Y%m%d}_pkey"] > 0
