"""`email.send` in a worker that dies between the mail server's word and the record of it."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.awaiting import eventually
from tests.integration.email.servers import MAIL, Scripted, scripted
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.process import WorkerNode


class Stopping(Scripted):
    """Takes mails; the first one's sender stands still before it can hear so."""

    worker: WorkerNode

    def reply(self, command: str) -> str:
        if command == MAIL and len(self.mails) == 1:
            self.worker.kill(signal.SIGSTOP)
        return super().reply(command)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopping]:
    monkeypatch.setattr("tests.integration.email.servers.Scripted", Stopping)
    with scripted() as server:
        assert isinstance(server, Stopping)
        yield server


def test_a_mail_whose_worker_is_killed_after_the_servers_yes_comes_again_as_the_same_mail(
    client: Client, server: Stopping, start_worker: StartWorker
) -> None:
    settings = {"JOBYARD_SMTP_URL": f"smtp://127.0.0.1:{server.port}", "JOBYARD_MAIL_FROM": "job@example.org"}
    server.worker = start_worker("threads", settings=settings)
    mail = {"to": ["ada@example.org"], "subject": "Hello", "text": "Hello\n"}
    job_id = client.submit("email.send", "database", **mail)
    eventually(lambda: MAIL in server.answered)
    server.worker.kill()
    start_worker("threads", settings=settings)
    message_id = client.succeeded(job_id)["result"]["message_id"]
    assert client.outcomes(job_id) == ["lost", "succeeded"]
    assert len(server.mails) == 2
    for received in server.mails:
        assert re.findall(rb"(?m)^Message-ID: <(.*)>\r$", received) == [message_id.encode()]
    assert message_id == f"{job_id}@example.org"
