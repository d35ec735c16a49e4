"""Who runs the servers: the caller or, as root, an account with fewer rights.

PostgreSQL refuses to run as root, and Valkey need not. The hard case is a folder on the way that root alone
may enter, such as a clone in `/root` or in a folder of `mktemp -d`; the folders on the way stay as they are.
Where it stands before the data, the server is started inside its data folder and finds it as its working
folder, with no privilege at all. Where it stands before the binaries too, the server keeps one capability
of root's, to read and search any folder, and nothing that writes.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops.embedded.program import ServerError

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}  # nothing of ours steers a server

_TRIAL = 'cd -- "$1" && exec "$2" --version'

_HERE = Path("/proc/self/cwd")  # a link that the kernel follows without walking there; Linux has it

# setpriv(1) of util-linux; capabilities(7). The ambient set hands the capability to the server, which has
# no privilege otherwise. `no_setuid_fixup` makes access(2) respect it: PostgreSQL asks so for its own files.
_CAPABILITY = (
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
    "--securebits=+no_setuid_fixup",
)


@dataclass(frozen=True)
class Account:
    """An account of this machine, and the way to become it."""

    name: str
    uid: int
    gid: int
    switch: bool = False  # whether a child must become it
    inside: bool = False  # whether it reaches its folder only by being started there
    prefix: tuple[str, ...] = ()  # a command that becomes it, where `switch` would not do

    @property
    def owner(self) -> tuple[int, int]:
        """User and group ids."""
        return (self.uid, self.gid)

    @property
    def popen(self) -> dict[str, Any]:
        """What `subprocess.Popen` is told, so that its child becomes this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()} if self.switch else {}

    def own(self, folder: Path) -> None:
        """Hand a folder, just made, over to it."""
        if os.geteuid() == 0:
            os.chown(folder, self.uid, self.gid)

    def path(self, folder: Path) -> Path:
        """What a process of its that was started in the folder calls it."""
        return _HERE if self.inside else folder

    def run(
        self, argv: Sequence[str], folder: Path, descriptors: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder to its end, and return what it said.

        Args:
            argv: the command.
            folder: to start it in.
            descriptors: files that it inherits.
        """
        return subprocess.run(
            [*self.prefix, *argv],
            **self.popen,
            env=ENVIRONMENT,
            cwd=folder,
            pass_fds=descriptors,
            start_new_session=True,  # a Ctrl-C is for us to act on
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def server_account(user: str) -> Account:
    """The account of the servers: the caller's or, as root, the given one.

    Raises:
        ServerError: as root, the account does not exist or is root.
    """
    if os.geteuid() != 0:
        return Account(account_name(os.geteuid()), os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ServerError(
            f"as root, the embedded servers run as {user!r}, which is no account of this machine: set"
            " JOBYARD_SERVER_USER to one"
        ) from None
    if entry.pw_uid == 0:
        raise ServerError("PostgreSQL refuses to run as root: set JOBYARD_SERVER_USER to another account")
    return Account(user, entry.pw_uid, entry.pw_gid, switch=True)


def entering(account: Account, binary: Path, folder: Path) -> Account:
    """The account, in a form that can run the binary in the folder: found by trying.

    Raises:
        ServerError: none can; the message says what to set.
    """
    if not account.switch:
        return account
    problems = []
    for form in _forms(account):
        problem = _try(form, binary, folder)
        if not problem:
            return form
        problems.append(problem)
    raise ServerError(
        f"as root, the embedded servers run as {account.name!r}, which cannot run {binary} in {folder}"
        f" ({problems[0]}): set JOBYARD_HOME to a folder that this account can enter and install Jobyard in"
        " another such folder, or start it as an ordinary user, or set JOBYARD_DATABASE_URL and"
        " JOBYARD_BROKER_URL to servers of your own"
    )


def _forms(account: Account) -> Iterator[Account]:
    """From the fewest means to the most."""
    yield account
    if _HERE.is_symlink():
        yield replace(account, inside=True)
    setpriv = shutil.which("setpriv")
    if setpriv:
        prefix = (setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", *_CAPABILITY)
        yield replace(account, switch=False, prefix=prefix)


def _try(account: Account, binary: Path, folder: Path) -> str:
    """What goes wrong, if anything."""
    argv = ["/bin/sh", "-c", _TRIAL, "sh", str(account.path(folder)), str(binary)]
    done = account.run(argv, folder)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit status {done.returncode}"


def account_name(uid: int) -> str:
    """The name of a user id, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
