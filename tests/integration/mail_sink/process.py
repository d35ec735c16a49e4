"""`jobyard mail-sink` as a process of its own."""

import os
import re
import smtplib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class SinkProcess:
    """A sink that listens."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.home = home
        self.folder = home / "mail"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops", "mail-sink"],
            env={**os.environ, "JOBYARD_HOME": str(home), **settings},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"mail sink listens port=(\d+)", line)
        assert found, line + self.process.stderr.read()
        self.port = int(found[1])

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=30)

    def send(self, content: bytes, *recipients: str, sender: str = "from@example.org") -> None:
        with self.client() as client:
            client.sendmail(sender, recipients or ["to@example.org"], content)

    def mails(self) -> list[bytes]:
        """In the order of their names."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.eml"))]

    def log(self) -> str:
        return (self.home / "logs" / "mail.jsonl").read_text()

    def end(self) -> int:
        """Wait for its end, and give its exit status."""
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
