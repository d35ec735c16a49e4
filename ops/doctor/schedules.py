"""The schedules: whether those of files are in order, and whether all that the ledger has can fire."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from ops.doctor.finding import Finding, guarded
from ops.doctor.ledger import AWAY
from schedules import files
from schedules.permissions import Permissions
from worker import catalog
from worker.catalog import Catalog
from worker.contract import KindError
from worker.enqueue import Enqueuer, Refused, Submission
from worker.ledger import clients, schedules
from worker.ledger.engines import Ledger
from worker.ledger.schedules import Stored
from worker.scheduling import Definition, Schedule
from worker.settings import Settings

_LATE = timedelta(minutes=3)
_SHOWN = 20  # of each finding
_PAGE = 1000


_DEFINITIONS = msgspec.json.Decoder(Definition)


class _Mute(NamedTuple):
    """What schedules that make no jobs have in common."""

    client: str
    kind: str
    reason: str  # and what to do


def examine_schedules(settings: Settings) -> Iterator[Finding]:
    """Read the files as a beat does when it starts, and look at what the ledger has."""
    folders = [files.SHIPPED, *([Path(settings.schedules)] if settings.schedules else [])]
    try:
        kinds = catalog.load(settings.kind_packages)
        enqueuer = Enqueuer(kinds, plain_http=settings.callback_http)
        found = files.load(folders, enqueuer)
    except (files.ScheduleError, KindError) as error:
        yield Finding("schedules", good=False, text=str(error))
    else:
        yield Finding("schedules", good=True, text=f"{len(found)} in order")
        if settings.database_url is not None:
            yield from guarded("schedules", lambda: _examine_firing(settings, found, kinds, enqueuer), AWAY)


def _examine_firing(
    settings: Settings, found: Sequence[Schedule], kinds: Catalog, enqueuer: Enqueuer
) -> Iterator[Finding]:
    read: set[str] = set()
    late: list[Stored] = []
    mute: Counter[_Mute] = Counter()
    operators = catalog.of_operators(kinds)
    with closing(Ledger.open(settings, "doctor")) as ledger, ledger.write() as connection:
        until = schedules.now(connection) - _LATE
        for page in _pages(connection):
            read |= {stored.name for stored in page if stored.from_file}
            late += [stored for stored in page if stored.next_fire_at and stored.next_fire_at < until]
            mute.update(_mute(connection, page, operators, enqueuer))
    yield from map(_unread, sorted({schedule.name for schedule in found} - read))
    yield from map(_overdue, late[:_SHOWN])
    yield from (_makes_nothing(what, count) for what, count in sorted(mute.items())[:_SHOWN])


def _pages(connection: Connection) -> Iterator[Sequence[Stored]]:
    before = None
    while page := schedules.page(connection, None, _PAGE, before=before):
        yield page
        before = page[-1].id


def _mute(
    connection: Connection, page: Sequence[Stored], operators: frozenset[str], enqueuer: Enqueuer
) -> Iterator[_Mute]:
    """Of each schedule whose next firing will be skipped, why."""
    permissions = Permissions(connection, page, operators)
    names = clients.names_of(connection, {stored.client_id for stored in page})
    for stored in page:
        wish = _wish(stored) if stored.next_fire_at else None
        reason = _refusal(permissions, enqueuer, stored, wish) if wish else None
        if wish and reason:
            yield _Mute(names[stored.client_id], wish.kind, reason)


def _wish(stored: Stored) -> Submission | None:
    try:
        return _DEFINITIONS.decode(stored.definition).submission(stored.name)
    except msgspec.ValidationError:  # a later version wrote it
        return None


def _refusal(permissions: Permissions, enqueuer: Enqueuer, stored: Stored, wish: Submission) -> str | None:
    try:
        permissions.require(stored, wish.kind)
    except Refused:
        return "no good key of this client may submit that; `jobyard keys add`"
    try:
        enqueuer.prepare(wish, stored.client_id, request_id=None)
    except Refused as refused:
        return f"{refused}; change or delete them"
    return None


def _unread(name: str) -> Finding:
    """A beat that starts puts each file that it finds into the ledger."""
    text = "does not fire: no beat has read its file; start `jobyard beat` with the same JOBYARD_SCHEDULES"
    return Finding(f"schedule {name}", good=False, text=text)


def _overdue(stored: Stored) -> Finding:
    """A beat that looks at a schedule notes when it fires next, unless it cannot read it."""
    text = (
        f"should have fired at {stored.next_fire_at:%FT%TZ}; start `jobyard beat`, or see what its log says"
        " (`schedule_unreadable`, `schedule_failing`)"
    )
    return Finding(f"schedule {stored.name}", good=False, text=text)


def _makes_nothing(what: _Mute, count: int) -> Finding:
    text = f"{count} of {what.kind} make no jobs: {what.reason}"
    return Finding(f"schedules of {what.client}", good=False, text=text)
