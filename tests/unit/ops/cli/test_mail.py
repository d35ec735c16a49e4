import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from ops.mail.folder import MailFolder

MAIL = (
    "From: Zoë <from@example.org>\r\nTo: to@example.org\r\nSubject: {subject}\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    '--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\n'
    "%PDF\r\n--b--\r\n"
)


def store(
    home: Path, *recipients: str, subject: str = "hello", text: str = "Hi!", name: str = "a.pdf"
) -> str:
    folder = MailFolder(home)
    folder.create()
    content = MAIL.format(subject=subject, text=text, name=name).encode()
    return folder.store("from@example.org", recipients or ["to@example.org"], content).stem


def mail(home: Path, *words: str, **settings: str) -> Result:
    return CliRunner().invoke(main, ["mail", *words], env={"JOBYARD_HOME": str(home), **settings})


def test_mails_are_listed_newest_first_with_the_recipients_that_their_header_hides(tmp_path: Path) -> None:
    first = store(tmp_path, "to@example.org", "hidden@example.org", subject="one")
    second = store(tmp_path, subject="two", name="report.pdf")
    listed = mail(tmp_path)
    assert listed.exit_code == 0
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", second, first]
    assert "Zoë <from@example.org>" in lines[1]
    assert "report.pdf" in lines[1]
    assert "two" in lines[1]
    assert "to@example.org, hidden@example.org" in lines[2]
    assert str(tmp_path / "mail") in listed.stderr


def test_the_list_has_a_limit(tmp_path: Path) -> None:
    ids = [store(tmp_path) for _ in range(3)]
    assert mail(tmp_path, "--limit", "1").stdout.splitlines()[1].split()[0] == ids[-1]
    assert len(mail(tmp_path, "--limit", "2").stdout.splitlines()) == 3


def test_programs_get_json_with_paths(tmp_path: Path) -> None:
    mail_id = store(tmp_path, "to@example.org", "hidden@example.org")
    (shown,) = json.loads(mail(tmp_path, "--json").stdout)
    path = tmp_path / "mail" / f"{mail_id}.eml"
    assert shown.pop("arrived_at")
    assert shown == {
        "id": mail_id,
        "path": str(path),
        "sender": "from@example.org",
        "recipients": ["to@example.org", "hidden@example.org"],
        "from": "Zoë <from@example.org>",
        "subject": "hello",
        "size": path.stat().st_size,
        "attachments": ["a.pdf"],
    }


def test_a_mail_can_be_read(tmp_path: Path) -> None:
    mail_id = store(tmp_path, "to@example.org", "hidden@example.org", text="Ça va?")
    shown = mail(tmp_path, "show", mail_id)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        f"File: {tmp_path}/mail/{mail_id}.eml",
        "Envelope: from@example.org to to@example.org, hidden@example.org",
        "From: Zoë <from@example.org>",
        "To: to@example.org",
        "Subject: hello",
        "Attached: a.pdf (application/pdf, 4 bytes)",
        "",
        "Ça va?",
    ]


def test_a_mail_steers_neither_terminal_nor_table(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07[red]x[/red]\x9b2J"
    mail_id = store(tmp_path, f"{evil}@example.org", subject=evil, text=evil, name=evil)
    for words in ((), ("show", mail_id), ("--json",)):
        result = mail(tmp_path, *words)
        assert result.exit_code == 0
        assert not re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout), words
        assert "[red]x[/red]" in result.stdout


def test_an_unknown_mail_is_named(tmp_path: Path) -> None:
    shown = mail(tmp_path, "show", "../key")
    assert shown.exit_code == 1
    assert "no mail '../key'" in shown.output


def test_no_mails_are_no_error(tmp_path: Path) -> None:
    listed = mail(tmp_path)
    assert listed.exit_code == 0
    assert f"no mail is stored in {tmp_path}/mail" in listed.stderr
    assert "JOBYARD_SMTP_URL" not in listed.stderr
    assert json.loads(mail(tmp_path, "--json").stdout) == []


def test_with_a_mail_server_it_says_that_the_mails_are_there(tmp_path: Path) -> None:
    listed = mail(tmp_path, JOBYARD_SMTP_URL="smtps://me:s3cret@mail.example.org")
    assert "JOBYARD_SMTP_URL names a mail server, which gets the mails" in listed.stderr
    assert "s3cret" not in listed.output


@pytest.mark.parametrize("count", [5, 8])
def test_many_recipients_are_counted(tmp_path: Path, count: int) -> None:
    store(tmp_path, *(f"{number}@example.org" for number in range(count)))
    listed = mail(tmp_path).stdout
    assert "4@example.org" in listed
    assert ("and 3 more" in listed) == (count == 8)
