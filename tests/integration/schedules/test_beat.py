"""Beat as a process: started as an operator does, cut off from its servers, stopped by a signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import msgspec
import pytest
import redis
from celery import Celery
from sqlalchemy import make_url, text

from ops.chaos.proxy import Proxy
from schedules.beat import JobyardScheduler
from tests.awaiting import eventually
from tests.clocks import needs_wrong_clocks, wrong_by
from worker.broker import SILENCE
from worker.ledger.engines import Ledger
from worker.settings import Settings

COMMAND = [
    *(sys.executable, "-m", "celery", "-A", "schedules.beat:app", "beat"),
    *("-S", "schedules.beat:JobyardScheduler"),
]
EVERY_SECOND = 'kind = "upkeep.prune"\ncron = "* * * * * *"\nmissed = "all"\n'


class BeatProcess:
    """A beat with a home of its own."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home = home
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")
        } | settings.environment()
        self.process = subprocess.Popen(
            COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What it logged under a name."""
        try:
            log = (self.home / "logs" / "beat.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        return [line for line in map(msgspec.json.decode, log.splitlines()) if line["event"] == event]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Returns its exit status."""
        self.process.send_signal(with_signal)
        return self.end()

    def end(self, seconds: float = 10.0) -> int:
        self.process.communicate(timeout=seconds)
        return self.process.returncode


Start = Callable[..., BeatProcess]


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Start]:
    """Start a beat with a schedule that fires every second, and wait until it has begun."""
    with ExitStack() as stack:
        folder = tmp_path / "own schedules"
        folder.mkdir()
        (folder / "tick.toml").write_text(EVERY_SECOND)

        def start(name: str = "beat", **changes: Any) -> BeatProcess:
            home = tmp_path / name
            given = {"home": str(home), "schedules": str(folder)} | changes
            beat = BeatProcess(home, msgspec.structs.replace(settings, **given))
            stack.callback(_kill, beat)
            eventually(lambda: beat.lines("metrics_served"), 60)
            return beat

        yield start


def _kill(beat: BeatProcess) -> None:
    if beat.process.poll() is None:
        beat.process.kill()
        beat.end()


@pytest.fixture
def proxied(settings: Settings) -> Iterator[tuple[Proxy, Proxy, dict[str, str]]]:
    """Wires to ledger and broker that a test can cut, and the settings that use them."""
    database, broker = make_url(settings.database_url or ""), make_url(settings.broker_url or "")
    with Proxy(database.port or 0) as ledger_wire, Proxy(broker.port or 0) as broker_wire:
        urls = {
            "database_url": database.set(port=ledger_wire.port).render_as_string(hide_password=False),
            "broker_url": broker.set(port=broker_wire.port).render_as_string(hide_password=False),
        }
        yield ledger_wire, broker_wire, urls


def fire_times(ledger: Ledger) -> list[datetime]:
    with ledger.write() as connection:
        of_tick = text("SELECT fire_at FROM firings WHERE schedule = 'tick' ORDER BY 1")
        return list(connection.execute(of_tick).scalars())


def count(ledger: Ledger, condition: str) -> int:
    with ledger.write() as connection:
        jobs = text(f"SELECT count(*) FROM jobs WHERE {condition}")  # noqa: S608 - a test's
        return int(connection.execute(jobs).scalar_one())


def further_firings(ledger: Ledger, number: int) -> None:
    already = len(fire_times(ledger))
    eventually(lambda: len(fire_times(ledger)) >= already + number)


def test_two_beats_fire_and_dispatch_each_job_once(
    start: Start, ledger: Ledger, redis_client: redis.Redis
) -> None:
    beats = [start("one"), start("two")]
    further_firings(ledger, 4)

    assert [beat.stop() for beat in beats] == [0, 0]

    times = fire_times(ledger)
    assert (times[-1] - times[0]).total_seconds() == len(times) - 1, "none was left out"
    assert count(ledger, "true") == len(times)
    assert count(ledger, "publications > 1") == 0
    messages = sum(redis_client.llen(key) for key in redis_client.scan_iter("upkeep*"))
    assert messages == count(ledger, "publications = 1")


