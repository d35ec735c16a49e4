"""What a server says at each step, and what becomes of the mail."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.integration.email.client import JOB, mailing, send
from tests.integration.email.servers import GREETING, HANG_UP, MAIL, scripted
from worker.adapters.mail import SmtpMailer
from worker.adapters.mail.replies import refusal
from worker.contract import Cancelled, Fatal, Retryable
from worker.contract.context import LARGEST_CHECKPOINT
from worker.contract.ports import Refusal
from worker.kinds.email.send import MOST_RECIPIENTS, Settled
from worker.settings import Settings


def refuse() -> None:
    raise Cancelled("a cancel was requested")


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (GREETING, "does not serve us"),
        ("mail", "refused the sender"),
    ],
)
@pytest.mark.parametrize(
    ("reply", "verdict"), [("451 4.3.0 later\x07, please", Retryable), ("554 5.7.1 never", Fatal)]
)
def test_a_refusal_of_everything_is_judged_by_its_code_and_told_in_the_servers_words(
    step: str, what: str, reply: str, verdict: type[Exception]
) -> None:
    with scripted({step: [reply]}) as server, mailing(server.port) as mailer:
        with pytest.raises(verdict, match=f"the mail server {what}: {reply[:10]}"):
            send(mailer, "ada@example.org")
        assert not server.mails


@pytest.mark.parametrize("step", ["data", MAIL])
def test_a_mail_that_is_not_taken_is_answered_for_everybody(step: str) -> None:
    with (
        scripted({step: ["452 4.3.1 full", "552 5.3.4 too large"]}) as server,
        mailing(server.port) as mailer,
    ):
        assert send(mailer, "ada@example.org").put_off[0].code == 452
        refused = send(mailer, "ada@example.org", "bob@example.org").refused
        assert {(refusal.address, refusal.code, refusal.message) for refusal in refused} == {
            ("ada@example.org", 552, "5.3.4 too large"),
            ("bob@example.org", 552, "5.3.4 too large"),
        }
        assert send(mailer, "ada@example.org").delivered == ("ada@example.org",)
        assert (server.connections, server.count("rset")) == (1, 2)


def test_each_recipient_gets_an_answer() -> None:
    answers = {
        "rcpt TO:<bob@": ["550-5.1.1 no such\r\n550 5.1.1 user here"],
        "rcpt TO:<cy@": ["450 4.2.0 greylisted"],
        "rcpt TO:<dan@": ["552 too many recipients"],
        "rcpt TO:<eve@": ["251 will forward"],
    }
    with scripted(answers) as server, mailing(server.port) as mailer:
        sent = send(mailer, *(f"{name}@example.org" for name in ("ada", "bob", "cy", "dan", "eve")))
    assert sent.message_id == f"{JOB}@example.org"
    assert sent.delivered == ("ada@example.org", "eve@example.org")
    assert sent.refused == (
        Refusal(address="bob@example.org", code=550, message="5.1.1 no such 5.1.1 user here"),
    )
    assert [(refusal.address, refusal.code) for refusal in sent.put_off] == [
        ("cy@example.org", 450),
        ("dan@example.org", 452),
    ]
    assert len(server.mails) == 1


def test_nothing_is_sent_where_nobody_may_have_it() -> None:
    with scripted({"rcpt": ["550 no", "450 later"]}) as server, mailing(server.port) as mailer:
        sent = send(mailer, "ada@example.org", "bob@example.org")
        assert (len(sent.refused), len(sent.put_off), server.mails) == (1, 1, [])
        send(mailer, "ada@example.org")
    assert (server.connections, server.count("rset"), len(server.mails)) == (1, 1, 1)


@pytest.mark.parametrize("step", ["rcpt", "data", MAIL])
def test_a_server_that_closes_is_retried_on_a_new_connection(step: str) -> None:
    with scripted({step: ["421 4.3.2 going down"]}) as server, mailing(server.port) as mailer:
        try:
            assert send(mailer, "ada@example.org").put_off[0].code == 421
        except Retryable as error:
            assert "421 4.3.2 going down" in str(error)  # noqa: PT017 - either is an answer to retry
        assert send(mailer, "ada@example.org").delivered


@pytest.mark.parametrize("step", [GREETING, "ehlo", "mail", "rcpt", "data", MAIL])
def test_a_connection_that_breaks_is_retried(step: str) -> None:
    with scripted({step: [HANG_UP, HANG_UP]}) as server, mailing(server.port) as mailer:
        with pytest.raises(Retryable, match=r"mail server 127\.0\.0\.1 closed the connection"):
            send(mailer, "ada@example.org")
        assert server.connections == 1


def test_a_server_that_speaks_another_language_is_retried() -> None:
    with (
        scripted({GREETING: ["HTTP/1.1 400 Bad Request"]}) as server,
        mailing(server.port) as mailer,
        pytest.raises(Retryable, match="does not serve us"),
    ):
        send(mailer, "ada@example.org")


def test_a_server_that_is_not_there_is_retried() -> None:
    with scripted() as server:
        port = server.port
    with mailing(port) as mailer, pytest.raises(Retryable, match="failed: Connection refused"):
        send(mailer, "ada@example.org")


def test_the_servers_words_are_one_printable_line_that_ends() -> None:
    with (
        scripted({"mail": ["550-\u202e\x1b[2J" + "ä" * 400 + "\r\n550 \x00"]}) as server,
        mailing(server.port) as mailer,
        pytest.raises(Fatal) as caught,
    ):
        send(mailer, "ada@example.org")
    assert str(caught.value).isprintable()
    assert len(str(caught.value).encode()) < 320


def test_the_words_for_every_recipient_fit_into_a_checkpoint() -> None:
    """Otherwise nobody would be noted, and all would get the mail again."""
    refused = tuple(refusal("é" * 127, (550, b'"' * 500)) for _ in range(MOST_RECIPIENTS))
    settled = Settled(message_id="m" * 300, date=datetime.now(UTC), refused=refused)
    assert len(msgspec.json.encode(settled)) <= LARGEST_CHECKPOINT


def test_a_cancel_is_heard_before_anybody_gets_anything() -> None:
    with scripted() as server, mailing(server.port) as mailer:
        with pytest.raises(Cancelled):
            send(mailer, "ada@example.org", check=refuse)
        assert not server.mails


def test_a_cancel_is_not_heard_once_the_mail_is_on_its_way() -> None:
    with scripted() as server, mailing(server.port) as mailer:

        def cancel() -> None:
            if server.count("data"):
                refuse()

        assert send(mailer, "ada@example.org", check=cancel).delivered


def test_without_a_server_the_setting_is_named() -> None:
    with pytest.raises(Fatal, match="no mail server is configured: set JOBYARD_SMTP_URL"):
        send(SmtpMailer(Settings()), "ada@example.org")


def test_a_sender_that_is_none_is_named() -> None:
    settings = Settings(smtp_url="smtp://127.0.0.1:1", mail_from="Yard, Job <jobyard@example.org>")
    with pytest.raises(Fatal, match="JOBYARD_MAIL_FROM has a name with punctuation"):
        send(SmtpMailer(settings), "ada@example.org")


def test_a_mail_above_the_operators_limit_is_fatal_and_not_sent() -> None:
    with scripted() as server, mailing(server.port, mail_max_bytes=300) as mailer:
        with pytest.raises(Fatal, match=r"the mail has \d+ bytes .* at most 300 .*JOBYARD_MAIL_MAX_BYTES"):
            send(mailer, "ada@example.org")
        assert server.connections == 0


@pytest.mark.parametrize(("extension", "fits"), [("SIZE 300", False), ("SIZE 0", True), ("SIZE", True)])
def test_a_mail_above_the_servers_limit_is_fatal(extension: str, *, fits: bool) -> None:
    with scripted({}, extension) as server, mailing(server.port) as mailer:
        if fits:
            assert send(mailer, "ada@example.org").delivered
            assert f"SIZE={len(server.mails[0])}" in server.commands[2]
        else:
            with pytest.raises(Fatal, match=r"the mail has \d+ bytes, and the mail server takes at most 300"):
                send(mailer, "ada@example.org")


def test_a_server_without_extensions_is_served() -> None:
    with scripted({"ehlo": ["502 what?"]}) as server, mailing(server.port) as mailer:
        assert send(mailer, "ada@example.org").delivered
    assert "mail FROM:<jobyard@example.org>" in server.commands
