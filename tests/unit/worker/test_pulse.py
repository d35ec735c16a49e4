"""Whether a process lives, as a probe reads it over HTTP."""

import socket
from collections.abc import Callable
from http.client import HTTPConnection

import pytest
from loguru import logger
from prometheus_client import CollectorRegistry, Counter

from worker import pulse
from worker.pulse import Page, Pulse

Ask = Callable[[str], tuple[int, str]]


class Process:
    """What a page shows."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready = False
        self.pulse = Pulse(lambda: self.now)
        self.registry = CollectorRegistry()
        self.page = Page(self.registry, self.pulse, lambda: self.ready)


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def ask(process: Process) -> Ask:
    said: list[int] = []
    sink = logger.add(lambda message: said.append(message.record["extra"]["port"]))
    pulse.serve(process.page, "127.0.0.1", 0)
    logger.remove(sink)

    def ask(path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", said[0], timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    return ask


def test_a_process_lives_as_long_as_its_pulse_beats(process: Process, ask: Ask) -> None:
    assert ask("/healthz")[0] == 200
    process.now += pulse._STOPPED
    assert ask("/healthz")[0] == 503
    process.pulse.beat()
    assert ask("/healthz")[0] == 200


def test_it_is_ready_once_it_does_its_work_and_lives(process: Process, ask: Ask) -> None:
    assert ask("/readyz")[0] == 503
    process.ready = True
    assert ask("/readyz")[0] == 200
    process.now += pulse._STOPPED
    assert ask("/readyz")[0] == 503


def test_everything_else_is_metrics(process: Process, ask: Ask) -> None:
    Counter("sample", "A sample", registry=process.registry).inc()
    status, body = ask("/metrics")
    assert status == 200
    assert "sample_total 1.0" in body


def test_a_port_that_is_taken_is_only_said(process: Process) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        pulse.serve(process.page, "127.0.0.1", taken.getsockname()[1])
    logger.remove(sink)
    assert said == ["metrics_unserved"]
