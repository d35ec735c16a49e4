"""What faults explain, and when: a process that one of them stopped, cut off or ended."""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from signal import SIGTERM

import msgspec

from ops.chaos.history import Attempted, Died, Fault
from ops.chaos.past import CLOCKS, Past, Run

_NOTICES = 1.25  # seconds until a worker that is well again has asked the ledger what it still holds
_STOPS = 5.0  # seconds that a handler then gets to stop by itself
_RETURNS = 2.0  # seconds until somebody who could not reach the ledger has asked it, once he can
_TOLD = 10.0  # seconds within which a supervisor notes a death
_WAKES = 2.0  # seconds in which what was stopped may find that it waited too long, and end
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
        self._endings = self._killings + list(_spells(past.faults, lambda fault: fault.killed))
        self._leavings = list(_spells(past.faults, lambda fault: fault.asked))
        self._stops = list(_spells(past.faults, lambda fault: fault.stopped))
        self._cuts = list(_spells(past.faults, lambda fault: fault.cut_off))
        self._neglect = list(_spells(past.faults, lambda fault: fault.unrenewed))
        self._strikes = self._killings + list(_spells(filter(_at_workers, past.faults), _harmed))
        self._outages = [fault for fault in past.faults if fault.target == "ledger"]

    def goes_on(self, run: Run, taken: float) -> bool:
        """Whether a run may go on, or even begin, although its job was taken away by a certain moment.

        It may where its process was kept from knowing so, and no longer than it takes to learn it afterwards.
        """
        return any(
            spell.pid == run.pid
            and spell.since <= taken + CLOCKS
            and run.start <= knows_at
            and run.seen <= knows_at + _STOPS
            for spell, knows_at in self._knowing(taken)
        )

    def killer(self, job: str) -> bool:
        """Whether a job may have ended as a killer: so many losses, and each one has its cause."""
        read = self._past.reads[job]
        losses = [attempted for attempted in read.history if attempted.outcome == "lost"]
        return len(losses) >= _LOSSES and all(self._lost(job, loss) for loss in losses)

    def died(self, died: Died) -> bool:
        """Whether a fault or a killer ended a process when it died, or at least led to it."""
        return (
            _concerns(self._endings, died.pid, died.at - _TOLD, died.at)
            or _concerns(self._stops, died.pid, died.at - _WAKES, died.at)
            or (
                died.exit_status == -SIGTERM and _concerns(self._leavings, died.pid, died.at - _TOLD, died.at)
            )
        )

    def _knowing(self, taken: float) -> Iterator[tuple[Spell, float]]:
        """The times in which a process was kept from knowing what became of its jobs, and when it knew."""
        for spell in self._stops:
            yield spell, self._learned(spell.until)
        for spell in self._cuts:
            yield spell, self._learned(spell.until + _RETURNS - _NOTICES)
        for spell in self._neglect:
            yield spell, self._learned(min(spell.until, taken))

    def _learned(self, moment: float) -> float:
        """By when a worker that is well from then on has asked the ledger; that may be away meanwhile."""
        learned = moment + _NOTICES
        for outage in self._outages:
            if outage.at <= learned and moment <= outage.until:
                learned = max(learned, outage.until + _RETURNS)
        return learned

    def _lost(self, job: str, loss: Attempted) -> bool:
        """Whether an attempt was cut off: its run, or, before there was one, somewhere a worker."""
        ended = inf if loss.ended is None else loss.ended
        if runs := self._past.runs_in(job, loss.attempt):
            return any(self._cut_off(run, ended) for run in runs)
        began = -inf if loss.began is None else loss.began
        return any(strike.touches(began, ended) for strike in self._strikes)

    def _cut_off(self, run: Run, ended: float) -> bool:
        """Whether the process of a run was ended for good, or lost its lease, before its loss was noted."""
        return any(
            ending.pid == run.pid and ending.touches(run.start, ended) and run.seen <= ending.until + CLOCKS
            for ending in self._endings
        ) or _concerns(self._stops + self._cuts + self._neglect, run.pid, run.start, ended)


def _spells(faults: Iterable[Fault], pids: Callable[[Fault], Iterable[int]]) -> Iterator[Spell]:
    return (Spell(pid, fault.at, fault.until) for fault in faults for pid in pids(fault))


def _concerns(spells: Iterable[Spell], pid: int, began: float, ended: float) -> bool:
    return any(spell.pid == pid and spell.touches(began, ended) for spell in spells)


def _at_workers(fault: Fault) -> bool:
    return fault.target.startswith("worker-") or fault.target in {"all workers", "supervisor"}


def _harmed(fault: Fault) -> Iterable[int]:
    return (*fault.killed, *fault.stopped, *fault.cut_off, *fault.unrenewed)
