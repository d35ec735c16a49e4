"""An outage is said once, and tried again ever more seldom."""

from collections.abc import Iterator

import pytest
from loguru import logger
from sqlalchemy.exc import OperationalError

from schedules.outage import LONGEST, SHORTEST, Outage
from tests.unit.schedules.stand_ins import Clock
from worker.broker import BrokerDown


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged: level, event and fields."""
    kept: list[str] = []
    sink = logger.add(lambda line: kept.append(str(line)), format="{level} {message} {extra}")
    yield kept
    logger.remove(sink)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage("dispatch", clock)


def test_what_never_failed_may_be_tried(outage: Outage, lines: list[str]) -> None:
    outage.over()

    assert not outage.resting
    assert lines == []


def test_it_is_said_when_it_begins_and_when_it_is_over(
    outage: Outage, clock: Clock, lines: list[str]
) -> None:
    for _ in range(5):
        outage.failed(BrokerDown("ConnectionError"))
        clock.now += 60
    outage.over()
    outage.over()

    began, over = lines
    assert "WARNING failing" in began
    assert "the broker is away: ConnectionError" in began
    assert "INFO recovered" in over
    assert "300" in over


def test_the_next_outage_is_said_again(outage: Outage, lines: list[str]) -> None:
    for _ in range(2):
        outage.failed(BrokerDown("ConnectionError"))
        outage.over()

    assert len(lines) == 4


def test_the_wait_doubles_up_to_a_limit_and_begins_anew(outage: Outage) -> None:
    waits = [outage.failed(BrokerDown("x")) for _ in range(6)]
    assert waits == [SHORTEST, 0.5, 1.0, LONGEST, LONGEST, LONGEST]

    outage.over()
    assert outage.failed(BrokerDown("x")) == SHORTEST


def test_it_rests_for_that_long(outage: Outage, clock: Clock) -> None:
    wait = outage.failed(BrokerDown("x"))

    assert outage.resting
    clock.now += wait
    assert not outage.resting


def test_an_unreachable_ledger_is_named_in_one_line(outage: Outage, lines: list[str]) -> None:
    outage.failed(OperationalError("SELECT 1", {"secret": 1}, ConnectionError("refused\nIs it running?")))

    (line,) = lines
    assert "refused" in line
    assert "SELECT" not in line
    assert "secret" not in line
    assert "Is it running" not in line


def test_a_defect_is_shown_with_its_traceback(outage: Outage, lines: list[str]) -> None:
    try:
        int("nobody thought of it")
    except ValueError as error:
        outage.failed(error)

    (line,) = lines
    assert line.startswith("ERROR failing")
    assert "test_outage.py" in line
