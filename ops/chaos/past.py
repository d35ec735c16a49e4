"""The events of a run, sorted by what they are about."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from ops.chaos.history import (
    Alive,
    AnyEvent,
    Attempted,
    Died,
    Done,
    Effect,
    Fault,
    Read,
    Started,
    Submitted,
    Told,
)

CLOCKS = 0.25  # seconds by which the ledger's clock may differ from ours


class Run(msgspec.Struct):
    """One run of a handler, as far as it was seen."""

    id: str
    job: str
    attempt: int
    pid: int
    start: float
    seen: float  # the last sign of it
    done: bool = False


class Past:
    """The events, sorted by what they are about.

    Args:
        events: by their time.
    """

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self.submissions: dict[str, list[Submitted]] = defaultdict(list)  # by key
        self.runs: dict[str, Run] = {}
        self.runs_of: dict[str, list[Run]] = defaultdict(list)  # by job
        self.effects: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.told: list[Told] = []
        self.died: list[Died] = []
        self.reads: dict[str, Read] = {}
        self.add(events)

    def add(self, events: Iterable[AnyEvent]) -> None:
        """Take later events in; to be done before the properties are read."""
        for event in events:
            self._take(event)

    def _take(self, event: AnyEvent) -> None:
        match event:
            case Submitted():
                self.submissions[event.key].append(event)
            case Started():
                run = Run(event.run, event.job, event.attempt, event.pid, event.at, event.at)
                self.runs[run.id] = run
                self.runs_of[run.job].append(run)
            case Alive() | Done():
                run = self.runs[event.run]
                run.seen = event.at
                run.done = isinstance(event, Done)
            case Effect():
                self.effects[event.key] += 1
            case Fault():
                self.faults.append(event)
            case Told():
                self.told.append(event)
            case Died():
                self.died.append(event)
            case Read():
                self.reads[event.job] = event

    @cached_property
    def accepted(self) -> Mapping[str, Submitted]:
        """The submission of each accepted job."""
        return {
            tried.job: tried
            for tries in self.submissions.values()
            for tried in tries
            if tried.job is not None
        }

    @cached_property
    def deadly(self) -> set[str]:
        """The killers among the jobs."""
        return {job for job, submitted in self.accepted.items() if submitted.deadly}

    def runs_in(self, job: str, attempt: int) -> list[Run]:
        """The runs of an attempt."""
        return [run for run in self.runs_of[job] if run.attempt == attempt]

    def attempted(self, run: Run) -> Attempted | None:
        """The attempt of a run, as the client read it."""
        read = self.reads.get(run.job)
        history = read.history if read else ()
        return next((attempted for attempted in history if attempted.attempt == run.attempt), None)

    def outcome(self, run: Run) -> str | None:
        """What the ledger has of a run."""
        attempted = self.attempted(run)
        return attempted.outcome if attempted else None

    def too_late(self, run: Run) -> float | None:
        """When the attempt of a run had ended, if that was before the run began."""
        attempted = self.attempted(run)
        ended = attempted.ended if attempted else None
        return ended if ended is not None and run.start > ended + CLOCKS else None

    def was_done(self, job: str, read: Read) -> bool:
        """Whether a run of the attempt that succeeded had come to its end when that was recorded."""
        ended = {past.attempt: past.ended for past in read.history if past.outcome == "succeeded"}
        return any(
            run.done and run.attempt in ended and run.seen <= (ended[run.attempt] or math.inf) + CLOCKS
            for run in self.runs_of[job]
        )
