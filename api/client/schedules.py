"""What a client can do with its schedules: save, change, run and delete them, and see what they fired."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from api.client.answers import Job
from api.client.connection import Connection, posted

_JSON = {"Content-Type": "application/json"}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring rule; in lists without payload, callback and next fire times."""

    id: str
    name: str
    enabled: bool
    from_file: bool = False
    next_fire_at: datetime | None = None
    next_fire_times: list[datetime] = []
    cron: str | None = None
    every: int | None = None
    at: datetime | None = None
    timezone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter: int = 0
    overlap: str
    missed: str
    limit: int
    kind: str
    payload: Any = None
    priority: str
    queue: str | None = None
    max_attempts: int | None = None
    tags: list[str] = []
    callback: str | None = None
    created_at: datetime
    updated_at: datetime
    client: str | None = None


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of a schedule: it `fired` a job, is `waiting`, or was `skipped` for a reason."""

    fire_at: datetime
    state: str
    fired_at: datetime | None = None
    by_hand: bool = False
    reason: str | None = None
    job_id: str | None = None
    job_state: str | None = None


class _SchedulePage(msgspec.Struct, frozen=True):
    schedules: list[Schedule]
    next_page_token: str | None = None


class _FiringPage(msgspec.Struct, frozen=True):
    firings: list[Firing]
    next_page_token: str | None = None


P = TypeVar("P", _SchedulePage, _FiringPage)


class Schedules:
    """The schedules of a client; a part of `Client`, which says what its methods raise."""

    def __init__(self, api: Connection) -> None:
        self._api = api

    def create(self, name: str, kind: str, payload: Any, **options: Any) -> Schedule:
        """Save a new one; options are further members of the request (`cron`, `timezone`, `overlap` …)."""
        body = _wish(name, kind, payload, options)
        return self._api.ask(Schedule, "POST", "/v1/schedules", posted(None), body)

    def replace(self, schedule_id: str, name: str, kind: str, payload: Any, **options: Any) -> Schedule:
        """Put another in the place of one."""
        body = _wish(name, kind, payload, options)
        return self._api.ask(Schedule, "PUT", _path(schedule_id), _JSON, body)

    def find(self, name: str) -> Schedule | None:
        """The client's own of this name, as lists show it; None: it has none."""
        return next(self.all(1, name=name), None)

    def read(self, schedule_id: str) -> Schedule:
        """One, with its payload and its next fire times."""
        return self._api.ask(Schedule, "GET", _path(schedule_id))

    def all(self, limit: int, **wanted: str) -> Iterator[Schedule]:
        """All of them, newest first, and no more than `limit`."""
        for page in self._pages(_SchedulePage, "/v1/schedules", limit, wanted):
            yield from page.schedules

    def firings(self, schedule_id: str, limit: int) -> Iterator[Firing]:
        """What one fired, newest first."""
        for page in self._pages(_FiringPage, _path(schedule_id, "/firings"), limit, {}):
            yield from page.firings

    def enable(self, schedule_id: str) -> Schedule:
        """Let it fire again."""
        return self._api.ask(Schedule, "POST", _path(schedule_id, "/enable"))

    def disable(self, schedule_id: str) -> Schedule:
        """Let it fire no more."""
        return self._api.ask(Schedule, "POST", _path(schedule_id, "/disable"))

    def run(self, schedule_id: str) -> Job:
        """Make a job of it now."""
        return self._api.ask(Job, "POST", _path(schedule_id, "/run"), posted(None))

    def delete(self, schedule_id: str) -> None:
        """Delete it; after a broken connection it is for the caller to look."""
        self._api.tell("DELETE", _path(schedule_id))

    def _pages(self, type_: type[P], path: str, limit: int, wanted: dict[str, str]) -> Iterator[P]:
        token = None
        while limit > 0:
            size = min(limit, 100)
            words = {**wanted, "page_size": str(size)} | ({"page_token": token} if token else {})
            page = self._api.ask(type_, "GET", f"{path}?{urlencode(words)}")
            yield page
            limit -= size
            token = page.next_page_token
            if not token:
                return


def _wish(name: str, kind: str, payload: Any, options: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"name": name, "kind": kind, "payload": payload, **options})


def _path(schedule_id: str, more: str = "") -> str:
    return f"/v1/schedules/{schedule_id}{more}"
