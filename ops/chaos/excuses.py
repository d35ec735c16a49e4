"""What faults explain, and when: a process that one of them stopped, cut off or ended."""

from collections.abc import Iterator
from math import inf

import msgspec

from ops.chaos.history import Attempted, Died, Fault
from ops.chaos.past import CLOCKS, Past, Run

_NOTICES = 1.25  # seconds until a worker that is well again has asked the ledger what it still holds
_STOPS = 5.0  # seconds that a handler then gets to stop by itself
_TOLD = 10.0  # seconds within which a supervisor notes a death
_LOSSES = 3  # of a job alone in its process, after which it ends as a killer


class Spell(msgspec.Struct, frozen=True):
    """A time in which something happened to a process."""

    pid: int
    since: float
    until: float

    def touches(self, began: float, ended: float) -> bool:
        """Whether it has a moment in common with another time, as far as clocks agree."""
        return self.since <= ended + CLOCKS and began <= self.until + CLOCKS


class Excuses:
    """What the faults of a run explain, and the killers among its jobs.

    Args:
        past: of the run.
    """

    def __init__(self, past: Past) -> None:
        self._past = past
        killers = [run for run in past.runs.values() if run.job in past.deadly]
        self._killings = [Spell(run.pid, run.start, run.seen) for run in killers]
        self._endings = self._killings + [
            Spell(pid, fault.at, fault.until) for fault in past.faults for pid in fault.killed
        ]
        self._pauses = [Spell(pid, fault.at, fault.until) for fault in past.faults for pid in fault.stopped]
        self._strikes = self._killings + list(_strikes_at_workers(past.faults))

    def goes_on(self, run: Run, taken: float) -> bool:
        """Whether a run may go on, or even begin, although its job was taken away by a certain moment.

        It may where its process was kept from knowing so, and no longer than it takes to learn it afterwards.
        """
        return any(
            pause.pid == run.pid
            and pause.since <= taken + CLOCKS
            and run.start <= pause.until + _NOTICES
            and run.seen <= pause.until + _NOTICES + _STOPS
            for pause in self._pauses
        )

    def killer(self, job: str) -> bool:
        """Whether a job may have ended as a killer: so many losses, and each one has its cause."""
        read = self._past.reads[job]
        losses = [attempted for attempted in read.history if attempted.outcome == "lost"]
        return len(losses) >= _LOSSES and all(self._lost(job, loss) for loss in losses)

    def died(self, died: Died) -> bool:
        """Whether a fault or a killer ended a process when it died."""
        return any(
            ending.pid == died.pid and ending.touches(died.at - _TOLD, died.at) for ending in self._endings
        )

    def _lost(self, job: str, loss: Attempted) -> bool:
        """Whether an attempt was cut off: its run, or, before there was one, somewhere a worker."""
        ended = inf if loss.ended is None else loss.ended
        if runs := self._past.runs_in(job, loss.attempt):
            return any(self._cut_off(run, ended) for run in runs)
        began = -inf if loss.began is None else loss.began
        return any(strike.touches(began, ended) for strike in self._strikes)

    def _cut_off(self, run: Run, ended: float) -> bool:
        """Whether the process of a run was ended for good, or stopped, before its loss was recorded."""
        return any(
            ending.pid == run.pid and ending.touches(run.start, ended) and run.seen <= ending.until + CLOCKS
            for ending in self._endings
        ) or any(pause.pid == run.pid and pause.touches(run.start, ended) for pause in self._pauses)


def _strikes_at_workers(faults: list[Fault]) -> Iterator[Spell]:
    for fault in faults:
        if fault.target.startswith("worker-") or fault.target in {"all workers", "supervisor"}:
            for pid in (*fault.killed, *fault.stopped):
                yield Spell(pid, fault.at, fault.until)
