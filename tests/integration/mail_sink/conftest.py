from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.mail_sink.process import SinkProcess


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., SinkProcess]]:
    """Starts a sink on the same HOME each time."""
    started: list[SinkProcess] = []

    def begin(**settings: str) -> SinkProcess:
        started.append(SinkProcess(tmp_path / "home", settings))
        return started[-1]

    yield begin
    for sink in started:
        sink.kill()


@pytest.fixture
def sink(start: Callable[..., SinkProcess]) -> SinkProcess:
    return start()
