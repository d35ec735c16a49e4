"""`/v1/schedules`: saving schedules, listing them, and changing them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from api.acting import whose
from api.answers import answer, revalidate
from api.applications import Request, Response
from api.bodies import decode, read_json
from api.errors import Problem
from api.filters import ClientName
from api.idempotency import IdempotencyKey, idempotency_key, remembered
from api.queries import page_start, page_token, query
from api.schedule_view import ListedSchedule, Schedule, SchedulePage, schedule_path
from api.scheduling import (
    ScheduleWish,
    find_schedule,
    never,
    note_act,
    require_few,
    require_no_file,
    schedule_of,
)
from worker.contract import Scope
from worker.enqueue import Enqueuer, require_right
from worker.ledger import clients, firings, schedules
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.schedules import Stored
from worker.scheduling import Schedule as Rule

_WISHES = msgspec.json.Decoder(ScheduleWish)


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which schedules to list."""

    name: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z0-9_-]{1,64}$(?!\n)",
                extra={"misfit": "is no schedule's name: up to 64 small letters, digits, `_` and `-`"},
            ),
        ]
        | None,
        Meta(description="Only the schedule of this name."),
    ] = None
    client: Annotated[
        ClientName | None,
        Meta(description="Whose, by the client's name, or `*` for everybody's: keys with `operate`."),
    ] = None
    page_size: Annotated[int, Meta(ge=1, le=200, description="Schedules a page.")] = 50
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="`next_page_token` of the page before.")
    ] = None


class Schedules:
    """The schedules of a client.

    Args:
        ledger: has them.
        enqueuer: checks the jobs that they will make.
        largest: bytes that a schedule may have.
    """

    def __init__(self, ledger: Ledger, enqueuer: Enqueuer, largest: int) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._largest = largest

    def on_post(self, req: Request, resp: Response) -> None:
        """Save a new one, which begins now."""
        body = read_json(req, self._largest)
        key = idempotency_key(req, body)
        client: Client = req.context.client
        wish = decode(body, _WISHES)
        rule = wish.checked(self._enqueuer, client)
        with self._ledger.write() as connection:
            stored = self._earlier(connection, client, key, new_id()) if key else new_id()
            if isinstance(stored, UUID):
                require_few(connection, client.id)
                stored = _new(connection, stored, client.id, wish, rule)
        _answer(req, resp, 201, stored)
        resp.location = schedule_path(stored.id)

    def on_get(self, req: Request, resp: Response) -> None:
        """List them, newest first."""
        asked = query(req, ScheduleQuery)
        client: Client = req.context.client
        owner_id = whose(self._ledger, client, asked.client)
        before = page_start(asked.page_token) if asked.page_token is not None else None
        with self._ledger.write() as connection:  # what was saved a moment ago must not be missing
            rows = schedules.page(connection, owner_id, asked.page_size + 1, name=asked.name, before=before)
            names = {}
            if owner_id != client.id:
                names = clients.names_of(connection, {row.client_id for row in rows})
        shown = rows[: asked.page_size]
        more = page_token(shown[-1].id) if len(rows) > len(shown) else None
        listed = [ListedSchedule.of(row, names.get(row.client_id)) for row in shown]
        answer(resp, 200, SchedulePage(listed, more))

    on_head = on_get

    def _earlier(
        self, connection: Connection, client: Client, key: IdempotencyKey, made: UUID
    ) -> Stored | UUID:
        """The schedule that a key stands for; the id, where the key is new."""
        earlier = remembered(connection, client.id, key, made)
        if earlier is None:
            return made
        stored = schedules.find(connection, earlier, client.id)
        if stored is None:
            raise Problem(
                409,
                "this Idempotency-Key stands for a schedule that was deleted; take a new key",
                code="idempotency-key-pruned",
            )
        return stored


