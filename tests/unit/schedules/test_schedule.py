"""Files of schedules: what they say, what is refused, and which fire times get a job."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from schedules import schedule
from schedules.cron import Cron
from schedules.schedule import SHIPPED, Missed, Schedule, ScheduleError, load
from worker import catalog
from worker.contract import WEB, Context, Payload, kind
from worker.enqueue import Enqueuer, submission

NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Greeting(Payload, frozen=True, kw_only=True):
    name: str
    tone: Literal["warm", "cool"] = "warm"


@kind("test.greet", queue=WEB)
def greet(payload: Greeting, ctx: Context) -> None:
    """Say hello."""


@pytest.fixture
def enqueuer() -> Enqueuer:
    return Enqueuer({"test.greet": greet})


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


GOOD = """
kind = "test.greet"
cron = "0 9 * * MON-FRI"
timezone = "Europe/Berlin"
missed = "skip"
[payload]
name = "Ada"
"""


def test_a_file_is_a_schedule_named_after_it(tmp_path: Path, enqueuer: Enqueuer) -> None:
    write(tmp_path, "morning.toml", GOOD)

    (loaded,) = load([tmp_path], enqueuer)

    assert (loaded.name, loaded.missed) == ("morning", "skip")
    job = enqueuer.prepare(loaded.submission, UUID(int=1), request_id=None)
    assert (job.kind, job.payload, job.tags) == (
        "test.greet",
        b'{"name":"Ada"}',
        ["schedule:morning"],
    )
    assert loaded.next(NINE) == datetime(2026, 1, 2, 8, tzinfo=UTC)


def test_what_a_file_leaves_out_has_defaults(tmp_path: Path, enqueuer: Enqueuer) -> None:
    write(tmp_path, "s.toml", 'kind = "test.greet"\ncron = "0 9 * * *"\npayload = {name = "Ada"}')

    (loaded,) = load([tmp_path], enqueuer)

    assert loaded.missed == "one"
    assert loaded.next(NINE) == NINE + timedelta(days=1)


def test_a_file_of_ones_own_stands_for_the_shipped_one_of_that_name(
    tmp_path: Path, enqueuer: Enqueuer
) -> None:
    write(tmp_path / "shipped", "a.toml", GOOD)
    write(tmp_path / "shipped", "b.toml", GOOD)
    write(tmp_path / "own", "a.toml", GOOD.replace("skip", "all"))

    loaded = load([tmp_path / "shipped", tmp_path / "own"], enqueuer)

    assert {found.name: found.missed for found in loaded} == {"a": "all", "b": "skip"}


@pytest.mark.parametrize(
    ("change", "to", "reason"),
    [
        ("test.greet", "test.great", "kind: there is no kind 'test.great'; known are test.greet"),
        ('name = "Ada"', "", "payload.name: Object missing required field"),
        ('name = "Ada"', "name = 7", "payload.name: Expected `string`, got `integer`"),
        ('name = "Ada"', 'name = "Ada"\nage = 7', "payload.age: Object contains unknown field"),
        ("0 9 * * MON-FRI", "0 25 * * *", "cron '0 25 [*] [*] [*]': Bad hour"),
        ("Europe/Berlin", "Europe/Atlantis", "timezone 'Europe/Atlantis': not an IANA time zone"),
        ('missed = "skip"', 'missed = "maybe"', "Invalid enum value 'maybe'"),
        ('missed = "skip"', 'mised = "skip"', "unknown field `mised`"),
        ('kind = "test.greet"', "", "missing required field `kind`"),
        ('kind = "test.greet"', "kind = ", "Invalid value"),
    ],
)
def test_a_mistake_is_refused_with_file_and_reason(
    tmp_path: Path, enqueuer: Enqueuer, change: str, to: str, reason: str
) -> None:
    assert change in GOOD
    path = write(tmp_path, "morning.toml", GOOD.replace(change, to))

    with pytest.raises(ScheduleError, match=reason) as refused:
        load([tmp_path], enqueuer)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["Morning.toml", "good morning.toml", "-x.toml", "a" * 65 + ".toml"])
def test_a_name_that_labels_cannot_carry_is_refused(tmp_path: Path, enqueuer: Enqueuer, name: str) -> None:
    write(tmp_path, name, GOOD)

    with pytest.raises(ScheduleError, match="the name of the file"):
        load([tmp_path], enqueuer)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, enqueuer: Enqueuer) -> None:
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(ScheduleError, match=r"folder\.toml"):
        load([tmp_path], enqueuer)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path, enqueuer: Enqueuer) -> None:
    (tmp_path / "binary.toml").write_bytes(b"kind = \xff\xfe")

    with pytest.raises(ScheduleError, match=r"binary\.toml"):
        load([tmp_path], enqueuer)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path, enqueuer: Enqueuer) -> None:
    with pytest.raises(ScheduleError, match="no such folder"):
        load([tmp_path / "nowhere"], enqueuer)


def test_the_shipped_schedules_are_valid() -> None:
    names = [shipped.name for shipped in load([SHIPPED], Enqueuer(catalog.load()))]

    assert "prune" in names


def hourly(missed: Missed) -> Schedule:
    return Schedule(
        name="s", cron=Cron("0 * * * *", "UTC"), missed=missed, submission=submission("test.greet", {})
    )


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_a_fire_time_that_has_just_come_fires(missed: Missed) -> None:
    assert hourly(missed).due(NINE - MINUTE, NINE) == [NINE]
    assert hourly(missed).due(NINE, NINE + MINUTE) == []
    assert hourly(missed).due(NINE - MINUTE, NINE - timedelta(microseconds=1)) == []


@pytest.mark.parametrize(("missed", "fired"), [("skip", []), ("one", [12]), ("all", [10, 11, 12])])
def test_what_passed_without_a_beat_is_made_up_as_the_policy_says(missed: Missed, fired: list[int]) -> None:
    times = hourly(missed).due(NINE, NINE + timedelta(hours=3, minutes=30))

    assert [time.hour for time in times] == fired


def test_skipping_forgives_the_restart_of_a_beat() -> None:
    assert hourly("skip").due(NINE - MINUTE, NINE + schedule.LATE) == [NINE]
    assert hourly("skip").due(NINE - MINUTE, NINE + schedule.LATE + timedelta(seconds=1)) == []


def test_all_that_was_missed_in_a_year_is_made_up_in_batches() -> None:
    settled, now = NINE - timedelta(days=365), NINE
    made_up: list[datetime] = []
    while batch := hourly("all").due(settled, now):
        assert len(batch) <= schedule.BATCH
        settled = batch[-1]
        made_up += batch

    assert len(made_up) == len(set(made_up)) == 365 * 24
