"""A wire that can be cut: a TCP proxy on loopback."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self

_PIECE = 65536

# socket(7); https://docs.kernel.org/networking/filter.html
_SO_ATTACH_FILTER = 26
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF_RET | BPF_K: keep no byte of it


class Proxy:
    """Forwards connections to a server on loopback until it is told otherwise."""

    def __init__(self, port: int) -> None:
        """Args: port: of the server."""
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Task[None]] = set()
        self._swallowing = False
        self.port = 0

    def __enter__(self) -> Self:
        """Begin to forward."""
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Close every connection and refuse new ones: the server died."""
        self._do(self._cut())

    def restore(self) -> None:
        """Let new connections through again, on the same port; what fell silent stays so."""
        self._do(self._listen())

    def silence(self) -> None:
        """Swallow what the open connections carry without closing them: the way to the server is gone.

        New connections get through.
        """
        self._do(self._silence())

    def swallow(self) -> None:
        """Swallow what open and new connections carry: the server hangs. `restore` ends it."""
        self._do(self._swallow())

    def lose(self) -> None:
        """Drop each packet of the open connections before it is acknowledged: their route is gone.

        Unlike `silence` it is seen by the kernels of both ends. New connections get through. Linux only.
        """
        self._do(self._lose())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._swallowing = False
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            for listening in self._server.sockets:
                self._loop.remove_reader(listening)
            await asyncio.sleep(
                0
            )  # what was accepted by now needs an open server, or asyncio never closes it
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        # A connection that is being accepted finds the wire cut, and is closed.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)

    async def _silence(self) -> None:
        self._silent |= self._tasks

    async def _swallow(self) -> None:
        self._swallowing = True
        await self._silence()

    async def _lose(self) -> None:
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _drop_all())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._server is None:  # cut meanwhile
            writer.transport.abort()
            far_writer.transport.abort()
            return
        for source, target in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(target)
            task = self._loop.create_task(self._forward(source, target))
            self._tasks.add(task)
            if self._swallowing:
                self._silent.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(self._silent.discard)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while piece := await source.read(_PIECE):
                    if asyncio.current_task() not in self._silent:
                        target.write(piece)
                        await target.drain()
        finally:
            self._writers.discard(target)
            target.close()


def _drop_all() -> bytes:
    """A `struct sock_fprog` of one instruction."""
    return struct.pack("HP", 1, ctypes.addressof(_DROP))
