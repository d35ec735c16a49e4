"""The judge: holds what was accepted against what came of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise

import msgspec

from ops.chaos.excuses import Excuses
from ops.chaos.history import AnyEvent, Read, Submitted
from ops.chaos.past import Past, Run

FINAL = frozenset({"succeeded", "failed", "cancelled"})

_CUT_OFF = frozenset({"lost", "handed_back"})  # outcomes of attempts that others ended
_LEFT = 0  # the exit status of a process that ended because it wanted to


class Violation(msgspec.Struct, frozen=True, order=True):
    """A broken promise."""

    job: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed."""

    attempts: int  # tries to submit
    unanswered: int  # submissions that were given up without an answer
    accepted: int  # jobs that were answered with 202
    ok: int  # of these, ended as is right for them
    lost: list[Violation]  # accepted, and not to be read, or without an end, or without their work
    unexpected: list[Violation]  # ended otherwise, or twice, or nobody asked for them
    overlapping: list[Violation]  # two runs at once, both by workers that were well
    doubled: list[Violation]  # keyed effects that happened twice
    repeated: int  # runs beyond the first that no retry explains
    late: int  # runs of workers that could not know that these jobs were taken from them; refused
    condemned: int  # jobs that faults killed as often as a killer dies, and that ended as one
    recovered: int  # jobs that a fault cut off, and that ended right
    recovery_seconds: list[float]  # from the last sign of a run that was cut off to the start of the next
    faults: dict[str, int]
    died: list[str]  # processes that ended badly though no fault and no killer ended them

    @property
    def valid(self) -> bool:
        """Whether there was a promise, it held, and no process died that nobody had struck."""
        broken = self.lost or self.unexpected or self.overlapping or self.doubled
        return self.accepted > 0 and not broken and not self.died


def judge(events: Iterable[AnyEvent]) -> Verdict:
    """Judge a history.

    A job is *lost* where a client was told 202 and afterwards cannot read it, or finds it without an end,
    or finds it succeeded though no run came to its end. Two runs *overlap* where the older one gave a sign
    of life after the younger one began, unless the older one's process was kept from knowing that its job
    had been taken away: then it is *late*, and whatever came of it must have been refused.
    """
    past = Past(events)
    excuses = Excuses(past)
    accepted = past.accepted
    lost = list(_lost(past))
    unexpected = list(_unexpected(past, excuses))
    pairs = list(_simultaneous(past))
    late = list(_late(past, excuses, pairs))
    bad = {violation.job for violation in (*lost, *unexpected)}
    cut_off = [
        (older, younger)
        for older, younger in _successions(past)
        if past.outcome(older) in _CUT_OFF and older.job not in past.deadly
    ]
    return Verdict(
        attempts=sum(map(len, past.submissions.values())),
        unanswered=sum(all(tried.job is None for tried in tries) for tries in past.submissions.values()),
        accepted=len(accepted),
        ok=len(accepted.keys() - bad),
        lost=lost,
        unexpected=unexpected + list(_words_of_the_late(past, late)),
        overlapping=[
            Violation(older.job, f"attempts {older.attempt} and {younger.attempt} ran at once")
            for older, younger in pairs
            if not excuses.goes_on(older, younger.start)
        ],
        doubled=[
            Violation(key, f"its effect happened {count} times")
            for key, count in past.effects.items()
            if count > 1
        ],
        repeated=sum(max(0, len(runs) - _explained(past, job)) for job, runs in past.runs_of.items()),
        late=len(late),
        condemned=sum(_condemned(past, excuses, job) for job in accepted),
        recovered=len({older.job for older, _ in cut_off} - bad),
        recovery_seconds=sorted(
            round(younger.start - older.seen, 3) for older, younger in cut_off if older not in late
        ),
        faults=dict(Counter(fault.name for fault in past.faults)),
        died=[
            f"{died.name} (pid {died.pid}, exit status {died.exit_status})"
            for died in past.died
            if died.exit_status != _LEFT and not excuses.died(died)
        ],
    )


def _lost(past: Past) -> Iterator[Violation]:
    for job, submitted in past.accepted.items():
        read = past.reads.get(job)
        if read is None or read.status != 200:  # noqa: PLR2004 - of HTTP
            yield Violation(job, f"accepted, and answered with {read and read.status} afterwards")
        elif read.state not in FINAL and read.state not in submitted.expected:
            yield Violation(job, f"still {read.state} after the quiet period")
        elif submitted.noted and read.state == "succeeded" and not past.was_done(job, read):
            yield Violation(job, "succeeded without a run that had come to its end")
        elif submitted.keyed and read.state == "succeeded" and not past.effects[submitted.key]:
            yield Violation(job, "succeeded without its effect")


