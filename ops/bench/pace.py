"""Clients that submit at a steady pace, whatever the answers take, and wait for each result.

An open loop: a platform that slows down is asked no less often, so that its queue shows. What was sent late,
because too few connections were free, counts from when it should have been sent.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from ops.bench.course import Invalid
from ops.bench.crowd import Address

_CONNECTIONS = 400  # at most; each is opened when it is needed first
_PATIENCE = 60  # seconds that a result is waited for
_IDLE = 2.0  # seconds that a connection is kept for the next question; the API closes it after five


class Ended(msgspec.Struct, frozen=True):
    """One job that was waited for."""

    at: float  # seconds after the first was due
    seconds: float  # from when it was due to be sent until its result was there


class _Job(msgspec.Struct):
    state: str


def submit(
    address: Address, key: str, wish: Callable[[int], object], rate: float, seconds: float
) -> list[Ended]:
    """Submit so many jobs a second, with `Prefer: wait`.

    Args:
        address: of the API.
        key: of a client.
        wish: the n-th submission.
        rate: a second.
        seconds: for how long.

    Raises:
        Invalid: a job was refused, or did not succeed in time, or a connection was cut off.
    """
    try:
        return asyncio.run(_submit(_Clients(address, key), wish, rate, int(rate * seconds)))
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None


async def _submit(clients: "_Clients", wish: Callable[[int], object], rate: float, count: int) -> list[Ended]:
    began = time.perf_counter()

    async def one(number: int) -> Ended:
        due = number / rate
        await clients.run(msgspec.json.encode(wish(number)))
        return Ended(due, time.perf_counter() - began - due)

    tasks = []
    try:
        async with asyncio.TaskGroup() as group:  # the first fault ends all of it
            for number in range(count):
                await asyncio.sleep(began + number / rate - time.perf_counter())
                tasks.append(group.create_task(one(number)))
    finally:
        clients.close()
    return [task.result() for task in tasks]


class _Connection:
    """A connection that is kept from one question to the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._used = time.perf_counter()

    @property
    def usable(self) -> bool:
        """Whether the API still listens: what is idle for long it closes."""
        return not self._reader.at_eof() and time.perf_counter() - self._used < _IDLE

    async def ask(self, question: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer.

        Raises:
            Invalid: the connection was cut off.
        """
        self._writer.write(question)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]
            answer = await self._reader.readexactly(int(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Invalid(f"a connection was cut off: {error}") from error
        self._used = time.perf_counter()
        return head, answer

    def close(self) -> None:
        """Close it, if it is not."""
        self._writer.close()


class _Clients:
    """Kept connections, each with one question on its way."""

    def __init__(self, address: Address, key: str) -> None:
        self._address = address
        self._head = (
            f"POST /v1/jobs HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
            f"Prefer: wait={_PATIENCE}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    async def run(self, body: bytes) -> None:
        async with self._places:
            connection = self._kept() or await self._open()
            head, answer = await connection.ask(self._head + b"%d\r\n\r\n" % len(body) + body)
            if b"connection: close" in head.lower():
                self._close(connection)
            else:
                self._idle.append(connection)
            _require_success(head, answer)

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._close(connection)
        return None

    async def _open(self) -> _Connection:
        connection = _Connection(*await asyncio.open_connection(*self._address))
        self._all.add(connection)
        return connection

    def _close(self, connection: _Connection) -> None:
        self._all.discard(connection)
        connection.close()

    def close(self) -> None:
        for connection in self._all:
            connection.close()


def _require_success(head: bytes, answer: bytes) -> None:
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
        raise Invalid(f"answered {head[:80]!r} {answer[:300]!r}")
    state = msgspec.json.decode(answer, type=_Job).state
    if state != "succeeded":
        raise Invalid(f"a job was {state} after {_PATIENCE} s")
