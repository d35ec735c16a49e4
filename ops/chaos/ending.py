"""The end of a run: wait until all is quiet, and read what became of everything."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from ops.chaos.api import Answer, Api
from ops.chaos.history import Attempted, Died, Effect, Event, Journal, Read, Submitted
from ops.chaos.rig import Rig

READERS = 8

_UNDER_WAY = ("queued", "running", "retrying")
_LOOK = 0.5  # seconds between two looks
_TRIES = 20


def await_quiet(api: Api, limit: float) -> float:
    """Wait until no job is under way any more; what lies in the far future may.

    Args:
        api: to ask.
        limit: seconds to wait at most.

    Returns:
        Seconds that it took; what is not quiet by then the checker finds.
    """
    began = time.monotonic()
    while time.monotonic() - began < limit:
        answers = [api.any_in(state) for state in _UNDER_WAY]
        if all(answer.status == HTTPStatus.OK and not answer.body["jobs"] for answer in answers):
            break
        time.sleep(_LOOK)
    return time.monotonic() - began


def read_all(api: Api, submitted: Iterable[Submitted], journal: Journal) -> None:
    """Read every accepted job as its client does, and note it."""
    ids = {tried.job for tried in submitted if tried.job is not None}
    with ThreadPoolExecutor(READERS) as readers:
        for read in readers.map(lambda job: _read(api, job), sorted(ids)):
            journal.note(read)


def note_effects(rig: Rig, journal: Journal) -> None:
    """Note what keyed jobs left behind."""
    for key in rig.effects():
        journal.note(Effect(at=time.monotonic(), key=key))


def note_deaths(rig: Rig, logs: Path, journal: Journal) -> None:
    """Note which processes died, as the supervisors wrote it down and whoever keeps these."""
    for file in sorted(logs.glob("supervisor*.jsonl")):
        for death in _deaths(file):
            journal.note(death)
    for died in rig.deaths:
        journal.note(died)


def _read(api: Api, job: str) -> Read:
    answer = api.job(job)
    for _ in range(_TRIES):
        if answer.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            break
        time.sleep(_LOOK)
        answer = api.job(job)
    return _of_answer(job, answer)


def _of_answer(job: str, answer: Answer) -> Read:
    error = answer.body.get("error")
    return Read(
        at=time.monotonic(),
        job=job,
        status=answer.status or 0,
        state=answer.body.get("state"),
        error=error["type"] if error else None,
        history=tuple(
            Attempted(
                attempt=entry["attempt"],
                outcome=entry["outcome"],
                began=_monotonic(entry["started_at"]),
                ended=_monotonic(entry["ended_at"]),
            )
            for entry in answer.body.get("history", ())
            if entry["event"] == "attempt"
        ),
    )


def _monotonic(moment: str | None) -> float | None:
    """A wall-clock time on the clock of the history."""
    if moment is None:
        return None
    return datetime.fromisoformat(moment).timestamp() + time.monotonic() - time.time()


def _deaths(file: Path) -> Iterator[Event]:
    for line in file.read_bytes().splitlines():
        told: dict[str, Any] = msgspec.json.decode(line)
        if told["event"] == "process died":
            yield Died(
                at=_monotonic(told["time"]) or 0.0,
                name=told["name"],
                pid=told["pid_"],
                exit_status=told["exit_status"],
            )
