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
        Invalid: a job was refused, or did not succeed in time.
    """
    return asyncio.run(_submit(_Clients(address, key), wish, rate, int(rate * seconds)))


async def _submit(clients: "_Clients", wish: Callable[[int], object], rate: float, count: int) -> list[Ended]:
    began, tasks = time.perf_counter(), []

    async def one(number: int) -> Ended:
        due = number / rate
        await clients.run(msgspec.json.encode(wish(number)))
        return Ended(due, time.perf_counter() - began - due)

    try:
        for number in range(count):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            tasks.append(asyncio.create_task(one(number)))
        return await asyncio.gather(*tasks)
    finally:
        clients.close()


class _Clients:
    """Kept connections, each with one question on its way."""

    def __init__(self, address: Address, key: str) -> None:
        self._address = address
        self._head = (
            f"POST /v1/jobs HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
            f"Prefer: wait={_PATIENCE}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._all: list[asyncio.StreamWriter] = []

    async def run(self, body: bytes) -> None:
        async with self._places:
            reader, writer = self._idle.pop() if self._idle else await self._open()
            writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]
            answer = await reader.readexactly(int(length))
            if b"connection: close" not in head.lower():
                self._idle.append((reader, writer))
            _require_success(head, answer)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._address)
        self._all.append(writer)
        return reader, writer

    def close(self) -> None:
        for writer in self._all:
            writer.close()


def _require_success(head: bytes, answer: bytes) -> None:
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
        raise Invalid(f"answered {head[:80]!r} {answer[:300]!r}")
    state = msgspec.json.decode(answer, type=_Job).state
    if state != "succeeded":
        raise Invalid(f"a job was {state} after {_PATIENCE} s")
