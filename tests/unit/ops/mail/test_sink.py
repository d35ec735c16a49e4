import asyncio
import errno
import subprocess
import sys
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.mail.folder import MailFolder
from ops.mail.sink import Sink


class Broken(MailFolder):
    """A folder whose disk is ill."""

    def __init__(self, home: Path, number: int) -> None:
        super().__init__(home)
        self.number = number

    def store(self, *_: object) -> Path:
        raise OSError(self.number, "secret place")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "452"),
        (errno.EDQUOT, "452"),
        (errno.EFBIG, "452"),
        (errno.EIO, "451"),
        (errno.EROFS, "451"),
    ],
)
def test_a_mail_that_the_disk_does_not_take_is_put_off(tmp_path: Path, number: int, code: str) -> None:
    async def reply() -> str:
        sink = Sink(Broken(tmp_path, number), 1000)
        loop = asyncio.get_running_loop()
        return await sink.handle_DATA(SMTP(sink, hostname="x"), Session(loop), Envelope())

    said = asyncio.run(reply())
    assert said.startswith(code)
    assert "secret place" not in said


def test_the_sink_carries_nothing_that_it_does_not_need() -> None:
    code = "import sys, ops.mail.sink, worker.logs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "aiosmtpd.smtp" in loaded
    assert not loaded & {"sqlalchemy", "psycopg2", "redis", "kombu", "celery", "click", "rich", "psutil"}
