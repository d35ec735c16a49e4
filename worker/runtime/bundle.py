"""A bundle: the jobs of one message on their way through one process, from the wish to claim them to the end.

A job alone is a bundle of one. Two threads look at it: the one that runs its handlers, and the attendant,
which tells the ledger what ended while a handler goes on, and breaks it off where one does not return. So
what may begin, what ended and what goes back is decided under a lock, and nothing is written under it:
telling the ledger the same word twice is harmless, for the claim's token fences it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import msgspec

from worker.contract.states import State
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.runtime.bookkeeping import Answers, Batch

HELD = 1.0  # seconds that an outcome may wait for others before the ledger learns of it
LONGEST = 5.0  # seconds after which a bundle begins no further job: somebody else may have a slot free
FRESH = 0.5  # seconds for which a claim counts as seen; before a job begins later, the claim is repeated


class Bundle:
    """Who is to be claimed, who waits, who runs, whose outcome is held, and who goes back unbegun."""

    def __init__(self, wishes: Sequence[Claim], clock: Callable[[], float] = time.monotonic) -> None:
        """Args: clock: seconds that only grow, also while the process is stopped."""
        self.alone = len(wishes) == 1
        self._clock = clock
        self._lock = threading.Lock()
        self._wishes = {wish.job_id: wish for wish in wishes}  # of all that have not begun
        self._waiting: list[ClaimedJob] = []  # claimed; the next one last
        self._running: ClaimedJob | None = None
        self._held: dict[UUID, Outcome] = {}  # ended; the ledger does not know
        self._returning: dict[UUID, ClaimedJob] = {}  # will not begin; the ledger does not know
        self._began = self._seen = self._told = clock()
        self.recorded: dict[UUID, Outcome] = {}  # each with the state that the ledger recorded
        self.refused: list[Outcome] = []  # their jobs had been taken away

    def wishes(self) -> list[Claim]:
        """The claims of all that have not begun."""
        with self._lock:
            return list(self._wishes.values())

    def claimed(self, jobs: Iterable[ClaimedJob]) -> None:
        """Note which of the wishes were met: the others are not to be had, or were taken away."""
        with self._lock:
            met = {job.id: job for job in jobs}
            self._wishes = {job_id: wish for job_id, wish in self._wishes.items() if job_id in met}
            self._waiting = [met[job_id] for job_id in reversed(self._wishes)]
            self._seen = self._clock()

    def begin(self) -> ClaimedJob | None:
        """The next job to run; None where there is none."""
        with self._lock:
            if not self._waiting:
                return None
            self._running = self._waiting.pop()
            del self._wishes[self._running.id]
            return self._running

    def end(self, outcome: Outcome) -> None:
        """Note what the running job ended in, until the ledger learns of it."""
        with self._lock:
            if not self._held:
                self._told = self._clock()
            self._held[outcome.job_id] = outcome
            self._running = None

    def break_off(self) -> None:
        """Begin nothing more: what waits goes back."""
        with self._lock:
            self._returning |= {job.id: job for job in self._waiting}
            self._waiting, self._wishes = [], {}

    @property
    def took_long(self) -> bool:
        """Whether others should get what still waits."""
        return self._clock() - self._began > LONGEST

    @property
    def stale(self) -> bool:
        """Whether the claims of what waits were seen too long ago to begin on them."""
        return bool(self._waiting) and self._clock() - self._seen > FRESH

    def unsaid(self, least: float = 0.0) -> Batch:
        """What the ledger is to be told: nothing while outcomes are all, and held for less than `least`."""
        with self._lock:
            if not self._returning and self._clock() - self._told < least:
                return Batch()
            return Batch(outcomes=list(self._held.values()), returned=list(self._returning.values()))

    def said(self, batch: Batch, answers: Answers) -> None:
        """Note that the ledger was told."""
        with self._lock:
            for job in batch.returned:
                self._returning.pop(job.id, None)
            for outcome in batch.outcomes:
                if self._held.pop(outcome.job_id, None):
                    self._note(outcome, answers.recorded.get(outcome.job_id))
            self._told = self._clock()

    def _note(self, outcome: Outcome, state: State | None) -> None:
        if state is None:
            self.refused.append(outcome)
        else:
            self.recorded[outcome.job_id] = msgspec.structs.replace(outcome, state=state)

    def in_hand(self) -> set[UUID]:
        """The jobs between the wish to claim them and the ledger's knowledge of how it went on."""
        with self._lock:
            running = {self._running.id} if self._running else set()
            return running | set(self._wishes) | set(self._held) | set(self._returning)
