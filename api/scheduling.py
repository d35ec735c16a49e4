"""Schedules as clients word them, and who may do what to which."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from api.errors import Problem
from api.identifiers import parse_id
from worker.enqueue import Enqueuer, Refused
from worker.ledger import audit, clients, schedules
from worker.ledger.clients import Client
from worker.ledger.schedules import Stored
from worker.scheduling import NAME, NO_NAME, Definition, Schedule

MOST_SCHEDULES = 1_000  # that a client may have
LARGEST = 64 * 1024  # bytes that one may have, for a beat holds hundreds of them and of their jobs at once


class _Known(Definition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """As much of a definition as this version knows: a later one may have written it."""


_DEFINITIONS = msgspec.json.Decoder(_Known)


class ScheduleWish(Definition, frozen=True, kw_only=True):
    """A schedule that is wanted: one of `cron`, `every` and `at`, and the job that each firing makes."""

    name: Annotated[
        Annotated[str, Meta(pattern=NAME, extra={"misfit": NO_NAME})],
        Meta(
            description="Unique among the client's own; its jobs carry the tag `schedule:NAME`.",
            examples=["weekday-rates"],
        ),
    ]
    enabled: Annotated[
        bool | None, Meta(description="Whether it fires; unset: as it is, and a new one does.")
    ] = None

    @property
    def definition(self) -> Definition:
        """What is said of its rule and its jobs."""
        return Definition(**{field: getattr(self, field) for field in Definition.__struct_fields__})

    def checked(self, enqueuer: Enqueuer, client: Client) -> Schedule:
        """The schedule, whose jobs this client's key might submit now.

        Raises:
            KindNotAllowed: its rights do not reach so far.
            Refused: a field is out of range.
        """
        schedule = Schedule.of(self.name, self.definition)
        schedule.check(enqueuer, client.rights)
        return schedule


def definition_of(stored: Stored) -> Definition:
    """What is said of a schedule."""
    return _DEFINITIONS.decode(stored.definition)


def schedule_of(stored: Stored) -> Schedule:
    """A schedule as it can fire."""
    return Schedule.of(stored.name, definition_of(stored))


def find_schedule(connection: Connection, schedule_id: str, client: Client, *, lock: bool = False) -> Stored:
    """A schedule that a client reaches, by the id in a path.

    Raises:
        Problem: 404, this client has no such schedule.
    """
    wanted = parse_id(schedule_id)
    stored = schedules.find(connection, wanted, client.reach, lock=lock) if wanted else None
    if stored is None:
        raise Problem(404, "there is no such schedule", code="no-such-schedule")
    return stored


def require_no_file(stored: Stored) -> None:
    """Let pass what a client saved.

    Raises:
        Problem: 409, a file says what it is.
    """
    if stored.from_file:
        raise Problem(
            409,
            f"a file says what the schedule {stored.name} is: change or remove that, and start beat again;"
            " it can be disabled here",
            code="schedule-of-file",
        )


def note_act(connection: Connection, act: str, stored: Stored, client: Client, **details: Any) -> None:
    """Tell the audit log of an act on another client's schedule."""
    if stored.client_id == client.id:
        return
    owner = clients.name_of(connection, stored.client_id)
    details |= {"client": owner, "key": str(client.key_id), "schedule": stored.name}
    audit.note(connection, f"client {client.name}", act, str(stored.id), **details)


def require_few(connection: Connection, client_id: UUID) -> None:
    """Let pass a client that may have one more.

    Raises:
        Problem: 422, it has as many as it may have.
    """
    if schedules.count(connection, client_id) >= MOST_SCHEDULES:
        raise Problem(
            422,
            f"this client has {MOST_SCHEDULES} schedules, and may have no more; delete some",
            code="too-many-schedules",
        )


def never(schedule: Schedule) -> Refused:
    """No fire time is to come."""
    field = "ends_at" if schedule.definition.at is None else "at"
    return Refused(field, "no fire time is to come, for this has passed; choose a later one")
