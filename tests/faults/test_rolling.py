"""Every role is restarted while clients submit: no request fails, and no attempt is spent."""

import json
import signal
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path

import psutil

from ops.chaos import ending
from ops.chaos.api import Api
from ops.chaos.checker import judge
from ops.chaos.crew import ALL_WORKERS, send
from ops.chaos.history import AnyEvent, Journal, Read, Submitted, read
from ops.chaos.load import Clients
from ops.chaos.mix import Wish
from ops.chaos.past import Past
from ops.chaos.rig import Rig
from ops.embedded.home import Home
from tests.awaiting import eventually
from tests.faults.bystander import KINDS

ROLES = (("api",), ALL_WORKERS, ("beat", "flower"))
RATE = 8.0
USUAL = 6.0  # seconds from a submission to the start, while nothing is restarted


def test_a_rolling_restart_fails_no_request_and_spends_no_attempt(rig: Rig, tmp_path: Path) -> None:
    runs = tmp_path / "runs.jsonl"
    runs.touch()
    wishes = (
        Wish(
            key=f"rolling-{number}",
            kind=f"chaos.{KINDS[number % 5]}",
            payload={"journal": str(runs), "seconds": 1.0 if number % 7 == 0 else 0.0},
        )
        for number in count()
    )
    clients = tmp_path / "clients.jsonl"
    with closing(Journal(clients)) as journal, closing(Api(rig.api_port, rig.key, 16)) as api:
        submitting = Clients(api, wishes, RATE, 16, journal)
        submitting.start()
        try:
            drained = max(restart(rig, names) for names in ROLES)
        finally:
            submitting.stop(20.0)
        ending.await_quiet(api, 60.0)
        tries = [event for event in read([clients]) if isinstance(event, Submitted)]
        ending.read_all(api, tries, journal)
    history = list(read([clients, runs]))
    assert judge(history).valid
    assert {tried.status for tried in tries if tried.failure != "refused"} == {202}
    assert max(lateness(history)) <= drained + USUAL
    outcomes = {past.outcome for event in history if isinstance(event, Read) for past in event.history}
    assert outcomes <= {"succeeded", "handed_back"}


def test_every_role_exits_without_an_error_and_leaves_no_metrics_behind(rig: Rig) -> None:
    names = [name for names in ROLES for name in names]
    before = {name: {process.pid for process in rig.crew.family(name)} for name in names}
    restart(rig, names)
    told = {process for family in before.values() for process in family}
    assert exit_statuses(rig, told) == dict.fromkeys(names, 0)
    for name, family in before.items():
        assert not family & metrics_kept(rig, name), name


def exit_statuses(rig: Rig, processes: set[int]) -> dict[str, int]:
    """With what these processes ended, by name, as the supervisor noted it."""
    with Home(rig.home).log("supervisor").with_suffix(".jsonl").open() as lines:
        noted = [json.loads(line) for line in lines]
    return {
        line["name"]: line["exit_status"]
        for line in noted
        if "exit_status" in line and line["pid_"] in processes
    }


def metrics_kept(rig: Rig, name: str) -> set[int]:
    """The processes of which a role still has metrics."""
    return {int(file.stem.rsplit("_", 1)[1]) for file in Home(rig.home).metrics(name).glob("*.db")}


def lateness(history: Iterable[AnyEvent]) -> list[float]:
    """Seconds from the acceptance of each job to the start of the run that came to its end."""
    past = Past(history)
    starts = {run.job: run.start for run in past.runs.values() if run.done}
    return [starts[job] - submitted.at for job, submitted in past.accepted.items()]


def restart(rig: Rig, names: Iterable[str]) -> float:
    """SIGTERM, and wait until the next ones do their work; the seconds that it took."""
    told_at = time.monotonic()
    before = {name: rig.crew.main(name) for name in names}
    send(filter(None, before.values()), signal.SIGTERM)
    eventually(lambda: all(_is_another(rig, name, main) for name, main in before.items()), 120.0)
    return time.monotonic() - told_at


def _is_another(rig: Rig, name: str, main: psutil.Process | None) -> bool:
    now = rig.crew.main(name)
    return now is not None and now != main
