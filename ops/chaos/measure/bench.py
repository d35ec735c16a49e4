"""The bench: a platform, jobs that are submitted to it, and when they ran."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path

from ops.chaos.api import Api
from ops.chaos.history import Follower, Journal
from ops.chaos.past import Past, Run
from ops.chaos.rig import Rig

CONNECTIONS = 16

_LOOK = 0.5  # seconds between two looks at the runs
_FIRST_PACE = 60.0  # submissions a second, as long as nobody knows
_TELLING = 100  # submissions that tell the pace
_SPARE = 2.5  # others may load the machine meanwhile


class TooSlow(RuntimeError):  # noqa: N818 - reads as what it is
    """The machine is too slow, or the platform too broken, for a measurement to mean anything."""


class Bench:
    """Jobs of one platform.

    Args:
        rig: the platform.
        api: of it.
        folder: for the journals.
    """

    def __init__(self, rig: Rig, api: Api, folder: Path) -> None:
        self.rig = rig
        self.api = api
        self.runs_file = folder / "runs.jsonl"
        with closing(Journal(self.runs_file)):
            pass
        self._follower = Follower(self.runs_file)
        self._past = Past()
        self._folder = folder
        self._numbers = count()
        self._pace = _FIRST_PACE

    def new_file(self) -> Path:
        """A journal for clients."""
        return self._folder / f"clients-{next(self._numbers)}.jsonl"

    def submit(
        self, kind: str, number: int, *, seconds: float = 0.0, due: Callable[[int], float] | None = None
    ) -> list[str]:
        """Submit jobs as quickly as the API takes them.

        Args:
            kind: one of `ops.chaos.kinds`.
            number: how many.
            seconds: that each works.
            due: monotonic time of the n-th; unset: at once.

        Returns:
            Their ids, in the order of `due`.

        Raises:
            TooSlow: one was not accepted, or some came after they were due.
        """
        batch = next(self._numbers)
        payload = {"journal": str(self.runs_file), "seconds": seconds}

        def one(n: int) -> str:
            options = {} if due is None else {"scheduled_at": _wall_clock(due(n))}
            answer = self.api.submit(f"measure-{batch}-{n}", kind, payload, options)
            if answer.status != HTTPStatus.ACCEPTED:
                raise TooSlow(f"a submission in calm was answered with {answer.status or answer.failure}")
            return str(answer.body["id"])

        with ThreadPoolExecutor(CONNECTIONS) as clients:
            began = time.monotonic()
            jobs = list(clients.map(one, range(number)))
        if number >= _TELLING:
            self._pace = number / (time.monotonic() - began)
        if due is not None and time.monotonic() > due(0):
            raise TooSlow(f"{number} jobs could not be submitted before they were due")
        return jobs

    def ready(self, number: int) -> float:
        """The monotonic time by which so many are submitted, from what the machine did before."""
        return time.monotonic() + _SPARE * (1.0 + number / self._pace)

    def runs(self) -> Mapping[str, Sequence[Run]]:
        """The runs of each job so far, the first one first."""
        self._past.add(self._follower.more())
        return self._past.runs_of

    def await_done(self, jobs: Collection[str], patience: float) -> Mapping[str, Sequence[Run]]:
        """The runs, once every one of these jobs came to its end.

        Raises:
            TooSlow: some did not within `patience` seconds.
        """
        give_up_at = time.monotonic() + patience
        left = list(jobs)
        while True:
            runs = self.runs()
            left = [job for job in left if not any(run.done for run in runs.get(job, ()))]
            if not left:
                return runs
            if time.monotonic() > give_up_at:
                raise TooSlow(f"{len(left)} of {len(jobs)} jobs did not end within {patience:g} s")
            time.sleep(_LOOK)


def _wall_clock(moment: float) -> str:
    """A moment of the monotonic clock as the API takes it."""
    return datetime.fromtimestamp(moment - time.monotonic() + time.time(), UTC).isoformat()
