import time

import gevent
import pytest

from api.pace import GRACE, SLOWEST, Pace


class Sender:
    """Sends a piece every few seconds, of a clock that stands still otherwise."""

    def __init__(self, size: int, seconds: float) -> None:
        self.piece = b"x" * size
        self.seconds = seconds
        self.now = 0.0

    def receive(self, _size: int | None) -> bytes:
        self.now += self.seconds
        return self.piece

    def clock(self) -> float:
        return self.now


def test_a_byte_now_and_then_is_too_slow() -> None:
    sender = Sender(1, 10.0)
    receive = Pace(sender.receive, sender.clock)
    with pytest.raises(TimeoutError):  # noqa: PT012 - not at the first byte
        for _ in range(100):
            receive()
    assert sender.now <= GRACE + sender.seconds


def test_who_is_slow_but_steady_gets_through() -> None:
    sender = Sender(int(SLOWEST) * 10, 10.0)
    receive = Pace(sender.receive, sender.clock)
    assert all(receive() for _ in range(100))


def test_what_the_server_takes_its_time_for_is_not_the_clients_fault() -> None:
    sender = Sender(1, 0.0)
    receive = Pace(sender.receive, sender.clock)
    for _ in range(100):
        receive()
        sender.now += 60


def test_others_have_their_turn_while_a_client_sends_without_a_pause() -> None:
    sender = Sender(8192, 0.0)
    receive = Pace(sender.receive, sender.clock)
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0.001)
            turns += 1

    greenlet = gevent.spawn(other)
    for _ in range(30):
        receive()
        time.sleep(0.002)  # of work, as chunks of a byte each make
    greenlet.kill()
    assert turns > 20
