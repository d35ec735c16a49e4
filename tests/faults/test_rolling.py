"""Every role is restarted while clients submit: no request fails, and no attempt is spent."""

import signal
from collections.abc import Iterable
from contextlib import closing
from itertools import count
from pathlib import Path

import psutil

from ops.chaos import ending
from ops.chaos.api import Api
from ops.chaos.checker import judge
from ops.chaos.crew import ALL_WORKERS, send
from ops.chaos.history import Journal, Read, Submitted, read
from ops.chaos.load import Clients
from ops.chaos.mix import Wish
from ops.chaos.rig import Rig
from tests.awaiting import eventually
from tests.faults.bystander import KINDS

RATE = 8.0


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
            for names in (("api",), ALL_WORKERS, ("beat", "flower")):
                restart(rig, names)
        finally:
            submitting.stop(20.0)
        ending.await_quiet(api, 30.0)
        tries = [event for event in read([clients]) if isinstance(event, Submitted)]
        ending.read_all(api, tries, journal)
    history = list(read([clients, runs]))
    assert judge(history).valid
    assert {tried.status for tried in tries if tried.failure != "refused"} == {202}
    outcomes = {past.outcome for event in history if isinstance(event, Read) for past in event.history}
    assert outcomes <= {"succeeded", "handed_back"}


def restart(rig: Rig, names: Iterable[str]) -> None:
    """SIGTERM, and wait until the next ones do their work."""
    before = {name: rig.crew.main(name) for name in names}
    send(filter(None, before.values()), signal.SIGTERM)
    eventually(lambda: all(_is_another(rig, name, main) for name, main in before.items()), 60.0)


def _is_another(rig: Rig, name: str, main: psutil.Process | None) -> bool:
    now = rig.crew.main(name)
    return now is not None and now != main