def test_beats_that_are_killed_in_turn_leave_no_firing_out_and_double_none(
    start: Start, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / "own schedules" / f"s{number}.toml").write_text(EVERY_SECOND)
    beats = [start("one"), start("two")]
    for turn in range(4):
        further_firings(ledger, 2)
        beats[turn % 2].stop(signal.SIGKILL)
        beats[turn % 2] = start(f"beat {turn}")
    further_firings(ledger, 2)

    assert [beat.stop() for beat in beats] == [0, 0]

    with ledger.write() as connection:
        rows = connection.execute(text("SELECT schedule, fire_at FROM firings ORDER BY 1, 2")).all()
    of_each: dict[str, list[datetime]] = {}
    for row in rows:
        of_each.setdefault(row.schedule, []).append(row.fire_at)
    assert len(of_each) == 6
    for name, times in of_each.items():
        assert (times[-1] - times[0]).total_seconds() == len(times) - 1, f"none of {name} was left out"
    assert count(ledger, "true") == len(rows)


@needs_wrong_clocks
def test_beats_with_clocks_minutes_apart_fire_by_the_ledgers(
    start: Start, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = []
    for minutes in (-10, 10):
        with monkeypatch.context() as environment:
            for name, value in wrong_by(minutes).items():
                environment.setenv(name, value)
            beats.append(start(f"wrong by {minutes} minutes"))
    further_firings(ledger, 5)

    assert [beat.stop() for beat in beats] == [0, 0]

    times = fire_times(ledger)
    assert (times[-1] - times[0]).total_seconds() == len(times) - 1, "none was left out"
    with ledger.write() as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()
        lateness = text("""
            SELECT max(abs(extract(epoch FROM j.created_at - f.fire_at)))
            FROM jobs j JOIN firings f ON f.job_id = j.id
        """)
        assert connection.execute(lateness).scalar_one() < 5.0
    assert abs((now - times[-1]).total_seconds()) < 60


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_quickly_with_status_0(start: Start, with_signal: signal.Signals) -> None:
    beat = start()

    assert beat.stop(with_signal) == 0


def test_its_metrics_can_be_read(start: Start, ledger: Ledger) -> None:
    beat = start()
    further_firings(ledger, 1)
    (served,) = beat.lines("metrics_served")

    def shown() -> str:
        with urlopen(f"http://127.0.0.1:{served['port']}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    eventually(lambda: 'jobyard_beat_fired_total{schedule="tick"}' in shown())
    # The round that needs the broker runs beside the one that fires.
    eventually(lambda: 'jobyard_beat_last_round_timestamp_seconds{round="broker"}' in shown())


def test_it_lives_although_its_ledger_is_away(
    start: Start, proxied: tuple[Proxy, Proxy, dict[str, str]]
) -> None:
    wire, _, urls = proxied
    beat = start(**urls)
    (served,) = beat.lines("metrics_served")
    wire.cut()
    eventually(lambda: beat.lines("failing"))

    with urlopen(f"http://127.0.0.1:{served['port']}/healthz", timeout=10) as answer:
        assert answer.status == 200


def test_it_survives_an_outage_of_the_ledger(
    start: Start, ledger: Ledger, proxied: tuple[Proxy, Proxy, dict[str, str]]
) -> None:
    wire, _, urls = proxied
    beat = start(**urls)
    further_firings(ledger, 1)

    wire.cut()
    eventually(lambda: [line for line in beat.lines("failing") if line["part"] == "ledger (time round)"])
    wire.restore()
    eventually(lambda: len(beat.lines("recovered")) == len(beat.lines("failing")))
    further_firings(ledger, 2)

    said = [line["part"] for line in beat.lines("failing")]
    assert len(said) == len(set(said)), "each outage is said once"
    times = fire_times(ledger)
    assert (times[-1] - times[0]).total_seconds() == len(times) - 1, "what was missed was made up"
    assert beat.stop() == 0


def test_schedules_fire_although_the_broker_is_away_and_are_dispatched_when_it_is_back(
    start: Start, ledger: Ledger, proxied: tuple[Proxy, Proxy, dict[str, str]]
) -> None:
    _, wire, urls = proxied
    beat = start(**urls)
    further_firings(ledger, 1)

    wire.cut()
    eventually(lambda: [line for line in beat.lines("failing") if line["part"] == "dispatch"])
    further_firings(ledger, 3)
    eventually(lambda: count(ledger, "published_at IS NULL") >= 2)
    newest = str(fire_times(ledger)[-1])
    eventually(lambda: newest in {line["fire_at"] for line in beat.lines("fired")})
    wire.restore()
    eventually(lambda: count(ledger, "published_at IS NULL") <= 1)

    assert beat.stop() == 0


def test_a_broker_that_does_not_answer_holds_up_neither_schedules_nor_the_end(
    start: Start, ledger: Ledger, proxied: tuple[Proxy, Proxy, dict[str, str]]
) -> None:
    _, wire, urls = proxied
    beat = start(**urls)
    further_firings(ledger, 1)

    wire.silence()
    began = len(fire_times(ledger))
    further_firings(ledger, 4)

    with ledger.write() as connection:
        lateness = text("""
            SELECT max(extract(epoch FROM j.created_at - f.fire_at))
            FROM jobs j JOIN (SELECT * FROM firings ORDER BY fire_at OFFSET :began) f ON f.job_id = j.id
        """)
        assert connection.execute(lateness, {"began": began}).scalar_one() < SILENCE
    assert beat.stop() == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schedules": "/nowhere"}, "beat cannot start: /nowhere: no such folder of schedules"),
        ({"database_url": None}, "beat cannot start: set JOBYARD_DATABASE_URL and JOBYARD_BROKER_URL"),
        ({"lease": 1.0}, "beat cannot start: JOBYARD_LEASE"),
    ],
)
def test_a_mistake_ends_it_with_a_sentence(
    tmp_path: Path, settings: Settings, changes: dict[str, Any], reason: str
) -> None:
    given = msgspec.structs.replace(settings, home=str(tmp_path), **changes)
    process = BeatProcess(tmp_path, given).process

    said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert reason in said
    assert "Traceback" not in said


