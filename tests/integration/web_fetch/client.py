"""The fetcher as tests call it."""

import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

import pytest

from worker.adapters.http import GuardedFetcher
from worker.contract.ports import Fetched, FetchRequest

LOOPBACK = (ip_network("127.0.0.1/32"),)


def request_to(url: str, **fields: Any) -> FetchRequest:
    defaults: dict[str, Any] = {"method": "GET", "timeout": 10.0, "max_bytes": 2**20, "max_redirects": 3}
    return FetchRequest(url=url, **(defaults | fields))


def fetch(
    fetcher: GuardedFetcher, url: str, check: Callable[[], None] = lambda: None, **fields: Any
) -> tuple[Fetched, bytes]:
    """The answer and its body."""
    with fetcher.fetch(request_to(url, **fields), check) as fetched:
        return fetched, b"".join(fetched.body)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """Let names resolve to one answer after the other; returns what was asked."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in answer]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)[: 4 if ":" in address else 2])
            for family, address in zip(families, answer, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked
