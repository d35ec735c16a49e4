"""Web servers on loopback that say exactly what a test tells them to."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

Serve = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass
class WebServer:
    """Where a server listens, and what it was asked."""

    authority: str
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def port(self) -> int:
        return int(self.authority.rpartition(":")[2])

    def drip(self, data: bytes, *, every: float = 0.05) -> Iterator[bytes]:
        """A byte at a time, until the server stops."""
        for byte in data:
            if self.stopping.wait(every):
                return
            yield bytes([byte])


Answer = Callable[[Request], bytes | Iterable[bytes]]


@contextmanager
def listening(
    serve: Callable[[WebServer, socket.socket], None],
    host: str = "127.0.0.1",
    scheme: str = "http",
    port: int = 0,
) -> Iterator[WebServer]:
    """Hand each connection to a function on a thread of its own; all are over when the context ends."""
    threads: list[threading.Thread] = []

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(server, connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connections += 1
                threads.append(threading.Thread(target=run, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server((host, port), backlog=512) as listener:
        server = WebServer(f"{host}:{listener.getsockname()[1]}", scheme)
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [acceptor, *threads]:
                thread.join(10)
                assert not thread.is_alive()


@contextmanager
def web_server(
    answer: Answer,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    *,
    abrupt: bool = False,
    port: int = 0,
) -> Iterator[WebServer]:
    """Answer each request with the bytes that a function gives for it, then close."""

    def converse(server: WebServer, connection: socket.socket) -> None:
        connection.settimeout(10)
        request = receive(connection)
        server.requests.append(request)
        given = answer(request)
        for piece in [given] if isinstance(given, bytes) else given:
            connection.sendall(piece)

    def serve(server: WebServer, connection: socket.socket) -> None:
        if tls is None:
            converse(server, connection)
            return
        with tls.wrap_socket(connection, server_side=True) as secured:
            converse(server, secured)
            if not abrupt:
                secured.unwrap()

    with listening(serve, host, "https" if tls else "http", port) as server:
        yield server


def receive(connection: socket.socket) -> Request:
    """Read one request."""
    with connection.makefile("rb") as stream:
        method, target, _ = stream.readline().decode("latin-1").split()
        headers = {}
        while line := stream.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


def page(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def head(*headers: str, status: int = 200) -> bytes:
    """The head of an answer, without a length."""
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode("latin-1")


def certificates(folder: Path, names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make an authority, and a server's certificate for the names (as OpenSSL's subjectAltName).

    Returns: the context of a server that shows it, and of a client that trusts the authority.
    """
    _openssl(folder, "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
    _openssl(
        folder,
        *("req", "-x509", *_KEY, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=server"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={names}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    return server, ssl.create_default_context(cafile=folder / "ca.pem")


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
