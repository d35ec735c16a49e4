"""A web site whose pages take as long as their address says: `python -m ops.bench.slow PORT`.

`/SECONDS/NAME` answers after so many seconds with its own path, on loopback. One loop serves thousands.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ops.bench.ground import Ground
from ops.embedded.ports import answers, free_ports

_BACKLOG = 4096


@contextmanager
def site(place: Ground) -> Iterator[str]:
    """The site as a whole process; its URL."""
    (port,) = free_ports(1)
    with place.program((sys.executable, "-m", "ops.bench.slow", str(port)), name="slow") as process:
        process.wait(lambda: answers(port, "127.0.0.1", "/0/ready"))
        yield f"http://127.0.0.1:{port}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            await asyncio.sleep(float(path.split(b"/")[1]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
