"""Two beats are killed in turn under many schedules.

What must fire is known without the scheduler: every rule is a number of seconds that divides the minute, from
one whole minute to another. Firings and jobs are read as a client reads them.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from random import Random

import msgspec

from api.client import Client
from ops.chaos.crew import send
from ops.chaos.history import Journal, read
from ops.chaos.measure.fired import Found, Rule, Seen, rows
from ops.chaos.past import Past
from ops.chaos.place import place
from ops.chaos.rig import SECOND_BEAT, Rig
from ops.chaos.rig import running as platform
from worker.contract.states import FINAL

FOUND = "firings.json"

_KIND = "chaos.web"
_STEPS = (5, 10, 15, 20, 30, 60)  # seconds between two firings
_MINUTE = timedelta(minutes=1)
_AHEAD = timedelta(seconds=30)  # for saving the schedules
_KILLS = (4.0, 9.0)  # seconds between two, at least and at most
_PATIENCE = 180.0  # seconds until the last jobs have ended
_LOOK = 1.0  # seconds between two looks
_MORE = 100  # firings and jobs that would be seen beyond those that must be

_Saved = tuple[str, str, Rule]  # id, name


def run(minutes: int, schedules: int, out: Path, say: Callable[[str], None]) -> Found:
    """Do so on a platform of its own.

    Args:
        minutes: from the first fire time to the last.
        schedules: how many.
        out: a folder; what is found, the journal of the jobs and the logs go there.
        say: told what is done.

    Raises:
        NotUp: the platform does not come up.
        KeyboardInterrupt: somebody stopped it; nothing is left running.
    """
    with place(out) as folder, platform(folder, os.environ) as rig:
        found = _measured(rig, folder / "runs.jsonl", minutes, schedules, say)
    (out / FOUND).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return found


def _measured(rig: Rig, journal: Path, minutes: int, schedules: int, say: Callable[[str], None]) -> Found:
    Journal(journal).close()
    with Client(f"http://127.0.0.1:{rig.api_port}", rig.key) as client:
        begins = (datetime.now(UTC) + _AHEAD).replace(second=0, microsecond=0) + _MINUTE
        ends = begins + minutes * _MINUTE
        all_saved = list(islice(_save(client, journal, begins, ends), schedules))
        say(f"{schedules} schedules saved; they fire from {begins:%H:%M} to {ends:%H:%M} UTC")
        time.sleep(max(0.0, (begins - datetime.now(UTC)).total_seconds()))
        kills = _kill_in_turn(rig, ends)
        say(f"killed: {', '.join(f'{name} {number} times' for name, number in kills.items())}")
        give_up_at = time.monotonic() + _PATIENCE
        seen = [(saved[-1], _seen(client, saved, give_up_at)) for saved in all_saved]
    return Found(minutes=minutes, kills=dict(kills), rows=rows(seen, Past(read([journal])).runs_of.keys()))


def _save(client: Client, journal: Path, begins: datetime, ends: datetime) -> Iterator[_Saved]:
    """Schedules without end, each rule as cron and as an interval."""
    span = int((ends - begins).total_seconds())
    bounds = {"starts_at": begins.isoformat(), "ends_at": ends.isoformat(), "missed": "all", "limit": 500}
    for number, step in enumerate(cycle(_STEPS)):
        in_cron = "0 * * * * *" if step == _STEPS[-1] else f"*/{step} * * * * *"
        given = {"every": step} if number // len(_STEPS) % 2 else {"cron": in_cron}
        ((form, value),) = given.items()
        name = f"killed-{number}"
        saved = client.schedules.create(name, _KIND, {"journal": str(journal)}, **given, **bounds)
        times = [begins + timedelta(seconds=n) for n in range(0, span + 1, step)]
        yield saved.id, name, Rule(f"{form} {value}", times)


def _kill_in_turn(rig: Rig, ends: datetime) -> Counter[str]:
    """SIGKILL one beat and then the other, at moments that keep no rhythm, until the last fire time."""
    pauses = Random(1)  # noqa: S311 - no secret
    kills: Counter[str] = Counter()
    for victim in cycle(("beat", SECOND_BEAT)):
        time.sleep(pauses.uniform(*_KILLS))
        if datetime.now(UTC) > ends:
            break
        if main := rig.crew.main(victim):  # else it is not there again yet
            send([main], signal.SIGKILL)
            kills[victim] += 1
    return kills


def _seen(client: Client, saved: _Saved, give_up_at: float) -> Seen:
    """What a client finds of a schedule once all jobs have ended, or no later than at a monotonic time."""
    times = saved[-1].times
    while True:
        seen = _look(client, saved, len(times) + _MORE)
        fired = set(seen.fire_times) >= set(times)
        if (fired and all(state in FINAL for state in seen.states.values())) or time.monotonic() > give_up_at:
            return seen
        time.sleep(_LOOK)


def _look(client: Client, saved: _Saved, most: int) -> Seen:
    schedule_id, name, _ = saved
    firings = list(client.schedules.firings(schedule_id, most))
    return Seen(
        [firing.fire_at for firing in firings],
        [(firing.fired_at - firing.fire_at).total_seconds() for firing in firings if firing.fired_at],
        {firing.job_id for firing in firings if firing.job_id},
        {job.id: job.state for job in client.jobs(most, tag=f"schedule:{name}")},
    )
