"""The schedules: whether those of files are in order, and whether all that the ledger has can fire."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from ops.doctor.finding import Finding, guarded
from ops.doctor.ledger import AWAY
from schedules import files
from schedules.permissions import Permissions
from worker import catalog
from worker.catalog import Catalog
from worker.contract import KindError
from worker.enqueue import Enqueuer, Refused
from worker.ledger import clients, schedules
from worker.ledger.engines import Ledger
from worker.ledger.schedules import Stored
from worker.scheduling import Schedule
from worker.settings import Settings

_LATE = timedelta(minutes=3)
_SHOWN = 20  # that are late
_PAGE = 1000


class _Wanted(msgspec.Struct, frozen=True):
    """What a definition says of its jobs; a later version may have other words for it."""

    kind: str | None = None


_WANTED = msgspec.json.Decoder(_Wanted)


def examine_schedules(settings: Settings) -> Iterator[Finding]:
    """Read the files as a beat does when it starts, and look at what the ledger has."""
    folders = [files.SHIPPED, *([Path(settings.schedules)] if settings.schedules else [])]
    try:
        kinds = catalog.load(settings.kind_packages)
        found = files.load(folders, Enqueuer(kinds))
    except (files.ScheduleError, KindError) as error:
        yield Finding("schedules", good=False, text=str(error))
    else:
        yield Finding("schedules", good=True, text=f"{len(found)} in order")
        if settings.database_url is not None:
            yield from guarded("schedules", lambda: _examine_firing(settings, found, kinds), AWAY)


def _examine_firing(settings: Settings, found: Sequence[Schedule], kinds: Catalog) -> Iterator[Finding]:
    read: set[str] = set()
    late: list[Stored] = []
    mute: Counter[tuple[str, str]] = Counter()
    with closing(Ledger.open(settings, "doctor")) as ledger, ledger.read() as connection:
        until = schedules.now(connection) - _LATE
        for page in _pages(connection):
            read |= {stored.name for stored in page if stored.from_file}
            late += [stored for stored in page if stored.next_fire_at and stored.next_fire_at < until]
            mute.update(_mute(connection, page, catalog.of_operators(kinds)))
    yield from map(_unread, sorted({schedule.name for schedule in found} - read))
    yield from map(_overdue, late[:_SHOWN])
    yield from (_without_right(*whose, count) for whose, count in sorted(mute.items()))


def _pages(connection: Connection) -> Iterator[Sequence[Stored]]:
    before = None
    while page := schedules.page(connection, None, _PAGE, before=before):
        yield page
        before = page[-1].id


def _mute(
    connection: Connection, page: Sequence[Stored], operators: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Client and kind of each schedule whose next firing will be skipped for want of a key."""
    permissions = Permissions(connection, page, operators)
    names = clients.names_of(connection, {stored.client_id for stored in page})
    for stored in page:
        kind = _WANTED.decode(stored.definition).kind
        if stored.next_fire_at and kind and not _may(permissions, stored, kind):
            yield names[stored.client_id], kind


def _may(permissions: Permissions, stored: Stored, kind: str) -> bool:
    try:
        permissions.require(stored, kind)
    except Refused:
        return False
    return True


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


def _without_right(client: str, kind: str, count: int) -> Finding:
    text = f"{count} of {kind} make no jobs: no good key of this client may submit that; `jobyard keys add`"
    return Finding(f"schedules of {client}", good=False, text=text)
