"""The publisher: what it does when the broker is away, and when something is broken."""

from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from tests.awaiting import eventually
from worker.broker import BrokerDown
from worker.contract.states import Priority
from worker.ledger.ids import new_id
from worker.ledger.records import Message
from worker.publisher import Publisher


class FakeBroker:
    def __init__(self) -> None:
        self.published: list[Message] = []
        self.error: Exception | None = None

    def publish(self, messages: list[Message]) -> None:
        if self.error:
            raise self.error
        self.published += messages

    def depths(self, names: Any) -> dict[str, int]:
        if self.error:
            raise self.error
        return dict.fromkeys(names, 0)

    def close(self) -> None:
        pass


class FakeLedger:
    @contextmanager
    def write(self) -> Any:
        yield None


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    ids: list[UUID] = []
    monkeypatch.setattr("worker.publisher.messages.unpublish", lambda _connection, given: ids.extend(given))
    return ids


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def publisher(broker: FakeBroker, unpublished: list[UUID]) -> Any:  # noqa: ARG001 - patched before it starts
    publisher = Publisher(broker, FakeLedger(), depth=3)  # type: ignore[arg-type]  # fakes
    publisher.start()
    eventually(publisher.broker_up)
    yield publisher
    publisher.close(5)


def message() -> Message:
    return Message(
        job_id=new_id(),
        kind="a.kind",
        queue="web",
        priority=Priority.NORMAL,
        description="",
        request_id=None,
        alone=False,
    )


def test_a_queue_takes_as_many_messages_as_it_has_room_for(publisher: Publisher) -> None:
    assert [publisher.reserve("web") for _ in range(4)] == [True, True, True, False]


def test_a_message_is_published_behind_the_answer(publisher: Publisher, broker: FakeBroker) -> None:
    sent = message()
    publisher.publish(sent)
    eventually(lambda: broker.published == [sent])


@pytest.mark.parametrize("error", [BrokerDown("gone"), ValueError("broken")])
def test_what_cannot_be_published_is_left_to_dispatch_and_the_next_one_is_published(
    publisher: Publisher, broker: FakeBroker, unpublished: list[UUID], error: Exception
) -> None:
    broker.error = error
    refused = message()
    publisher.publish(refused)
    eventually(lambda: unpublished == [refused.job_id])
    assert not publisher.reserve("web")

    broker.error = None
    sent = message()
    publisher.publish(sent)
    eventually(lambda: broker.published == [sent])


def test_what_waits_is_published_before_it_closes(broker: FakeBroker, unpublished: list[UUID]) -> None:
    publisher = Publisher(broker, FakeLedger(), depth=3)  # type: ignore[arg-type]  # fakes
    sent = [message() for _ in range(20)]
    for each in sent:
        publisher.publish(each)
    publisher.start()
    publisher.close(5)
    assert broker.published == sent
    assert unpublished == []
