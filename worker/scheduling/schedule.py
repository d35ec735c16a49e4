"""A schedule as it can fire: its fire times, those of them that get a job, and that job."""

import random
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

import msgspec

from worker.contract.rights import Rights
from worker.enqueue import Enqueuer, Submission
from worker.scheduling.definition import MOST, Definition
from worker.scheduling.rule import Rule

# A fire time that is no older was not missed, whatever the policy: a beat may restart, or be held up.
LATE = timedelta(minutes=1)

_NOBODY = UUID(int=0)


class Due(msgspec.Struct, frozen=True):
    """What a look at a schedule finds."""

    times: list[datetime]  # that get a job, in order
    missed: datetime | None = None  # the latest of those that passed and get none


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring rule, checked."""

    name: str
    definition: Definition
    rule: Rule
    submission: Submission

    @classmethod
    def of(cls, name: str, definition: Definition) -> Self:
        """A schedule that can fire.

        Raises:
            Refused: no fire time can follow from the definition.
        """
        rule = Rule(definition)
        return cls(name=name, definition=definition, rule=rule, submission=definition.submission(name))

    def check(self, enqueuer: Enqueuer, rights: Rights | None = None) -> None:
        """See that its jobs could be accepted now.

        Args:
            enqueuer: which would accept them.
            rights: the kinds that may be submitted; None: all.

        Raises:
            Refused: a field of them is out of range.
        """
        enqueuer.prepare(self.submission, _NOBODY, request_id=None, rights=rights or Rights())

    def next(self, moment: datetime) -> datetime | None:
        """The first fire time later than a moment; None: there is no more."""
        return next(self.rule.after(moment), None)

    def due(self, settled: datetime, now: datetime) -> Due:
        """Which of the fire times later than `settled` and not later than `now` get a job.

        Those that are on time do, `MOST` at most; of those that were missed, as `missed` says.
        """
        passed = self.rule.newest(settled, now, MOST)
        on_time = [fire_at for fire_at in passed if now - fire_at <= LATE]
        missed = passed[: len(passed) - len(on_time)]
        if self.definition.missed == "all":
            return Due([*missed[max(0, len(missed) - self.definition.limit) :], *on_time])
        if self.definition.missed == "one" and not on_time:
            return Due(missed[-1:])
        return Due(on_time, missed[-1] if missed and self.definition.missed == "skip" else None)

    def job_at(self, fire_at: datetime) -> Submission:
        """The request for work of a firing, due at its fire time or a random moment after it."""
        late = timedelta(seconds=random.uniform(0, self.definition.jitter))  # noqa: S311 - no secret
        return msgspec.structs.replace(self.submission, scheduled_at=fire_at + late)
