"""The API as it runs: gunicorn with its configuration, as a process, and raw HTTP to it."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from worker.settings import Settings

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds: a test that gets there fails


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Wire:
    """A connection to the API."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self._socket.sendall(data)

    def begin(self, method: str, path: str, length: int, **headers: str) -> None:
        """Send the head of a request whose body comes later."""
        self._head(method, path, length, headers)

    def request(self, method: str, path: str, *, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        self._head(method, path, len(body), headers, body)

    def _head(
        self, method: str, path: str, length: int, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        named = {"Host": "test", "Content-Length": str(length)}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def answer(self) -> Answer:
        """Read an answer."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return Answer(status, headers, self._file.read(int(headers.get("content-length", "0"))))

    def readable(self, seconds: float) -> bool:
        """Whether something came, or the end, within some seconds."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def rest(self) -> bytes:
        """Read until the other side hangs up."""
        return self._file.read()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


class Server:
    """Gunicorn, started and answering."""

    def __init__(self, settings: Settings) -> None:
        self.port = settings.api_port
        self.metrics_port = settings.api_metrics_port
        self.log = settings.home_path / "logs" / "api.jsonl"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "api" / "gunicorn.conf.py")],
            cwd=ROOT,
            env=inherited | settings.environment(),
            stderr=subprocess.DEVNULL,
        )
        until(self._answers)

    def call(self, method: str, path: str, *, body: bytes = b"", **headers: str) -> Answer:
        """Send one request and read its answer."""
        with Wire(self.port) as wire:
            wire.request(method, path, body=body, **headers)
            return wire.answer()

    def metrics(self) -> str:
        """What Prometheus would read."""
        with Wire(self.metrics_port) as wire:
            wire.send(b"GET /metrics HTTP/1.0\r\n\r\n")
            return wire.rest().decode()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.send_signal(signal.SIGTERM)

    def reload(self) -> None:
        """Ask it to replace its processes."""
        self._process.send_signal(signal.SIGHUP)

    def exit_status(self) -> int:
        """Wait until it stopped."""
        return self._process.wait(PATIENCE)

    def stop(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self.terminate()
            try:
                self.exit_status()
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, "gunicorn ended"
        with contextlib.suppress(OSError):
            return self.call("GET", "/healthz").status == 200
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Server]:
    """A running API."""
    server = Server(settings)
    try:
        yield server
    finally:
        server.stop()
