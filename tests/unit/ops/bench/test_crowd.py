"""A crowd asks a real server, and counts only what it answered."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ops.bench import crowd
from ops.bench.course import Invalid


@contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[crowd.Address]:
    """Answers what each connection sends; an empty answer hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection:
                while (asked := connection.recv(1000)) and (answered := answer(asked)):
                    connection.sendall(answered)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


def whole(received: bytes) -> bytes | None:
    return received if received.endswith(b"\n") else None


def test_every_question_is_asked_once_and_every_answer_kept() -> None:
    with server(lambda asked: asked.upper()) as address:
        questions = iter([b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"])
        taken = crowd.ask(address, questions, whole, connections=2, seconds=60)
    assert sorted(taken.answers) == [b"A\n", b"B\n", b"C\n", b"D\n", b"E\n"]
    assert len(taken.latencies) == 5
    assert taken.seconds >= max(taken.latencies) > 0


def test_it_stops_asking_in_time_and_waits_for_what_is_under_way() -> None:
    with server(lambda asked: asked) as address:
        taken = crowd.ask(address, iter(lambda: b"again\n", b""), whole, connections=3, seconds=0.2)
    assert taken.answers
    assert taken.figures(10)["per second"] == pytest.approx(10 * len(taken.answers) / taken.seconds)


def test_a_server_that_hangs_up_spoils_the_round() -> None:
    with server(lambda _: b"") as address, pytest.raises(Invalid, match="hung up"):
        crowd.ask(address, iter([b"a\n"]), whole, connections=1, seconds=60)