class OneSchedule:
    """A schedule.

    Args:
        ledger: has it.
        enqueuer: checks the jobs that it will make.
        largest: bytes that it may have.
    """

    def __init__(self, ledger: Ledger, enqueuer: Enqueuer, largest: int) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._largest = largest

    def on_get(self, req: Request, resp: Response, schedule_id: str) -> None:
        """Read it, with the fire times to come."""
        with self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, req.context.client)
        _answer(req, resp, 200, stored)
        revalidate(req, resp)

    on_head = on_get

    def on_put(self, req: Request, resp: Response, schedule_id: str) -> None:
        """Put another in its place, which begins now; its firings stay."""
        client: Client = req.context.client
        wish = decode(read_json(req, self._largest), _WISHES)
        rule = wish.checked(self._enqueuer, client)
        with _unique(wish.name), self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, client, lock=True)
            require_no_file(stored)
            enabled = stored.enabled if wish.enabled is None else wish.enabled
            _replace(connection, _said(stored, rule), rule if enabled else None)
            note_act(connection, "schedule.change", stored, client)
            stored = find_schedule(connection, schedule_id, client)
        _answer(req, resp, 200, stored)

    def on_delete(self, req: Request, resp: Response, schedule_id: str) -> None:
        """Delete it; the jobs that it made stay."""
        client: Client = req.context.client
        with self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, client, lock=True)
            require_no_file(stored)
            schedules.remove(connection, stored.id)
            note_act(connection, "schedule.delete", stored, client)
        resp.status = 204


class Switch:
    """The enabling, or the disabling, of a schedule.

    Args:
        ledger: has it.
        enabled: which of both.
    """

    def __init__(self, ledger: Ledger, *, enabled: bool) -> None:
        self._ledger = ledger
        self._enabled = enabled

    def on_post(self, req: Request, resp: Response, schedule_id: str) -> None:
        """Do it; what is enabled owes nothing for the time before. Again: nothing changes."""
        client: Client = req.context.client
        with self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, client, lock=True)
            rule = self._rule(stored, client)
            if stored.enabled is not self._enabled:
                _replace(connection, stored, rule)
                act = "schedule.enable" if self._enabled else "schedule.disable"
                note_act(connection, act, stored, client)
            stored = find_schedule(connection, schedule_id, client)
        _answer(req, resp, 200, stored)

    def _rule(self, stored: Stored, client: Client) -> Rule | None:
        """What it shall fire by; None: it shall not, so it need not be one that it can fire by."""
        if not self._enabled:
            return None
        rule = schedule_of(stored)
        require_right(rule.definition.kind, client.rights)
        return rule


def _new(connection: Connection, id_: UUID, client_id: UUID, wish: ScheduleWish, rule: Rule) -> Stored:
    now = schedules.now(connection)
    next_fire_at = rule.next(now)
    if next_fire_at is None:
        raise never(rule)
    enabled = wish.enabled is not False
    stored = Stored(
        id=id_,
        client_id=client_id,
        name=wish.name,
        definition=msgspec.json.encode(rule.definition).decode(),
        enabled=enabled,
        from_file=False,
        fired_until=now,
        next_fire_at=next_fire_at if enabled else None,
        created_at=now,
        updated_at=now,
    )
    if not schedules.add(connection, stored):
        raise _taken(wish.name)
    return stored


def _said(stored: Stored, rule: Rule) -> Stored:
    """A schedule with another rule."""
    definition = msgspec.json.encode(rule.definition).decode()
    return msgspec.structs.replace(stored, name=rule.name, definition=definition)


def _replace(connection: Connection, stored: Stored, rule: Rule | None) -> None:
    """Put a schedule in the place of what was there; None: it does not fire."""
    next_fire_at = rule.next(schedules.now(connection)) if rule else None
    if rule and next_fire_at is None:
        raise never(rule)
    new = msgspec.structs.replace(stored, enabled=rule is not None, next_fire_at=next_fire_at)
    schedules.replace(connection, new)
    if rule is None:
        firings.skip_waiting(connection, stored.key, "disabled")


def _answer(req: Request, resp: Response, status: int, stored: Stored) -> None:
    client: Client = req.context.client
    answer(resp, status, Schedule.full(stored, readable=client.scopes.allow(Scope.READ)))


@contextmanager
def _unique(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise _taken(name) from error


def _taken(name: str) -> Problem:
    return Problem(
        409,
        f"this client has a schedule {name} already; change that one by PUT, or delete it",
        code="schedule-name-held",
    )