def test_a_schedule_may_call_back_as_the_settings_allow(start: Start, tmp_path: Path) -> None:
    (tmp_path / "own schedules" / "tick.toml").write_text(
        EVERY_SECOND + 'callback = "http://127.0.0.1:9/told"\n'
    )
    beat = start(callback_http=True)

    eventually(lambda: beat.lines("fired"))


def test_celerys_own_schedule_is_refused_with_the_place_for_schedules() -> None:
    app = Celery("test", set_as_current=False)
    app.conf.beat_schedule = {"x": {"task": "upkeep.prune", "schedule": 1.0}}

    with pytest.raises(SystemExit, match=r"jobyard schedules create.*schedules/README\.md"):
        JobyardScheduler(app)


def test_each_tick_shows_that_it_lives() -> None:
    beats: list[str] = []

    class Beat:
        class pulse:  # noqa: N801 - an attribute of beat's
            beat = staticmethod(lambda: beats.append("beat"))

        class round:  # noqa: A001, N801 - an attribute of beat's
            run = staticmethod(lambda: 0.25)

    scheduler = JobyardScheduler(Celery("test", set_as_current=False), lazy=True)
    scheduler._beat = cast("Any", Beat)

    assert [scheduler.tick(), scheduler.tick()] == [0.25, 0.25]
    assert beats == ["beat", "beat"]


def test_celerys_look_at_the_scheduler_before_it_starts_opens_nothing() -> None:
    JobyardScheduler(Celery("test", set_as_current=False), lazy=True)
