"""Requests and answers, and what is tried again (ops/decisions/0016 says why urllib3).

A refused connection and a 429 say that nothing was done. A 503, and a connection that broke later, do not:
after them a request is repeated only where that is harmless, as it is for a submission under its key.
"""

import math
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import urllib3

_PATIENCE = 15.0  # seconds beyond the wait that was asked for
_TRIES = 6
_PAUSE = 0.2  # seconds before the second repetition, doubled with each that follows
_LONGEST_PAUSE = 60  # seconds, however long the API asks to stay away


class _Repetition(urllib3.Retry):
    """Repeats until a deadline: what could only begin later is not begun."""

    give_up_at = math.inf  # monotonic time

    def until(self, moment: float) -> Self:
        """The same with a deadline."""
        made = self.new()
        made.give_up_at = moment
        return made

    def new(self, **changes: Any) -> Self:
        """See `Retry.new`."""
        made = super().new(**changes)
        made.give_up_at = self.give_up_at
        return made

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: urllib3.connectionpool.ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """See `Retry.increment`; that it raises ends the repetitions."""
        pause = (self.get_retry_after(response) or 0.0) if response else 0.0
        if _pool and time.monotonic() + pause >= self.give_up_at:
            raise urllib3.exceptions.MaxRetryError(_pool, url or "", error)
        return super().increment(method, url, response, error, _pool, _stacktrace)


_REPEATABLE = _Repetition(
    total=_TRIES - 1,
    backoff_factor=_PAUSE,
    backoff_jitter=_PAUSE,
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE),
    allowed_methods=None,
    raise_on_status=False,
    retry_after_max=_LONGEST_PAUSE,
)
# Without the header, which would have a 503 repeated.
_ONCE = _REPEATABLE.new(
    read=False,
    other=False,
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS,),
    respect_retry_after_header=False,
)

_LOGIN = re.compile(r"//[^/]*@")  # a secret is for no error
_KEY = re.compile(r"[!-~]+")
# An API that refuses a body reads no more of it, and its answer may be lost with the connection.
_TOO_LARGE = "what was sent may be larger than it takes; "

T = TypeVar("T")


class Unreachable(Exception):  # noqa: N818 - a condition that callers expect
    """The API did not answer.

    Args:
        url: of the API.
        error: what happened instead.
    """

    def __init__(self, url: str, error: Exception) -> None:
        cause = error
        if isinstance(error, urllib3.exceptions.MaxRetryError):
            cause = error.reason or error  # of the last repetition
        broken = isinstance(cause, urllib3.exceptions.ProtocolError)
        super().__init__(
            f"{_LOGIN.sub('//', url)} {'broke off' if broken else 'does not answer'}"
            f" ({type(cause).__name__}): {_TOO_LARGE if broken else ''}look whether the platform is up"
            " (`jobyard status`; `jobyard up` starts one), and whether it listens there (the client's `url`,"
            " which commands take from JOBYARD_API_URL)"
        )


class _FieldError(msgspec.Struct, frozen=True):
    field: str
    reason: str


class ApiError(Exception):
    """The API refused a request.

    Args:
        status: of HTTP.
        problem: its answer (RFC 9457).
        retry_after: seconds that it asks to stay away, where it says.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str | None = None) -> None:
        self.status = status
        self.problem = problem
        self.retry_after = int(retry_after) if retry_after and retry_after.isdecimal() else None
        told = _details(problem.get("errors")) or problem.get("detail") or problem.get("title")
        super().__init__(told or f"HTTP {status}")


def _details(errors: object) -> str:
    """What is wrong with each field; nothing where a server on the way means other things by `errors`."""
    try:
        known = msgspec.convert(errors, list[_FieldError])
    except msgspec.ValidationError:
        return ""
    return "; ".join(f"{error.field}: {error.reason}" for error in known)


class Connection:
    """Talks to one API with one key; threads may share it."""

    def __init__(self, url: str, key: str, connections: int) -> None:
        _require_url(url)
        if not _KEY.fullmatch(key):
            raise ValueError("the API's key is empty, or holds a blank, a line's end or what is no ASCII")
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(
            maxsize=connections,
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.clear()

    def ask(
        self,
        type_: type[T],
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        wait: float = 0,
        once: bool = False,
        give_up_at: float = math.inf,
    ) -> T:
        """Send a request and decode its JSON.

        Args:
            type_: of the JSON.
            method: of HTTP.
            path: with its query.
            headers: of the request.
            body: of the request.
            wait: seconds for which the answer may be held back.
            once: repeat it only where nothing was done.
            give_up_at: monotonic time after which no repetition begins.

        Raises:
            ApiError: it was refused.
            Unreachable: there was no answer, or none of this API.
        """
        retries = (_ONCE if once else _REPEATABLE).until(give_up_at)
        with self._answer(method, path, headers, body, wait=wait, retries=retries) as answer:
            try:
                return msgspec.json.decode(answer.data, type=type_)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Unreachable(self._url, error) from error

    def tell(self, method: str, path: str) -> None:
        """Send a request whose answer says nothing, once; raises as `ask`."""
        with self._answer(method, path, retries=_ONCE):
            pass

    @contextmanager
    def download(self, path: str) -> Iterator[Iterator[bytes]]:
        """The pieces of a file; raises as `ask`."""
        with self._answer("GET", path, stream=True) as answer:
            yield answer.stream()

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        wait: float = 0,
        retries: urllib3.Retry = _REPEATABLE,
        stream: bool = False,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        try:
            answer = self._http.request(
                method,
                self._url + path,
                headers={**self._http.headers, **(headers or {})},
                body=body,
                timeout=wait + _PATIENCE,
                retries=retries,
                preload_content=not stream,
            )
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise ApiError(answer.status, _problem(answer.data), answer.headers.get("Retry-After"))
            with closing(answer):
                yield answer
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(self._url, error) from error


def _require_url(url: str) -> None:
    try:
        parts = urllib3.util.parse_url(url)
        good = parts.scheme in {"http", "https"} and parts.host and "?" not in url and "#" not in url
    except urllib3.exceptions.LocationParseError:
        good = False
    if not good:
        shown = _LOGIN.sub("//", url)
        raise ValueError(f"the API's URL is like http://127.0.0.1:8080, and {shown!r} is not")


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def posted(idempotency_key: str | None) -> dict[str, str]:
    """The headers of a request that makes something: JSON, under a key."""
    key = (idempotency_key or str(uuid.uuid4())).replace("\\", "\\\\").replace('"', '\\"')
    return {"Content-Type": "application/json", "Idempotency-Key": f'"{key}"'}  # a string of RFC 8941
