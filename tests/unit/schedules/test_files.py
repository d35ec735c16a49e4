"""Files of schedules: what they say, and what is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from schedules.files import SHIPPED, ScheduleError, load
from worker import catalog
from worker.contract import WEB, Context, Payload, kind
from worker.enqueue import Enqueuer

NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)


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

    assert (loaded.name, loaded.definition.missed) == ("morning", "skip")
    job = enqueuer.prepare(loaded.submission, UUID(int=1), request_id=None)
    assert (job.kind, job.payload, job.tags) == (
        "test.greet",
        b'{"name":"Ada"}',
        ["schedule:morning"],
    )
    assert loaded.next(NINE) == datetime(2026, 1, 2, 8, tzinfo=UTC)


def test_a_file_has_the_options_that_clients_have(tmp_path: Path, enqueuer: Enqueuer) -> None:
    text = """
        kind = "test.greet"
        every = 3600
        starts_at = 2026-01-01T09:30:00+01:00
        ends_at = 2026-12-31T00:00:00Z
        jitter = 30
        overlap = "queue"
        missed = "all"
        limit = 3
        priority = "high"
        tags = ["hourly"]
        payload = {name = "Ada"}
    """
    write(tmp_path, "s.toml", text)

    (loaded,) = load([tmp_path], enqueuer)

    assert loaded.next(NINE) == NINE + timedelta(minutes=30)
    assert loaded.submission.tags == ["schedule:s", "hourly"]
    assert (loaded.definition.overlap, loaded.definition.limit, loaded.definition.jitter) == ("queue", 3, 30)


def test_a_single_time_of_the_past_is_no_mistake_of_a_file(tmp_path: Path, enqueuer: Enqueuer) -> None:
    text = 'kind = "test.greet"\nat = 2025-01-01T00:00:00Z\npayload = {name = "Ada"}'
    write(tmp_path, "s.toml", text)

    (loaded,) = load([tmp_path], enqueuer)

    assert loaded.next(NINE) is None


def test_what_a_file_leaves_out_has_defaults(tmp_path: Path, enqueuer: Enqueuer) -> None:
    write(tmp_path, "s.toml", 'kind = "test.greet"\ncron = "0 9 * * *"\npayload = {name = "Ada"}')

    (loaded,) = load([tmp_path], enqueuer)

    assert loaded.definition.missed == "one"
    assert loaded.next(NINE) == NINE + timedelta(days=1)


def test_a_file_of_ones_own_stands_for_the_shipped_one_of_that_name(
    tmp_path: Path, enqueuer: Enqueuer
) -> None:
    write(tmp_path / "shipped", "a.toml", GOOD)
    write(tmp_path / "shipped", "b.toml", GOOD)
    write(tmp_path / "own", "a.toml", GOOD.replace("skip", "all"))

    loaded = load([tmp_path / "shipped", tmp_path / "own"], enqueuer)

    assert {found.name: found.definition.missed for found in loaded} == {"a": "all", "b": "skip"}


@pytest.mark.parametrize(
    ("change", "to", "reason"),
    [
        ("test.greet", "test.great", "kind: there is no kind 'test.great'; known are test.greet"),
        ('name = "Ada"', "", "payload.name: Object missing required field"),
        ('name = "Ada"', "name = 7", "payload.name: Expected `string`, got `integer`"),
        ('name = "Ada"', 'name = "Ada"\nage = 7', "payload.age: Object contains unknown field"),
        ("0 9 * * MON-FRI", "0 25 * * *", "cron: '0 25 [*] [*] [*]': Bad hour"),
        ("Europe/Berlin", "Europe/Atlantis", "timezone: 'Europe/Atlantis': not an IANA time zone"),
        ('missed = "skip"', 'missed = "maybe"', "Invalid enum value 'maybe'"),
        ('missed = "skip"', 'mised = "skip"', "unknown field `mised`"),
        ('kind = "test.greet"', "", "missing required field `kind`"),
        ('kind = "test.greet"', "kind = ", "Invalid value"),
        ('cron = "0 9 * * MON-FRI"', "", "cron: one of cron, every and at is needed, and none is given"),
        ('missed = "skip"', "every = 60", "every: one of .* and cron and every is given"),
        ('missed = "skip"', "jitter = -1", "jitter: Expected `integer` >= 0"),
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
