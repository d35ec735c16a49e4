"""What schedules fired, held against what they had to fire: firings that are missing, and doubles."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from rich.table import Table

from worker.contract.states import State


class Rule(msgspec.Struct, frozen=True):
    """A rule, and when it must fire."""

    words: str
    times: Sequence[datetime]


class Seen(msgspec.Struct, frozen=True):
    """What a client finds of one schedule."""

    fire_times: Sequence[datetime]
    late: Sequence[float]  # seconds from each fire time to its job
    jobs: Collection[str]  # of firings
    states: Mapping[str, str]  # of every job that carries the name of the schedule


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the schedules of one rule."""

    rule: str
    schedules: int
    expected: int  # firings
    missing: int
    double: int  # firings of one time beyond the first, and jobs of no firing
    unsuccessful: int  # jobs
    late_p99: float  # seconds
    late_most: float

    @property
    def right(self) -> bool:
        """Whether each firing made one job, and that succeeded."""
        return not (self.missing or self.double or self.unsuccessful)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    minutes: int
    kills: dict[str, int]  # of each beat
    rows: list[Row]

    @property
    def right(self) -> bool:
        """Whether nothing is missing or double, and more than one beat was killed."""
        return bool(self.rows) and all(row.right for row in self.rows) and len(self.kills) > 1


def rows(found: Sequence[tuple[Rule, Seen]], ran: Collection[str]) -> list[Row]:
    """A row for each rule, and one for all of them.

    Args:
        found: each schedule.
        ran: the jobs that a handler ran.
    """
    words = dict.fromkeys(rule.words for rule, _ in found)
    each = [_row(one, [pair for pair in found if pair[0].words == one], ran) for one in words]
    total = _row("all", found, ran)
    unknown = len(set(ran).difference(*(part for _, seen in found for part in (seen.states, seen.jobs))))
    return [*each, msgspec.structs.replace(total, double=total.double + unknown)]


def _row(words: str, found: Sequence[tuple[Rule, Seen]], ran: Collection[str]) -> Row:
    late = sorted(seconds for _, seen in found for seconds in seen.late) or [0.0]
    return Row(
        rule=words,
        schedules=len(found),
        expected=sum(len(rule.times) for rule, _ in found),
        missing=sum(len(set(rule.times) - set(seen.fire_times)) for rule, seen in found),
        double=sum(
            len(seen.fire_times) - len(set(seen.fire_times)) + len(set(seen.states) - set(seen.jobs))
            for _, seen in found
        ),
        unsuccessful=sum(
            seen.states.get(job) != State.SUCCEEDED or job not in ran
            for _, seen in found
            for job in seen.jobs
        ),
        late_p99=late[int(0.99 * (len(late) - 1))],
        late_most=late[-1],
    )


def table(found: Found) -> Table:
    """What a person reads."""
    killed = ", ".join(f"{name} killed {number} times" for name, number in found.kills.items())
    shown = Table(title=f"{found.minutes} minutes: {killed}")
    for heading in ("rule", "schedules", "firings", "missing", "double", "unsuccessful", "late p99", "most"):
        shown.add_column(heading, no_wrap=heading == "rule")
    for row in found.rows:
        numbers = (row.schedules, row.expected, row.missing, row.double, row.unsuccessful)
        shown.add_row(row.rule, *map(str, numbers), f"{row.late_p99:.2f} s", f"{row.late_most:.2f} s")
    return shown
