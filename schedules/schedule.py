"""Schedules: what to enqueue, and when; one TOML file each, named after the schedule."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from schedules.cron import Cron, CronError
from worker.enqueue import Enqueuer, Refused, Submission, submission

SHIPPED = Path(__file__).parent / "defined"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

# What `missed = "skip"` forgives, so that a restart of the only beat skips nothing.
LATE = timedelta(minutes=1)
BATCH = 500

Missed = Literal["skip", "one", "all"]


class ScheduleError(ValueError):
    """A schedule's file is not valid; the message names the file and the reason."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file says."""

    kind: str
    cron: Annotated[str, Meta(description="Five fields, or six with seconds first.")]
    timezone: Annotated[str, Meta(description="IANA name.")] = "UTC"
    missed: Annotated[
        Missed, Meta(description="Which fire times that passed without a beat are made up.")
    ] = "one"
    payload: dict[str, Any] = {}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring rule."""

    name: str
    cron: Cron
    missed: Missed  # skip: none; one: the latest; all: each of them
    submission: Submission

    def due(self, settled: datetime, now: datetime) -> list[datetime]:
        """The fire times later than `settled` and not later than `now` that get a job, at most `BATCH`."""
        if self.missed == "all":
            times = takewhile(lambda fire_at: fire_at <= now, self.cron.after(settled))
            return list(islice(times, BATCH))
        latest = self.cron.latest(settled, now)
        if latest is None or (self.missed == "skip" and now - latest > LATE):
            return []
        return [latest]

    def next(self, now: datetime) -> datetime:
        """The first fire time later than `now`."""
        return next(self.cron.after(now))


def load(folders: Iterable[Path], enqueuer: Enqueuer) -> list[Schedule]:
    """Read and check every schedule; of two files with the same name the later folder's stands.

    Raises:
        ScheduleError: a folder is missing, or a file is not valid.
    """
    files: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ScheduleError(f"{folder}: no such folder of schedules")
        files |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return [_load(path, enqueuer) for path in files.values()]


def _load(path: Path, enqueuer: Enqueuer) -> Schedule:
    try:
        return _schedule(path.stem, msgspec.toml.decode(path.read_bytes(), type=Definition), enqueuer)
    except (msgspec.DecodeError, UnicodeError, OSError, CronError, Refused, ScheduleError) as error:
        raise ScheduleError(f"{path}: {error}") from None


def _schedule(name: str, definition: Definition, enqueuer: Enqueuer) -> Schedule:
    if not NAME.fullmatch(name):
        raise ScheduleError("the name of the file is the schedule's: lower-case letters, digits, - and _")
    wish = submission(definition.kind, definition.payload, tags=[f"schedule:{name}"])
    enqueuer.prepare(wish, UUID(int=0), request_id=None)
    cron = Cron(definition.cron, definition.timezone)
    return Schedule(name=name, cron=cron, missed=definition.missed, submission=wish)
