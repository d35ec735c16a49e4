from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from ops.mail.folder import MailFolder
from ops.mail.reading import Attachment, StoredMail, harmless, read


def stored(home: Path, content: bytes, *recipients: str) -> StoredMail:
    folder = MailFolder(home)
    folder.create()
    return read(folder.store("from@example.org", recipients or ["to@example.org"], content))


def letter() -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Zoë <from@example.org>"
    message["To"] = "to@example.org"
    message["Subject"] = "Grüße, a subject that is so long that it stands on more than one line of the header"
    message.set_content("Ça va?\n")
    message.add_alternative("<p>Ça va?</p>", subtype="html")
    message.add_attachment(b"%PDF" * 10, maintype="application", subtype="pdf", filename="Übersicht.pdf")
    message.add_attachment("a,b\n", subtype="csv", filename="rows.csv")
    return message


def test_a_mail_is_read_with_its_words_decoded(tmp_path: Path) -> None:
    mail = stored(tmp_path, letter().as_bytes(), "to@example.org", "bcc@example.org")
    assert mail.header("From") == "Zoë <from@example.org>"
    assert mail.header("Subject").startswith("Grüße, a subject")
    assert "\n" not in mail.header("Subject")
    assert mail.header("Cc") == ""
    assert mail.text == "Ça va?\r\n"
    assert mail.recipients == ("to@example.org", "bcc@example.org")
    assert mail.attachments == (
        Attachment("Übersicht.pdf", "application/pdf", 40),
        Attachment("rows.csv", "text/csv", 5),
    )
    assert mail.size == mail.path.stat().st_size


def test_an_attached_text_is_not_the_text_of_the_mail(tmp_path: Path) -> None:
    message = EmailMessage(policy=SMTP)
    message.add_attachment("only attached", filename="note.txt")
    mail = stored(tmp_path, message.as_bytes())
    assert mail.text is None
    assert [attachment.name for attachment in mail.attachments] == ["note.txt"]


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"no header at all",
        b"From: group:;<\r\nTo: ,,:;@\r\nSubject: =?x?q?\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        b"Content-Type: multipart/related\r\nContent-Disposition: ;\r\n\r\n",
        b"Content-Type: text/plain; charset=rot13\r\n\r\nx",
        b"Content-Type: text/plain; charset=undefined\r\n\r\nx",
        b"Content-Type: text/plain; charset*=nonsense''x\r\n\r\nx",
        b"Content-Disposition: attachment; filename*=a\0b''c\r\n\r\nx",
        b'Content-Disposition: attachment; filename*0*="\r\n\r\nx',
        b"Message-ID: <\r\nDate: never\r\n\r\n\xff\xfe\0",
        b"Content-Transfer-Encoding: base64\r\n\r\n=A=",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
    ],
)
def test_whatever_was_sent_can_be_read(tmp_path: Path, lines: bytes) -> None:
    mail = stored(tmp_path, lines)
    headers = [mail.header(name) for name in ("From", "To", "Subject", "Date", "Message-ID")]
    assert all(isinstance(header, str) for header in headers)
    assert isinstance(mail.attachments, tuple)
    assert mail.text is None or isinstance(mail.text, str)
    assert (mail.sender, mail.recipients) == ("from@example.org", ("to@example.org",))


def test_a_mail_that_came_from_elsewhere_has_no_envelope(tmp_path: Path) -> None:
    path = tmp_path / "saved.eml"
    path.write_bytes(b"Subject: saved by hand\r\nX-Envelope-To: nobody@example.org\r\n\r\n")
    mail = read(path)
    assert (mail.sender, mail.recipients) == ("", ())
    assert mail.arrived.timestamp() == pytest.approx(path.stat().st_mtime)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\r\nc\n", "a\tb\nc\n"),
        ("日本 ü 😀", "日本 ü 😀"),
        ("\x1b[31mred\x1b]0;title\x07", "�[31mred�]0;title�"),
        ("over\rwritten\x08\x7f\x00", "over�written���"),
        ("\x9b31m", "�31m"),  # CSI in one character
        ("fdp\u202egnp.exe", "fdp�gnp.exe"),  # turns what follows around
        ("no\u00a0break", "no break"),
        ("\ud800\u2028", "��"),
    ],
)
def test_nothing_of_a_mail_steers_the_terminal(text: str, shown: str) -> None:
    assert harmless(text) == shown