def _unexpected(past: Past, excuses: Excuses) -> Iterator[Violation]:
    for job, submitted in past.accepted.items():
        read = past.reads.get(job)
        if read is not None and read.state in FINAL and not _condemned(past, excuses, job):
            yield from _wrong_end(past, excuses, submitted, read)
    for key, tries in past.submissions.items():
        jobs = {tried.job for tried in tries if tried.job is not None}
        for other in sorted(jobs)[1:]:
            yield Violation(other, f"a second job of the Idempotency-Key {key}")
    for told in past.told:
        read = past.reads.get(told.job)
        if told.state in FINAL and read and read.state != told.state:
            yield Violation(told.job, f"{read.state} in the end, after its client was told {told.state}")
    for job in past.runs_of.keys() - past.accepted.keys() - _unanswered(past):
        yield Violation(job, "ran, and nobody was told of it")
    yield from _unexplained_runs(past, excuses)


def _wrong_end(past: Past, excuses: Excuses, submitted: Submitted, read: Read) -> Iterator[Violation]:
    """An end that is not right for a job, or that nothing led to."""
    failed = read.state == "failed"
    if read.state not in submitted.expected or (failed and read.error not in submitted.errors):
        right = " or ".join((*submitted.expected, *submitted.errors))
        yield Violation(read.job, f"{read.state} ({read.error}), expected {right}")
    elif failed and read.error == "Lost" and not excuses.killer(read.job):
        yield Violation(read.job, "ended as a killer, and not every loss has a cause")
    elif failed and read.error != "Lost" and submitted.noted and not _failed_by_itself(past, read):
        yield Violation(read.job, f"failed ({read.error}) without having run")


def _condemned(past: Past, excuses: Excuses, job: str) -> bool:
    """Whether a job that is none ended as a killer, and all its losses were of others' making."""
    read = past.reads.get(job)
    ended_so = read is not None and (read.state, read.error) == ("failed", "Lost")
    return ended_so and "Lost" not in past.accepted[job].errors and excuses.killer(job)


def _failed_by_itself(past: Past, read: Read) -> bool:
    """Whether its last attempt failed, and each one that did was a run."""
    failures = [attempted.attempt for attempted in read.history if attempted.outcome == "failed"]
    last = max((attempted.attempt for attempted in read.history), default=None)
    return last in failures and all(past.runs_in(read.job, attempt) for attempt in failures)


def _unexplained_runs(past: Past, excuses: Excuses) -> Iterator[Violation]:
    """Runs that no claim accounts for: a claim is one attempt, one run, and over when the attempt is."""
    for job, runs in past.runs_of.items():
        for attempt, count in Counter(run.attempt for run in runs).items():
            if count > 1:
                yield Violation(job, f"attempt {attempt} ran {count} times")
    for run in past.runs.values():
        read = past.reads.get(run.job)
        if read is None or read.status != 200:  # noqa: PLR2004 - of HTTP
            continue
        attempted = past.attempted(run)
        if attempted is None:
            yield Violation(run.job, f"attempt {run.attempt} ran, and its history knows none")
        elif (ended := past.too_late(run)) is not None and not excuses.goes_on(run, ended):
            yield Violation(run.job, f"attempt {run.attempt} began to run after it had ended")


def _unanswered(past: Past) -> set[str]:
    """Jobs that may stand behind a submission of which no answer ever came."""
    open_ends = [tries for tries in past.submissions.values() if all(tried.job is None for tried in tries)]
    strangers = past.runs_of.keys() - past.accepted.keys()
    return set(strangers) if len(strangers) <= len(open_ends) else set()


def _simultaneous(past: Past) -> Iterator[tuple[Run, Run]]:
    for runs in past.runs_of.values():
        for older, younger in combinations(sorted(runs, key=_turn), 2):
            if older.seen > younger.start and younger.seen > older.start:
                yield older, younger


def _successions(past: Past) -> Iterator[tuple[Run, Run]]:
    for runs in past.runs_of.values():
        yield from pairwise(sorted(runs, key=_turn))


def _turn(run: Run) -> tuple[int, float]:
    """The order in which runs were claimed, which is not that of their starts where a worker was stopped."""
    return run.attempt, run.start


def _late(past: Past, excuses: Excuses, pairs: Iterable[tuple[Run, Run]]) -> Iterator[Run]:
    """Runs that went on, or began, after their jobs were taken from workers that could not know it."""
    beside = {older.id for older, younger in pairs if excuses.goes_on(older, younger.start)}
    for run in past.runs.values():
        ended = past.too_late(run)
        if run.id in beside or (ended is not None and excuses.goes_on(run, ended)):
            yield run


def _words_of_the_late(past: Past, late: Iterable[Run]) -> Iterator[Violation]:
    for run in late:
        if (outcome := past.outcome(run)) not in _CUT_OFF:
            yield Violation(run.job, f"attempt {run.attempt} counted as {outcome}, though it was cut off")


def _explained(past: Past, job: str) -> int:
    """How many runs the job's own history accounts for as its own: the first, and one after each failure."""
    read = past.reads.get(job)
    failures = [attempted for attempted in read.history if attempted.outcome == "failed"] if read else []
    last_word = read is not None and read.state == "failed" and bool(failures)
    return len(failures) + (0 if last_word else 1)
