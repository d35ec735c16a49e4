"""Each firing is exactly one job, whatever the number of beats."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

import pytest
from sqlalchemy import text

from schedules import firing
from schedules.cron import Cron
from schedules.firing import CLIENT, Firing
from schedules.metrics import Metrics
from schedules.schedule import Missed, Schedule
from worker import catalog
from worker.contract.states import State
from worker.enqueue import Enqueuer, submission
from worker.ledger import agenda, clients, jobs
from worker.ledger.engines import Ledger
from worker.ledger.jobs import JobFilter

ENQUEUER = Enqueuer(catalog.load())


def schedule(cron: str = "* * * * * *", missed: Missed = "one") -> Schedule:
    wish = submission("upkeep.prune", {}, tags=["schedule:tidy"])
    return Schedule(name="tidy", cron=Cron(cron, "UTC"), missed=missed, submission=wish)


def beat(ledger: Ledger, given: Schedule) -> Firing:
    return Firing(given, ENQUEUER, ledger, Metrics())


def tick(ledger: Ledger, part: Firing) -> bool:
    with ledger.write() as connection:
        todo = agenda.read(connection)
    return part.run(todo)


def settle(ledger: Ledger, ago: str) -> None:
    """As if beats had been away for so long."""
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM schedules"))
        words = text("INSERT INTO schedules VALUES ('tidy', now() - CAST(:ago AS interval))")
        connection.execute(words, {"ago": ago})


def fire_times(ledger: Ledger) -> list[datetime]:
    with ledger.write() as connection:
        return list(connection.execute(text("SELECT fire_at FROM firings ORDER BY 1")).scalars())


def made(ledger: Ledger) -> int:
    with ledger.write() as connection:
        return int(connection.execute(text("SELECT count(*) FROM jobs")).scalar_one())


def test_a_schedule_that_is_new_owes_nothing(ledger: Ledger) -> None:
    tick(ledger, beat(ledger, schedule("0 0 1 1 *", "all")))

    assert fire_times(ledger) == []


def test_a_firing_makes_a_job_that_belongs_to_the_schedules(ledger: Ledger) -> None:
    settle(ledger, "1 second")

    tick(ledger, beat(ledger, schedule()))

    (fire_at,) = fire_times(ledger)
    with ledger.write() as connection:
        client = clients.find_client(connection, CLIENT)
        assert client
        (listed,) = jobs.page(connection, JobFilter(client_id=client.id, tag="schedule:tidy"), 10).rows
        job = jobs.find(connection, listed.id)
        assert job
        fired_job = connection.execute(text("SELECT job_id FROM firings")).scalar_one()
    assert (job["kind"], job["state"], job["scheduled_at"]) == ("upkeep.prune", State.QUEUED, fire_at)
    assert job["published_at"] is None, "dispatch publishes it"
    assert fired_job == job["id"]


@pytest.mark.parametrize("missed", ["one", "all"])
def test_many_beats_at_once_make_one_job_of_each_firing(ledger: Ledger, missed: Missed) -> None:
    settle(ledger, "20 seconds")
    given = schedule(missed=missed)
    together = Barrier(6)

    def ticks(_: int) -> None:
        part = beat(ledger, given)
        for _ in range(5):
            together.wait(60)
            tick(ledger, part)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ticks, range(6)))

    times = fire_times(ledger)
    assert made(ledger) == len(times) == len(set(times))
    if missed == "all":
        assert len(times) >= 20
        assert (times[-1] - times[0]).total_seconds() == len(times) - 1, "none was left out"


@pytest.mark.parametrize(("missed", "jobs_made"), [("skip", 0), ("one", 1), ("all", 3)])
def test_what_was_missed_is_made_up_once_as_the_policy_says(
    ledger: Ledger, missed: Missed, jobs_made: int
) -> None:
    with ledger.write() as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()
    # Fires once a day, two hours ago the last time.
    settle(ledger, "3 days")
    daily = schedule(f"{now.minute} {(now.hour - 2) % 24} * * *", missed)

    for _ in range(2):
        tick(ledger, beat(ledger, daily))

    assert made(ledger) == jobs_made


def test_a_long_absence_is_made_up_in_batches(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedules.schedule.BATCH", 10)
    monkeypatch.setattr(firing, "BATCH", 10)
    settle(ledger, "25 minutes")
    part = beat(ledger, schedule("* * * * *", "all"))

    assert [tick(ledger, part) for _ in range(3)] == [True, True, False]
    times = fire_times(ledger)
    assert made(ledger) == len(times)
    assert (times[-1] - times[0]).total_seconds() == 60 * (len(times) - 1), "none was left out"
    assert len(times) in {25, 26}, "a minute may have begun meanwhile"


def test_it_fires_at_the_first_tick_after_the_time_and_not_before(ledger: Ledger) -> None:
    part = beat(ledger, schedule("*/2 * * * * *"))
    while not tick(ledger, part) and not fire_times(ledger):
        pass

    (fire_at,) = fire_times(ledger)
    with ledger.write() as connection:
        (created,) = connection.execute(text("SELECT created_at FROM jobs")).scalars()
    assert 0 <= (created - fire_at).total_seconds() < 2  # when it would fire again


def test_between_two_firings_the_ledger_is_left_alone(ledger: Ledger) -> None:
    part = beat(ledger, schedule("0 0 1 1 *"))
    tick(ledger, part)
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM schedules"))

    for _ in range(3):
        tick(ledger, part)

    with ledger.write() as connection:
        assert connection.execute(text("SELECT count(*) FROM schedules")).scalar() == 0


def test_a_changed_rule_owes_at_most_a_minute_of_the_past(ledger: Ledger) -> None:
    """Beats settle a schedule that does not fire, so that the past does not count under a new rule."""
    settle(ledger, "10 days")
    began = time.monotonic()
    tick(ledger, beat(ledger, schedule("0 0 1 1 *", "skip")))

    tick(ledger, beat(ledger, schedule("* * * * * *", "all")))

    assert made(ledger) <= 1 + (time.monotonic() - began)
