"""`/healthz` and `/readyz`: for load balancers, supervisors and probes, without a key."""

from collections.abc import Callable
from threading import Condition
from typing import Annotated, Literal

import msgspec
from cachetools import TTLCache, cached
from msgspec import Meta
from sqlalchemy import text

from api.answers import answer
from api.applications import Request, Response
from api.errors import Problem
from worker.ledger.engines import Ledger

_ELSEWHERE = "1"  # seconds: another process serves, or this one's successor will soon
_FRESH = 1.0  # seconds for which a look at the ledger holds: anybody may ask, as often as they like


class Health(msgspec.Struct, frozen=True):
    """How the process is."""

    status: Annotated[
        Literal["alive", "ready", "degraded"], Meta(description="`degraded`: the broker is away.")
    ]


class Liveness:
    """Whether the process answers at all."""

    public = True

    def on_get(self, _req: Request, resp: Response) -> None:
        """Say so."""
        answer(resp, 200, Health("alive"))

    on_head = on_get


class Readiness:
    """Whether requests can be served: the ledger is needed, the broker may be away.

    Args:
        ledger: whose outage is answered as everywhere, with 503.
        broker_up: whether the broker answered lately; without it jobs are accepted, and published later.
        draining: whether the process stops, which a balancer learns here before the socket closes.
    """

    public = True

    def __init__(self, ledger: Ledger, broker_up: Callable[[], bool], draining: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._broker_up = broker_up
        self._draining = draining
        self._check = cached(TTLCache[object, None](1, _FRESH), condition=Condition())(self._ask)

    def on_get(self, _req: Request, resp: Response) -> None:
        """Check both."""
        if self._draining():
            raise Problem(503, "this process stops", headers={"Retry-After": _ELSEWHERE})
        self._check()
        answer(resp, 200, Health("ready" if self._broker_up() else "degraded"))

    on_head = on_get

    def _ask(self) -> None:
        with self._ledger.write() as connection:
            connection.execute(text("SELECT 1"))
