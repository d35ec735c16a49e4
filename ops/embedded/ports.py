"""Free ports of this machine."""

import http
import http.client
import secrets
import socket

# Below the ports from which Linux (32768) and macOS (49152) draw those of outgoing connections: a port
# picked there might be taken by the first connection that a neighbour opens before its server listens.
_RANGE = range(20_000, 32_000)
_TRIES = 1_000


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
    """Draw different ports that are free now.

    Raises:
        OSError: this machine has hardly any left.
    """
    found: dict[int, None] = {}
    for _ in range(_TRIES):
        if len(found) == count:
            return list(found)
        port = secrets.choice(_RANGE)
        if is_free(port, host):
            found[port] = None
    raise OSError(f"found no {count} free ports from {_RANGE.start} to {_RANGE.stop - 1} on {host}")


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there now."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


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
