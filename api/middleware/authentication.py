"""API keys as bearer tokens (RFC 6750): who is asking.

A key that was found good is remembered for a few seconds, so that a submission costs one transaction and
not two. So a revoked key can live on for that long, in each process that has seen it. Keys that were not
good here lately are looked up a few at a time: whoever sends made-up ones holds up other strangers, and
neither the ledger nor those who are known.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Condition, Lock

from cachetools import TTLCache, cached
from loguru import logger
from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from api.applications import Params, Request, Response
from api.errors import Problem
from worker.contract.scopes import Scope
from worker.ledger.clients import Client, client_of_key, is_key, note_use
from worker.ledger.engines import Ledger

KEY_TTL = 5.0  # seconds

_REMEMBERED = 10_000  # keys
_STRANGERS = 2  # keys that were not good lately, looked up at once
_LATELY = 3600.0  # seconds
_PATIENCE = 2.0  # seconds for which a stranger stands in line
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,512})", re.IGNORECASE)


class Authentication:
    """Finds the client of each request, except where a resource says that it is `public`.

    Args:
        ledger: knows the keys' digests.
        operators: the kinds that need the scope `operate`.
        timer: tells the seconds for which a key is remembered.
        patience: seconds that an unknown key waits for its turn to be looked up.
    """

    def __init__(
        self,
        ledger: Ledger,
        operators: frozenset[str] = frozenset(),
        timer: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        self._ledger = ledger
        self._operators = operators
        # By digest, so that no key stays in memory. Of several requests with a new key one asks the ledger.
        self._client_of = cached(
            TTLCache[bytes, Client](_REMEMBERED, KEY_TTL, timer), key=_digest, condition=Condition()
        )(self._look_up)

        self._good_lately = TTLCache[bytes, bool](_REMEMBERED, _LATELY, timer)
        self._lock = Lock()
        self._turns = BoundedSemaphore(_STRANGERS)
        self._patience = patience

    def process_resource(self, req: Request, _resp: Response, resource: object, _params: Params) -> None:
        """Find the client.

        Raises:
            Problem: 401, there is no key, or it is not, or no longer, good.
        """
        if getattr(resource, "public", False) or req.method == "OPTIONS":
            return  # which methods there are the description tells anybody too
        given = _BEARER.fullmatch(req.get_header("Authorization") or "")
        if given is None:
            raise _unauthorized("key-missing", "send an API key: Authorization: Bearer jy_...", "Bearer")
        if not is_key(given[1]):
            raise _no_good_key()
        req.context.client = self._client_of(given[1])

    def _look_up(self, key: str) -> Client:
        with self._lock:
            known = _digest(key) in self._good_lately
        if known:
            return self._found(key)
        with self._turn():
            client = self._found(key)
        with self._lock:
            self._good_lately[_digest(key)] = True
        return client

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._patience):
            raise Problem(
                503,
                "more keys are being tried than are looked up at once; repeat the request",
                headers={"Retry-After": "1"},
            )
        try:
            yield
        finally:
            self._turns.release()

    def _found(self, key: str) -> Client:
        with self._ledger.write() as connection:
            client = client_of_key(connection, key)
        if client is None:
            with self._lock:
                self._good_lately.pop(_digest(key), None)
            raise _no_good_key()
        self._note_use(client)
        if client.scopes.allow(Scope.OPERATE):
            return client
        return replace(client, rights=replace(client.rights, withheld=self._operators))

    def _note_use(self, client: Client) -> None:
        # Apart, for a ledger that only reads for now still knows who may read.
        try:
            with self._ledger.write() as connection:
                note_use(connection, client.key_id)
        except SQLAlchemyError as error:
            logger.warning("key_use_not_noted", error=type(error).__name__)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _no_good_key() -> Problem:
    detail = "the API key is unknown, revoked or expired"
    return _unauthorized("key-not-good", detail, 'Bearer error="invalid_token"')


def _unauthorized(code: str, detail: str, challenge: str) -> Problem:
    return Problem(401, detail, code=code, headers={"WWW-Authenticate": challenge})
