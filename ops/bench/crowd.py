"""Clients that ask one after the other on kept connections, as many at once as there are connections.

One loop over plain sockets: on a machine of two cores whoever asks takes from who answers, and this takes a
fraction of what a client library would. It is the same for every contender, and looks at every answer.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec

from ops.bench import memory
from ops.bench.course import Invalid
from ops.bench.figures import quantile

COST = "processor ms a job"

Address = tuple[str, int]
Whole = Callable[[bytes], bytes | None]

_READ = 65536  # bytes
_SILENCE = 30.0  # seconds without any answer


class Taken(msgspec.Struct, frozen=True):
    """What a crowd got."""

    answers: list[bytes]
    latencies: list[float]  # seconds
    seconds: float  # until the last answer
    processor: float  # seconds of it that all servers and processes took meanwhile, the crowd itself left out

    def figures(self, each: int = 1) -> dict[str, float]:
        """How many a second, how long one took, and what it cost.

        Args:
            each: what one answer counts for.
        """
        return {
            "per second": each * len(self.answers) / self.seconds,
            "p50 ms": 1000 * quantile(self.latencies, 0.5),
            "p99 ms": 1000 * quantile(self.latencies, 0.99),
            COST: 1000 * self.processor / (each * len(self.answers)),
        }


class _Lane:
    """A connection with one question on its way."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.sent = 0.0
        self._buffer = b""

    def ask(self, question: bytes) -> None:
        self._buffer = b""
        self.sent = time.perf_counter()
        self.socket.sendall(question)

    def read(self) -> bytes:
        """All that came of the answer so far."""
        self._buffer += _read(self.socket)
        return self._buffer


def ask(
    address: Address,
    questions: Iterator[bytes],
    whole: Whole,
    *,
    connections: int,
    seconds: float,
    greeting: bytes = b"",
) -> Taken:
    """Ask for so many seconds, and wait for the answers that are under way then.

    Args:
        address: of the server.
        questions: each is sent once; where they end, so does the asking.
        whole: the answer that some bytes are, or None where more must come.
        connections: at once.
        seconds: to go on asking.
        greeting: sent first on each connection.

    Raises:
        Invalid: the server hung up, fell silent, or answered what `whole` refuses.
    """
    answers: list[bytes] = []
    latencies: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        lanes = [_Lane(stack.enter_context(_connected(address, greeting))) for _ in range(connections)]
        before = memory.others()
        began = last = time.perf_counter()
        for lane, question in zip(lanes, questions, strict=False):
            selector.register(lane.socket, selectors.EVENT_READ, lane)
            lane.ask(question)
        while selector.get_map():
            for lane in _ready(selector):
                answer = whole(lane.read())
                if answer is None:
                    continue
                last = time.perf_counter()
                answers.append(answer)
                latencies.append(last - lane.sent)
                following = next(questions, None) if last - began < seconds else None
                if following is None:
                    selector.unregister(lane.socket)
                else:
                    lane.ask(following)
    return Taken(answers, latencies, last - began, memory.others() - before)


def _connected(address: Address, greeting: bytes) -> socket.socket:
    connection = socket.create_connection(address, timeout=_SILENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if greeting:
        connection.sendall(greeting)
        _read(connection)
    return connection


def _ready(selector: selectors.BaseSelector) -> list[_Lane]:
    ready = selector.select(_SILENCE)
    if not ready:
        raise Invalid(f"no answer for {_SILENCE:g} s")
    return [key.data for key, _ in ready]


def _read(connection: socket.socket) -> bytes:
    received = connection.recv(_READ)
    if not received:
        raise Invalid("the server hung up")
    return received
