"""A wire that can be cut, and how its ends notice."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ops.chaos.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def connect(wire: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=0.3)


def answers(connection: socket.socket) -> bool:
    connection.sendall(b"hello")
    try:
        return connection.recv(5) == b"hello"
    except TimeoutError:
        return False


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_carries_what_is_said(wire: Proxy) -> None:
    with connect(wire) as connection:
        assert answers(connection)


def test_a_cut_wire_closes_connections_and_refuses_new_ones_until_it_is_restored(wire: Proxy) -> None:
    with connect(wire) as connection:
        assert answers(connection)
        wire.cut()
        assert is_closed(connection)
    with pytest.raises(ConnectionRefusedError):
        connect(wire)
    wire.restore()
    with connect(wire) as connection:
        assert answers(connection)


def test_a_connection_that_was_being_accepted_is_cut_too(
    wire: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaching, cut = threading.Event(), threading.Event()
    reach = asyncio.open_connection

    async def slowly(*where: Any) -> Any:
        reaching.set()
        await asyncio.to_thread(cut.wait)
        return await reach(*where)

    monkeypatch.setattr(asyncio, "open_connection", slowly)
    with connect(wire) as connection:
        assert reaching.wait(5)
        threading.Timer(0.1, cut.set).start()
        wire.cut()
        cut.set()
        assert is_closed(connection)


def test_a_silent_wire_swallows_what_open_connections_carry_and_lets_new_ones_through(wire: Proxy) -> None:
    with connect(wire) as old:
        assert answers(old)
        wire.silence()
        assert not answers(old)
        with connect(wire) as new:
            assert answers(new)


def test_a_swallowing_wire_lets_nothing_through_until_it_is_restored(wire: Proxy) -> None:
    with connect(wire) as old:
        assert answers(old)
        wire.swallow()
        assert not answers(old)
        with connect(wire) as new:
            assert not answers(new)
        wire.restore()
        assert not answers(old)  # what was swallowed is gone
        with connect(wire) as fresh:
            assert answers(fresh)


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        while heard := _hear(connection):
            connection.sendall(heard)


def _hear(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""
