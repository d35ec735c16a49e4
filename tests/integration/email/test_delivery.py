"""What arrives at a real server: the envelope, and the mail in it."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from tests.integration.email.client import JOB, mail_to, mailing, send
from tests.integration.email.servers import Delivered, sink
from worker.contract import Fatal
from worker.contract.ports import Attachment, Content, Mailbox

EVERY_BYTE = bytes(range(256)) * 50
HTML = "<p>Grüße, Zoë</p>" + "<br>" * 500


def read(mail: Delivered) -> EmailMessage:
    message = message_from_bytes(mail.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def exchange(*to: str, **fields: Any) -> Delivered:
    with sink() as (taken, port), mailing(port) as mailer:
        assert send(mailer, *to, **fields).delivered
    return taken.mails[0]


def test_the_mail_arrives_as_it_was_written() -> None:
    mail = exchange(
        "Zoë Müller <zoe@example.org>",
        '"Lovelace, \\"Ada\\"" <ada@example.org>',
        cc=[Mailbox.parse("desk@example.org")],
        reply_to=Mailbox.parse("Das Büro <büro@example.org>".replace("büro", "buero")),
        content=Content(subject="Grüße: der Bericht", text="Hallo Zoë,\n\n.punkt\nFrom hier\n", html=HTML),
        attachments=[
            Attachment(name="Übersicht März.pdf", content_type="application/pdf", content=EVERY_BYTE),
            Attachment(
                name="a.csv", content_type="text/csv; charset=utf-8", content="ä;b\r\n1\n2\r".encode()
            ),
        ],
    )
    message = read(mail)
    assert mail.sender == "jobyard@example.org"
    assert str(message["From"]) == "Jobyard <jobyard@example.org>"
    assert str(message["Subject"]) == "Grüße: der Bericht"
    assert [(box.display_name, box.addr_spec) for box in message["To"].addresses] == [
        ("Zoë Müller", "zoe@example.org"),
        ('Lovelace, "Ada"', "ada@example.org"),
    ]
    assert (message["Cc"], message["Reply-To"]) == ("desk@example.org", "Das Büro <buero@example.org>")
    assert message["Message-ID"] == f"<{JOB}@example.org>"
    assert message["Date"].datetime.isoformat() == "2026-11-03T09:00:00+00:00"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == "Hallo Zoë,\n\n.punkt\nFrom hier\n"
    assert html.get_content().strip() == HTML
    pdf, csv = message.iter_attachments()
    assert (pdf.get_filename(), pdf.get_content_type()) == ("Übersicht März.pdf", "application/pdf")
    assert pdf.get_payload(decode=True) == EVERY_BYTE
    assert (csv.get_filename(), csv.get_content_type()) == ("a.csv", "text/csv")
    assert csv.get_content_charset() == "utf-8"
    assert csv.get_payload(decode=True) == "ä;b\r\n1\n2\r".encode()
    assert [part.get_content_type() for part in message.walk()] == [
        *("multipart/mixed", "multipart/alternative", "text/plain", "text/html"),
        *("application/pdf", "text/csv"),
    ]


def test_every_line_is_ascii_short_and_ends_properly() -> None:
    many = [
        f"Zoë Müller, Nummer {number} <zoe{number}@example.org>".replace(",", "") for number in range(100)
    ]
    mail = exchange(*many, content=Content(subject="ü" * 300, text="ä" * 2000, html="x" * 5000))
    lines = mail.content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert mail.content.isascii()
    assert len(mail.recipients) == 100
    assert len(read(mail)["To"].addresses) == 100


def test_text_alone_and_html_alone_have_no_other_part() -> None:
    assert read(exchange("ada@example.org")).get_content_type() == "text/plain"
    html = read(exchange("ada@example.org", content=Content(subject="x", html=HTML)))
    assert html.get_content_type() == "text/html"


def test_who_gets_a_blind_copy_is_in_no_header() -> None:
    with sink() as (taken, port), mailing(port) as mailer:
        recipients = [Mailbox.parse("ada@example.org"), Mailbox.parse("spy@example.org")]
        assert mailer.send(mail_to("ada@example.org"), recipients, 10, lambda: None).delivered
        assert mailer.send(mail_to(), recipients[1:], 10, lambda: None).delivered
    assert taken.mails[0].recipients == ("ada@example.org", "spy@example.org")
    assert taken.mails[1].recipients == ("spy@example.org",)
    assert all(b"spy" not in mail.content for mail in taken.mails)
    assert read(taken.mails[1])["To"] == "undisclosed-recipients:;"


def test_an_international_domain_becomes_ascii() -> None:
    mail = exchange("Zoë <zoe@Bücher.example>", reply_to=Mailbox.parse("desk@例え.テスト"))
    assert mail.recipients == ("zoe@xn--bcher-kva.example",)
    assert read(mail)["To"].addresses[0].addr_spec == "zoe@xn--bcher-kva.example"
    assert read(mail)["Reply-To"] == "desk@xn--r8jz45g.xn--zckzah"
    assert not any("UTF8" in option for option in mail.options)


def test_an_international_domain_that_is_none_is_fatal() -> None:
    with (
        sink() as (taken, port),
        mailing(port) as mailer,
        pytest.raises(Fatal, match="the domain of an address is not valid"),
    ):
        send(mailer, "ada@\u0301bad.example")
    assert not taken.mails


def test_an_international_address_goes_with_smtputf8() -> None:
    mail = exchange("Zoë <zoë@bücher.example>", "ada@example.org")
    assert mail.recipients == ("zoë@xn--bcher-kva.example", "ada@example.org")
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(mail.options)
    assert "<zoë@xn--bcher-kva.example>".encode() in mail.content


@pytest.mark.parametrize("fields", [{}, {"reply_to": Mailbox.parse("büro@example.org")}])
def test_an_international_address_is_fatal_where_the_server_does_not_take_it(fields: dict[str, Any]) -> None:
    to = "ada@example.org" if fields else "zoë@example.org"
    with (
        sink(enable_SMTPUTF8=False) as (taken, port),
        mailing(port) as mailer,
        pytest.raises(Fatal, match=r"does not take such addresses \(SMTPUTF8, RFC 6531\)"),
    ):
        send(mailer, to, **fields)
    assert not taken.mails


def test_two_tries_of_a_mail_have_the_same_headers() -> None:
    with sink() as (taken, port), mailing(port) as mailer:
        for _ in range(2):
            send(mailer, "ada@example.org")
    first, second = (read(mail) for mail in taken.mails)
    assert first.items() == second.items()
    assert first["Message-ID"] == f"<{JOB}@example.org>"
