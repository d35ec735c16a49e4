"""`email.send` with a real mail server: what it takes, refuses and puts off ends as the kind says."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from tests.awaiting import eventually
from tests.fakes import FakeContext
from tests.integration.email import exim
from tests.integration.email.client import mailing
from tests.integration.email.exim import Exim
from worker.adapters.mail import SmtpMailer
from worker.contract import Fatal, Retryable
from worker.contract.ports import Content
from worker.kinds.email.send import EmailSend, EmailSent
from worker.kinds.email.send import send as handle

REPORT = bytes(range(256)) * 20
ADA, BOB, CY = (f"{name}@{exim.DOMAIN}" for name in ("ada", "bob", "cy"))


class NoTemplates:
    def render(self, name: str, variables: object) -> Content:
        raise NotImplementedError


@pytest.fixture(scope="module")
def server() -> Iterator[Exim]:
    if reason := exim.missing():
        pytest.skip(reason)
    with exim.running() as started:
        yield started


@pytest.fixture
def mailer(server: Exim) -> Iterator[SmtpMailer]:
    with mailing(server.port) as made:
        yield made


@pytest.fixture
def ctx(request: pytest.FixtureRequest) -> FakeContext:
    """A job of its own."""
    number = sum(request.node.name.encode())
    return FakeContext(job_id=f"0190a7c0-0000-7000-8000-{number:012x}")


def run(mailer: SmtpMailer, ctx: FakeContext, *to: str, **fields: Any) -> EmailSent:
    written = {"to": to, "subject": "Hello", "text": f"of job {ctx.job_id}\n"} | fields
    payload = msgspec.json.decode(msgspec.json.encode(written), type=EmailSend)
    return handle(payload, ctx, mailer, NoTemplates())


def of_job(server: Exim, local_part: str, ctx: FakeContext, count: int = 1) -> list[EmailMessage]:
    """The mails of a job in a mailbox, once there are so many."""

    def look() -> list[bytes]:
        return [mail for mail in server.mails(local_part) if ctx.job_id.encode() in mail]

    eventually(lambda: len(look()) >= count)
    return [parsed(mail) for mail in look()]


def parsed(mail: bytes) -> EmailMessage:
    message = message_from_bytes(mail, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_it_delivers_the_mail_to_a_local_mailbox(server: Exim, mailer: SmtpMailer, ctx: FakeContext) -> None:
    ctx.artifacts["0190a7c0-0000-7000-8000-00000000000a"] = REPORT
    result = run(
        mailer,
        ctx,
        f"Ada Größe <{ADA}>",
        bcc=[CY],
        subject="Der Bericht für März",
        html="<p>Grüße</p>",
        attachments=[{"name": "Übersicht.pdf", "artifact": "0190a7c0-0000-7000-8000-00000000000a"}],
    )
    assert (result.delivered, result.refused) == ((ADA, CY), ())
    (seen,) = of_job(server, "ada", ctx)
    (copy,) = of_job(server, "cy", ctx)
    assert seen["Subject"] == copy["Subject"] == "Der Bericht für März"
    assert seen["Message-ID"] == f"<{result.message_id}>" == f"<{ctx.job_id}@example.org>"
    assert seen["To"].addresses[0].display_name == "Ada Größe"
    assert CY not in " ".join(map(str, seen.values()))
    (attachment,) = seen.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == ("Übersicht.pdf", "application/pdf")
    assert attachment.get_payload(decode=True) == REPORT


def test_it_refuses_one_of_three(server: Exim, mailer: SmtpMailer, ctx: FakeContext) -> None:
    result = run(mailer, ctx, ADA, BOB, CY)
    assert result.delivered == (ADA, CY)
    assert [(refusal.address, refusal.code, refusal.message) for refusal in result.refused] == [
        (BOB, 550, "5.1.1 nobody of that name here")
    ]
    assert of_job(server, "ada", ctx)
    assert of_job(server, "cy", ctx)


def test_it_refuses_everybody(mailer: SmtpMailer, ctx: FakeContext) -> None:
    with pytest.raises(
        Fatal, match=r"every recipient was refused: \S+: 550 5\.1\.1 nobody of that name here"
    ):
        run(mailer, ctx, BOB)


def test_it_says_421_once(server: Exim, mailer: SmtpMailer, ctx: FakeContext) -> None:
    with server.being("closing"), pytest.raises(Retryable, match=r"421 4\.3\.2 example\.test is going down"):
        run(mailer, ctx, ADA)
    assert run(mailer, ctx, ADA).delivered == (ADA,)
    assert len(of_job(server, "ada", ctx)) == 1


def test_it_greylists_one_of_three_once(server: Exim, mailer: SmtpMailer, ctx: FakeContext) -> None:
    with server.being("greylisting"), pytest.raises(Retryable, match=r"1 of 3 recipients put off: \S+: 450"):
        run(mailer, ctx, ADA, BOB, CY)
    (first,) = of_job(server, "ada", ctx)
    result = run(mailer, ctx, ADA, BOB, CY)
    assert result.delivered == (ADA, CY)
    assert [refusal.address for refusal in result.refused] == [BOB]
    (second,) = of_job(server, "cy", ctx)
    assert len(of_job(server, "ada", ctx)) == 1
    for header in ("Message-ID", "Date", "To", "Subject"):
        assert first[header] == second[header]


def test_a_mail_above_its_limit_is_fatal(mailer: SmtpMailer, ctx: FakeContext) -> None:
    with pytest.raises(Fatal, match="the mail server takes at most 204800"):
        run(mailer, ctx, ADA, text="x" * 300_000)


def test_hostile_lines_in_a_body_stay_in_it(server: Exim, mailer: SmtpMailer, ctx: FakeContext) -> None:
    text = f"{ctx.job_id}\r\n.\r\nMAIL FROM:<eve@{exim.DOMAIN}>\n.\nRCPT TO:<{CY}>\r.\rDATA\r\n\r\n.\r\nend"
    run(mailer, ctx, ADA, text=text)
    (seen,) = of_job(server, "ada", ctx)
    assert "".join(seen.get_content().split()) == "".join(text.split())
    assert seen["From"] == "Jobyard <jobyard@example.org>"
