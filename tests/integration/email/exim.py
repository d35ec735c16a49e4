"""A real mail server: Debian's Exim on loopback, with a configuration of its own and local mailboxes."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ops.embedded.ports import free_ports
from tests.awaiting import eventually

PROGRAM = shutil.which("exim4") or "/usr/sbin/exim4"
ACCOUNT = "Debian-exim"
DOMAIN = "example.test"

CONFIGURATION = f"""
primary_hostname = mail.{DOMAIN}
spool_directory = FOLDER/spool
log_file_path = FOLDER/spool/%s.log
keep_environment =
tls_advertise_hosts =
local_interfaces = 127.0.0.1
domainlist local_domains = {DOMAIN}
message_size_limit = 200K
deliver_drop_privilege = true
acl_smtp_mail = check_sender
acl_smtp_rcpt = check_recipient
acl_smtp_data = accept

begin acl
check_sender:
  defer condition = ${{if exists{{FOLDER/closing}}}}
        message = 421 4.3.2 {DOMAIN} is going down
  accept

check_recipient:
  defer condition = ${{if exists{{FOLDER/greylisting}}}}
        local_parts = cy
        message = 450 4.2.0 greylisted, come back later
  accept domains = +local_domains
         local_parts = ada : cy
  deny message = 550 5.1.1 nobody of that name here

begin routers
local:
  driver = accept
  domains = +local_domains
  local_parts = ada : cy
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  directory = FOLDER/spool/mail/$local_part_data
  create_directory
  maildir_format
  user = {ACCOUNT}
"""


class Exim:
    """The running server."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.port = port

    def mails(self, local_part: str) -> list[bytes]:
        """The mails in a mailbox; Exim delivers soon after it has said 250."""
        inbox = self._folder / "spool/mail" / local_part / "new"
        return [path.read_bytes() for path in sorted(inbox.glob("*"))]

    @contextmanager
    def being(self, what: str) -> Iterator[None]:
        """For as long as the context lasts: `closing` or `greylisting`."""
        flag = self._folder / what
        flag.touch()
        yield
        flag.unlink()


def missing() -> str | None:
    """Why there can be none here."""
    if not Path(PROGRAM).exists():
        return "needs Debian's exim4-daemon-light: a real mail server"
    return None if os.geteuid() == 0 else "needs to be root, as Exim starts for nobody else"


@contextmanager
def running() -> Iterator[Exim]:
    """Start one on a free port, and stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="jobyard-exim-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        account = pwd.getpwnam(ACCOUNT)
        (folder / "spool").mkdir()
        os.chown(folder / "spool", account.pw_uid, account.pw_gid)
        configuration = folder / "exim.conf"
        configuration.write_text(CONFIGURATION.replace("FOLDER", name))
        (port,) = free_ports(1)
        arguments = ["-bdf", "-oX", str(port), "-C", str(configuration)]
        with subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.PIPE) as process:
            try:
                eventually(lambda: _listens(port) or process.poll() is not None)
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                yield Exim(folder, port)
            finally:
                process.terminate()


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False
