"""A run: a platform, clients and faults for some minutes, then quiet, and then the judgement."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from ops.chaos import ending, picture
from ops.chaos.api import Api
from ops.chaos.carrier import Carrier
from ops.chaos.checker import judge
from ops.chaos.faults import FAULTS
from ops.chaos.history import Journal, Submitted, read
from ops.chaos.load import Clients
from ops.chaos.mix import wishes
from ops.chaos.place import place
from ops.chaos.plan import Plan, draw
from ops.chaos.report import Report, Setting, text
from ops.chaos.rig import Rig
from ops.chaos.rig import running as platform
from ops.chaos.trouble import Troublemaker
from worker.contract.queues import Pool

CLIENTS, RUNS = "clients.jsonl", "runs.jsonl"  # the histories: of those who submit, of handlers

# The second workers: their queues and their pool, if it is not the table's.
_SECOND: tuple[tuple[tuple[str, ...], Pool | None], ...] = (
    (("report", "database"), None),
    (("web", "email", "webhook"), None),
    (("web",), "gevent"),
)
_CLIENTS = 32  # at once
_CALM = 5.0  # seconds without faults at either end, to compare with
_LAST_ANSWERS = 30.0  # seconds for what was submitted last
_QUIET = 180.0  # seconds at least until everything ended
_LOOK = 0.5

Say = Callable[[str], None]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to do."""

    seconds: float
    seed: int
    rate: float  # submissions a second
    broker: Carrier = Carrier.VALKEY
    faults: tuple[str, ...] = ()  # all that can happen on this broker where none is named
    pace: float = 1.0
    least_jobs: int = 0  # accepted, or the run proves too little
    least_faults: int = 0

    @property
    def quiet(self) -> float:
        """Seconds at most until everything ended: what was held up may take as long as it was held up."""
        return max(_QUIET, self.seconds)

    def plan(self) -> Plan:
        """The faults to come; the same each time."""
        possible = (fault for fault in FAULTS.values() if self.broker in fault.carriers)
        chosen = (FAULTS[name] for name in self.faults) if self.faults else possible
        return draw(self.seed, self.seconds, chosen, self.pace)


def run(course: Course, out: Path, say: Say = print) -> Report:
    """Carry out a run on a platform of its own, and judge it.

    Args:
        course: what to do.
        out: a folder; the histories, the logs, the plan, the report and the picture go there.
        say: told what happens.

    Raises:
        NotUp: the platform does not come up.
        KeyboardInterrupt: somebody stopped it; nothing is left running.
    """
    drawn = course.plan()
    with place(out) as folder:
        (out / "plan.json").write_bytes(msgspec.json.format(msgspec.json.encode(drawn)))
        say(f"seed {course.seed}: {sum(map(len, drawn.values()))} faults planned in {course.seconds:g} s")
        began = time.monotonic()
        with platform(folder, os.environ, course.broker) as rig:
            say(f"platform up after {time.monotonic() - began:.1f} s")
            setting = act(course, rig, folder, say)
        with closing(Journal(folder / CLIENTS)) as journal:
            ending.note_deaths(rig, folder / "home" / "logs", journal)
        history = list(read([folder / CLIENTS, folder / RUNS]))
    report = Report.of(judge(history), history, setting)
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (out / "report.txt").write_text(text(report))
    picture.draw(history, out)
    return report


def act(course: Course, rig: Rig, folder: Path, say: Say = lambda _: None) -> Setting:
    """Clients and faults, quiet, and the last look at every job.

    Args:
        course: what to do.
        rig: to what.
        folder: for the histories CLIENTS and RUNS.
        say: told what happens.
    """
    (folder / RUNS).touch(mode=0o600)
    with ExitStack() as stack:
        for queues, pool in _SECOND:  # so that there is somebody to take what a stopped worker holds
            stack.enter_context(rig.second_worker(*queues, pool=pool))
        journal = stack.enter_context(closing(Journal(folder / CLIENTS)))
        api = stack.enter_context(closing(Api(rig.api_port, rig.key, _CLIENTS)))
        stream = wishes(course.seed, str(folder / RUNS))
        clients = Clients(api, stream, course.rate, _CLIENTS, journal)
        trouble = Troublemaker(course.plan(), rig, journal, lambda name, target: say(f"  {name}: {target}"))
        stack.callback(clients.stop, 0.0)
        stack.callback(trouble.stop)
        clients.start()
        trouble.start()
        _spend(course.seconds, say, clients)
        trouble.stop()
        time.sleep(_CALM)
        clients.stop(_LAST_ANSWERS)
        say("faults and clients have stopped; waiting for the last jobs")
        quiet = ending.await_quiet(api, course.quiet)
        say(f"quiet after {quiet:.1f} s; reading every job")
        ending.read_all(api, _submitted(folder), journal)
        ending.note_effects(rig, journal)
    return Setting(
        seed=course.seed,
        broker=course.broker,
        seconds=course.seconds,
        rate=course.rate,
        quiet_seconds=round(quiet, 1),
        errors=trouble.errors,
        missed=dict(Counter(trouble.missed)),
        least_jobs=course.least_jobs,
        least_faults=course.least_faults,
    )


def _spend(seconds: float, say: Say, clients: Clients) -> None:
    until = time.monotonic() + seconds
    told = time.monotonic()
    while time.monotonic() < until:
        time.sleep(_LOOK)
        if time.monotonic() - told > 30:  # noqa: PLR2004 - now and then
            told = time.monotonic()
            say(f"{clients.submitted} submitted, {until - told:.0f} s to go")


def _submitted(folder: Path) -> Iterator[Submitted]:
    return (event for event in read([folder / CLIENTS]) if isinstance(event, Submitted))
