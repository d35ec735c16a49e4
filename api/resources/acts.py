"""`/v1/jobs/cancel` and `/v1/jobs/retry`: acting on all jobs that fit a filter."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Row

from api.acting import Transition, act_on_all, whose
from api.answers import answer
from api.applications import Request, Response
from api.bodies import decode, read_json
from api.cooperation import breathe
from api.filters import NARROWING, Wanted, listing
from api.follower import Follower
from api.live_jobs import Cap
from api.queries import page_start, page_token
from api.representations import Job
from worker.contract.states import FINAL, LIVE, State
from worker.enqueue import Refused
from worker.ledger import jobs, transitions
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger

MOST = 10_000  # jobs that one request acts on
_PAGES = 20  # that one request looks at
_SLICE = 500  # jobs that one transaction changes
_LONGEST = 64 * 1024  # bytes of a filter

_AGAIN = frozenset(FINAL - {State.SUCCEEDED})


class FilteredAct(Wanted, frozen=True, kw_only=True):
    """Which jobs to act on, and whether to do it."""

    dry_run: Annotated[bool, Meta(description="Only say how many jobs are meant.")] = False
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="`next_page_token` of the answer before, to go on with older jobs."),
    ] = None


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    dry_run: Annotated[bool, Meta(description="As it was asked for.")]
    matched: Annotated[int, Meta(description="Jobs that are meant, and that can be acted on.")]
    changed: Annotated[int, Meta(description="Jobs that were cancelled, or run again; 0 in a dry run.")]
    next_page_token: Annotated[
        str | None, Meta(description="For `page_token`, where there is more to look at; null: that was all.")
    ]


_DECODER = msgspec.json.Decoder(FilteredAct)


class CancelJobs:
    """The cancelling of all jobs that fit.

    Args:
        ledger: cancels.
        follower: whose waiters learn of it at once.
    """

    def __init__(self, ledger: Ledger, follower: Follower[Job]) -> None:
        self._ledger = ledger
        self._follower = follower

    def on_post(self, req: Request, resp: Response) -> None:
        """Cancel them, or ask the workers of those that run to stop."""
        client: Client = req.context.client
        asked = _read(req, LIVE)
        meant, more = _meant(self._ledger, asked, client, LIVE)
        rows = [row for row in meant if row.cancel_requested_at is None]
        changed = 0
        for after in _acted(
            self._ledger, transitions.cancel_all, "jobs.cancel", asked=asked, rows=rows, client=client
        ):
            self._follower.waiters.wake(str(id_) for id_, state in after.items() if state in FINAL)
            changed += len(after)
        _answer(resp, asked, len(rows), changed, more)


class RetryJobs:
    """The re-running of all jobs that fit.

    Args:
        ledger: makes them queued again; dispatch publishes them.
        live_jobs: caps what a client has at once.
    """

    def __init__(self, ledger: Ledger, live_jobs: Cap) -> None:
        self._ledger = ledger
        self._live_jobs = live_jobs

    def on_post(self, req: Request, resp: Response) -> None:
        """Run them again, each under its id; those of kinds that the key may not submit are left alone."""
        client: Client = req.context.client
        asked = _read(req, _AGAIN)
        meant, more = _meant(self._ledger, asked, client, _AGAIN)
        # The oldest first, for others come after them.
        rows = [row for row in reversed(meant) if client.rights.allow(row.kind)]
        changed = 0
        if not asked.dry_run:
            changed = self._again(asked, rows, client)
        _answer(resp, asked, len(rows), changed, more)

    def _again(self, asked: FilteredAct, rows: Sequence[Row[Any]], client: Client) -> int:
        with self._live_jobs.admission() as admit:
            for owner_id, count in Counter(row.client_id for row in rows).items():
                admit(owner_id, count)
            acted = _acted(
                self._ledger, transitions.run_all_again, "jobs.retry", asked=asked, rows=rows, client=client
            )
            return sum(map(len, acted))


def _read(req: Request, states: frozenset[State]) -> FilteredAct:
    asked = decode(read_json(req, _LONGEST), _DECODER)
    if not asked.narrowing():
        raise Refused("body", f"a filter must ask for something: give at least one of {', '.join(NARROWING)}")
    if asked.state is not None and asked.state not in states:
        raise Refused("state", f"no {asked.state} job can be meant; one of {', '.join(sorted(states))} can")
    return asked


def _meant(
    ledger: Ledger, asked: FilteredAct, client: Client, states: frozenset[State]
) -> tuple[Sequence[Row[Any]], UUID | None]:
    """The jobs that fit, newest first, and where there may be more."""
    before = page_start(asked.page_token) if asked.page_token is not None else None
    wanted = asked.of(whose(ledger, client, asked.client, status=422), states)
    found: list[Row[Any]] = []
    for _ in range(_PAGES):
        with listing(), ledger.write() as connection:  # not of a replica, which may not have them yet
            page = jobs.page(connection, wanted, MOST - len(found), before)
        found += page.rows
        before = page.before
        if before is None or len(found) == MOST:
            break
        breathe()
    return found, before


def _acted(
    ledger: Ledger,
    transition: Transition,
    name: str,
    *,
    asked: FilteredAct,
    rows: Sequence[Row[Any]],
    client: Client,
) -> Iterator[Mapping[UUID, State]]:
    """Act on them; what became of some of one owner's, transaction by transaction."""
    for owner_id, ids in _slices([] if asked.dry_run else rows):
        with ledger.write() as connection:
            after = act_on_all(
                connection,
                transition,
                name,
                ids,
                client=client,
                owner_id=owner_id,
                filter=asked.narrowing(),
            )
        yield after
        breathe()


def _slices(rows: Sequence[Row[Any]]) -> Iterator[tuple[UUID, Sequence[UUID]]]:
    """Owners and some of their jobs, in the order of the rows."""
    owned: dict[UUID, list[UUID]] = {}
    for row in rows:
        owned.setdefault(row.client_id, []).append(row.id)
    for owner_id, ids in owned.items():
        for start in range(0, len(ids), _SLICE):
            yield owner_id, ids[start : start + _SLICE]


def _answer(resp: Response, asked: FilteredAct, matched: int, changed: int, more: UUID | None) -> None:
    token = None if more is None else page_token(more)
    answer(resp, 200, Acted(dry_run=asked.dry_run, matched=matched, changed=changed, next_page_token=token))
