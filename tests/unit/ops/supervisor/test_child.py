import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from ops.embedded.home import Home
from ops.embedded.leftovers import lives
from ops.embedded.program import Command, ServerError
from ops.supervisor.child import Child, Events
from ops.supervisor.status import ProcessState

WAIT = "import signal; signal.pause()"
DEAF = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
while True:
    signal.pause()
"""


class Fake:
    """A program made of a line of Python."""

    name = "fake"
    role = "worker"
    metrics_port = None

    def __init__(self, code: str = WAIT, grace: float = 10.0, *, once: bool = False) -> None:
        self.code = code
        self.once = once
        self.stop_signals = ((signal.SIGTERM, grace),)
        self.refusal: Exception | None = None
        self.stranger: ServerError | None = None  # what answers in its place
        self.cleared = 0

    def command(self) -> Command:
        if self.refusal:
            raise self.refusal
        return Command((sys.executable, "-c", self.code), {})

    def ready(self, age: float) -> bool:
        return age >= 0

    def ensure_own(self, pid: int) -> None:
        assert psutil.pid_exists(pid)
        if self.stranger:
            raise self.stranger

    def clear(self) -> None:
        self.cleared += 1


Make = Callable[[Fake], Child]


@pytest.fixture
def events() -> Events:
    return SimpleQueue()


@pytest.fixture
def make(tmp_path: Path, events: Events) -> Make:
    (tmp_path / "logs").mkdir()
    return lambda program: Child(program, Home(tmp_path), events)


def run_until(child: Child, events: Events, state: ProcessState) -> None:
    """Do what the supervisor's loop does."""
    while child.state is not state:
        due = child.wake - time.monotonic()
        if due > 0:
            try:
                event = events.get(timeout=min(due, 30))
            except Exception:  # noqa: BLE001, S110 - nothing happened until it was due
                pass
            else:
                event()
        child.tick()


def test_runs_once_it_is_ready_and_stops_when_asked(make: Make, events: Events) -> None:
    child = make(Fake())
    child.start()
    assert child.status.state is ProcessState.STARTING
    run_until(child, events, ProcessState.RUNNING)
    assert child.up
    pid = child.status.pid
    assert pid is not None
    assert child.status.started == pytest.approx(psutil.Process(pid).create_time())
    child.stop(limit=60)
    assert child.status.state.value == "stopping"
    run_until(child, events, ProcessState.STOPPED)
    assert child.exit_status == -signal.SIGTERM
    assert child.status.pid is None


def test_each_death_in_a_row_doubles_the_wait_up_to_half_a_minute(make: Make) -> None:
    program = Fake()
    program.refusal = ServerError("no")
    child = make(program)
    waits = []
    for _ in range(10):
        child.start()
        assert child.state is ProcessState.BACKING_OFF
        waits.append(child.wake - time.monotonic())
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30], abs=0.2)
    assert child.error is program.refusal


def test_a_death_after_a_long_life_counts_as_the_first(make: Make, events: Events) -> None:
    child = make(Fake("raise SystemExit(3)"))
    child.failures = 6
    child.start()
    child._born -= 3600
    events.get(timeout=30)()
    assert child.exit_status == 3
    assert child.failures == 1


def test_starts_again_after_a_death(make: Make, events: Events) -> None:
    program = Fake("raise SystemExit(3)")
    child = make(program)
    child.start()
    run_until(child, events, ProcessState.BACKING_OFF)
    program.code = WAIT
    run_until(child, events, ProcessState.RUNNING)
    child.stop(limit=60)
    run_until(child, events, ProcessState.STOPPED)


def test_what_does_not_end_is_killed_with_its_children_after_its_grace(
    make: Make, events: Events, tmp_path: Path
) -> None:
    program = Fake(DEAF, grace=0.2)
    child = make(program)
    child.start()
    run_until(child, events, ProcessState.RUNNING)
    log = tmp_path / "logs" / "fake.log"
    while not log.read_text().endswith("\n"):
        assert child.status.pid is not None
    grandchild = psutil.Process(int(log.read_text()))
    child.stop(limit=60)
    run_until(child, events, ProcessState.STOPPED)
    assert child.exit_status == -signal.SIGKILL
    while lives(grandchild):
        pass
    assert program.cleared == 1


def test_a_hurried_stop_does_not_wait_for_the_grace(make: Make, events: Events, tmp_path: Path) -> None:
    child = make(Fake(DEAF, grace=3600))
    child.start()
    while not (tmp_path / "logs" / "fake.log").read_text():
        assert child.status.pid is not None
    child.stop(limit=3600)
    child.hurry(limit=0.1)
    run_until(child, events, ProcessState.STOPPED)
    assert child.exit_status == -signal.SIGKILL


@pytest.mark.parametrize(("code", "done"), [("", True), ("raise SystemExit(1)", False)])
def test_a_step_is_done_only_when_it_went_well(make: Make, events: Events, code: str, *, done: bool) -> None:
    child = make(Fake(code, once=True))
    child.start()
    assert not child.up
    run_until(child, events, ProcessState.STOPPED)
    assert child.done is child.up is done


def test_a_program_that_never_will_be_ready_is_ended(make: Make, events: Events) -> None:
    program = Fake()
    child = make(program)
    hopeless = ServerError("the password does not fit")

    def never(age: float) -> bool:
        assert age >= 0
        raise hopeless

    program.ready = never  # type: ignore[method-assign]
    child.start()
    run_until(child, events, ProcessState.BACKING_OFF)
    assert child.error is hopeless


def test_what_another_program_answers_for_is_ended(make: Make, events: Events) -> None:
    program = Fake()
    program.stranger = ServerError("its port is taken")
    child = make(program)
    child.start()
    run_until(child, events, ProcessState.BACKING_OFF)
    assert child.error is program.stranger
    before = child.was_up
    program.stranger = None  # it has gone
    run_until(child, events, ProcessState.RUNNING)
    assert (before, child.was_up) == (False, True)
    child.stop(limit=60)
    run_until(child, events, ProcessState.STOPPED)


def test_what_was_never_started_stops_at_once(make: Make) -> None:
    child = make(Fake())
    child.stop(limit=60)
    assert child.state is ProcessState.STOPPED
