"""Free ports of this machine."""

import http
import http.client
import os
import secrets
import socket
from collections import deque

import psutil

# Below the ports from which Linux (32768) and macOS (49152) draw those of outgoing connections: a port
# picked there might be taken by the first connection that a neighbour opens before its server listens.
_RANGE = range(20_000, 32_000)
_TRIES = 1_000

_KEPT = 100  # signs of one process; what it drew before listens by now, or does not come
_reserved: deque[int] = deque()  # file descriptors


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: the last connections of a server that has just stopped do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Draw different ports that are free now, and that no other process draws while this one lives.

    Raises:
        OSError: this machine has hardly any left.
    """
    found: list[int] = []
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        port = secrets.choice(_RANGE)
        if is_free(port, host) and _reserve(port):
            found.append(port)
    raise OSError(f"found no {count} free ports from {_RANGE.start} to {_RANGE.stop - 1} on {host}")


def _reserve(port: int) -> bool:
    """Keep the UDP port of this number, which no server of ours wants, as a sign to others who draw."""
    sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sign.bind(("127.0.0.1", port))
    except OSError:
        sign.close()
        return False
    _reserved.append(sign.detach())
    if len(_reserved) > _KEPT:
        os.close(_reserved.popleft())
    return True


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there now."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def listens(pid: int, port: int) -> bool:
    """Whether that process, or a child of its, listens there; where the system does not tell, it does."""
    try:
        process = psutil.Process(pid)
        family = (process, *process.children(recursive=True))
    except psutil.NoSuchProcess:
        return False
    return any(_listens(member, port) for member in family)


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        found = process.net_connections("tcp")
    except psutil.NoSuchProcess:  # a child that ended while we looked
        return False
    except psutil.AccessDenied:
        return True
    return any(it.status == psutil.CONN_LISTEN and it.laddr.port == port for it in found)


def answers(port: int, host: str, path: str) -> bool:
    """Whether an HTTP server there answers the path with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
