"""The connection that each thread keeps."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.integration.email.client import mailing, send
from tests.integration.email.servers import HANG_UP, Scripted, scripted
from worker.adapters.mail import SmtpMailer, session
from worker.contract import Fatal, Retryable


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection counts as one that was not used for a while."""
    monkeypatch.setattr(session, "FRESH", 0.0)


def mail(mailer: SmtpMailer) -> bool:
    return bool(send(mailer, "ada@example.org").delivered)


def test_mails_of_a_thread_share_a_connection() -> None:
    with scripted() as server, mailing(server.port) as mailer:
        assert all(mail(mailer) for _ in range(3))
    assert (server.connections, len(server.mails)) == (1, 3)
    assert server.count("noop") == server.count("rset") == 0


def test_threads_do_not_share_a_connection() -> None:
    together = threading.Barrier(4)

    def mail_twice(mailer: SmtpMailer) -> bool:
        sent = [mail(mailer), together.wait(60) >= 0, mail(mailer)]
        mailer.close()
        return all(sent)

    with scripted() as server, mailing(server.port) as mailer, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(mail_twice, [mailer] * 4))
    assert (server.connections, len(server.mails)) == (4, 8)


@pytest.mark.usefixtures("idle")
def test_a_connection_that_idled_is_asked_whether_it_stands() -> None:
    with scripted({"noop": ["250 fine", HANG_UP, "421 too long"]}) as server, mailing(server.port) as mailer:
        assert all(mail(mailer) for _ in range(4))
    assert (server.connections, server.count("noop"), len(server.mails)) == (3, 3, 4)


@contextmanager
def falling_silent(
    monkeypatch: pytest.MonkeyPatch, command: str, **answers: list[str]
) -> Iterator[tuple[Scripted, SmtpMailer]]:
    """A server that leaves a command without an answer, and its client."""
    monkeypatch.setattr(session, "ECHO", 0.2)
    over = threading.Event()

    class Silent(Scripted):
        def reply(self, heard: str) -> str:
            if heard != command:
                return super().reply(heard)
            over.wait(20)
            return HANG_UP

    monkeypatch.setattr("tests.integration.email.servers.Scripted", Silent)
    with scripted(answers) as server, mailing(server.port) as mailer:
        yield server, mailer
        over.set()


@pytest.mark.usefixtures("idle")
def test_a_connection_that_is_silent_after_idling_is_left_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with falling_silent(monkeypatch, "noop") as (server, mailer):
        assert mail(mailer)
        assert mail(mailer)
        assert server.connections == 2


def test_a_server_that_refused_a_mail_and_fell_silent_is_left_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with falling_silent(monkeypatch, "rset", data=["554 no"]) as (_, mailer):
        began = time.monotonic()
        assert send(mailer, "ada@example.org", timeout=15.0).refused
        assert time.monotonic() - began < 10.0


@pytest.mark.parametrize("reply", [HANG_UP, "421 4.4.2 idle for too long"])
def test_a_kept_connection_that_ends_before_anything_was_accepted_is_replaced_silently(reply: str) -> None:
    with scripted({"mail": ["250 fine", reply]}) as server, mailing(server.port) as mailer:
        assert mail(mailer)
        assert mail(mailer)
    assert (server.connections, len(server.mails)) == (2, 2)


@pytest.mark.parametrize("reply", [HANG_UP, "421 4.3.2 no more"])
def test_it_is_replaced_once(reply: str) -> None:
    with scripted({"mail": ["250 fine", reply, reply]}) as server, mailing(server.port) as mailer:
        assert mail(mailer)
        with pytest.raises(Retryable, match="clos"):
            send(mailer, "ada@example.org")
        assert server.connections == 2


def test_a_connection_on_which_something_went_wrong_is_not_used_again() -> None:
    with scripted({"mail": ["550 you?"]}) as server, mailing(server.port) as mailer:
        with pytest.raises(Fatal):
            send(mailer, "ada@example.org")
        assert mail(mailer)
    assert server.connections == 2


def test_a_reset_that_fails_ends_the_connection() -> None:
    with scripted({"rcpt": ["550 no"], "rset": ["502 what?"]}) as server, mailing(server.port) as mailer:
        assert send(mailer, "ada@example.org").refused
        assert mail(mailer)
    assert server.connections == 2
