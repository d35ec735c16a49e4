import time
from uuid import UUID, uuid4

import pytest
import redis

from worker.broker import ENDED_CHANNEL
from worker.notices import Notices


class Server:
    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.tries = 0

    def publish(self, channel: str, text: str) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.published.append((channel, text))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def notices(server: Server, monkeypatch: pytest.MonkeyPatch) -> Notices:
    monkeypatch.setattr(redis.Redis, "from_url", lambda *_, **__: server)
    return Notices("redis://127.0.0.1:1/0")


def test_the_ids_of_jobs_that_ended_are_published(notices: Notices, server: Server) -> None:
    ids = [UUID(int=1), UUID(int=2)]
    notices.ended(ids)
    assert server.published == [(ENDED_CHANNEL, f"{ids[0]},{ids[1]}")]


@pytest.mark.parametrize("error", [redis.ConnectionError(), redis.TimeoutError(), OSError()])
def test_a_broker_that_is_away_is_left_alone_for_a_while(
    notices: Notices, server: Server, error: Exception
) -> None:
    server.error = error
    for _ in range(5):
        notices.ended([uuid4()])
    assert server.tries == 1
    notices._resting_until = time.monotonic()
    server.error = None
    notices.ended([uuid4()])
    assert len(server.published) == 1


def test_a_broker_without_such_notices_gets_none() -> None:
    Notices("amqp://127.0.0.1:1//").ended([uuid4()])
