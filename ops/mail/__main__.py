"""The composition root of the mail sink."""

import asyncio
import logging
import os
import sys

from ops.mail.folder import MailFolder
from ops.mail.sink import Sink
from worker import logs
from worker.settings import Settings

_HEADROOM = 1024 * 1024  # bytes for what a client adds to a mail of the largest size


def main() -> None:
    """Serve until SIGTERM; the exit status is 1 where the port is taken or the folder cannot be made."""
    settings = Settings.from_environment(os.environ)
    logs.set_up(settings, "mail")
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells every address otherwise
    folder = MailFolder(settings.home_path)
    try:
        folder.create()
        asyncio.run(Sink(folder, settings.mail_max_bytes + _HEADROOM).run(settings.mail_port))
    except OSError as error:
        sys.exit(f"the mail sink cannot run: {error}")


main()
