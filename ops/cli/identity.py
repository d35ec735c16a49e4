"""Who gives a command: what the audit log calls them."""

import getpass
import os
import socket


def operator() -> str:
    """The account and the machine that the command runs under."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"
