"""The SMTP server: it takes what fits, stores it, and knows no other server to send it to."""

import asyncio
import errno
import signal
from contextlib import suppress

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax
from loguru import logger

from ops.mail.folder import MailFolder

HOST = "127.0.0.1"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PATIENCE = 5.0  # seconds that a client gets to finish the mail it is sending when the sink is told to end


class Sink:
    """Stores mails until it is told to end.

    Args:
        folder: where they go; it exists.
        limit: largest mail, in bytes; announced by SIZE (RFC 1870).
    """

    def __init__(self, folder: MailFolder, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._in_hand: set[_Connection] = set()
        self._empty_handed = asyncio.Event()
        self._empty_handed.set()

    async def run(self, port: int) -> None:
        """Serve on loopback until SIGTERM or SIGINT, and end with no mail half taken.

        Args:
            port: 0 picks a free one, which the log tells.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        told_to_end = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told_to_end.set)
        server = await loop.create_server(lambda: _Connection(self, self._limit), HOST, port)
        logger.info("mail sink listens", port=server.sockets[0].getsockname()[1])
        await told_to_end.wait()
        server.close()
        await self._finish()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Store a mail. Nothing is awaited between its fsync and the reply: no signal comes between them."""
        content = envelope.original_content or b""
        try:
            path = self._folder.store(envelope.mail_from or "", envelope.rcpt_tos, content)
        except OSError as error:
            logger.error("mail not stored", reason=str(error), size=len(content))
            if error.errno in _FULL:
                return "452 4.3.1 There is no room for this mail; try again later"
            return "451 4.3.0 This mail cannot be stored; try again later"
        logger.info("mail stored", mail=path.stem, size=len(content))
        return f"250 2.0.0 Stored as {path.stem}"

    def begin(self, connection: "_Connection") -> None:
        """Note that a mail is coming in."""
        self._in_hand.add(connection)
        self._empty_handed.clear()

    def end(self, connection: "_Connection") -> None:
        """Note that it was answered."""
        self._in_hand.discard(connection)
        if not self._in_hand:
            self._empty_handed.set()

    async def _finish(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty_handed.wait(), _PATIENCE)


class _Connection(SMTP):
    """One client, whose mail is in hand from DATA to the reply."""

    def __init__(self, sink: Sink, limit: int) -> None:
        self._sink = sink
        super().__init__(
            sink,
            data_size_limit=limit,
            enable_SMTPUTF8=True,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            hostname="localhost",  # the name of this machine would be asked of DNS
            ident="Jobyard mail sink, which sends nothing on",
        )

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        self._sink.begin(self)
        try:
            await super().smtp_DATA(arg)
        finally:
            self._sink.end(self)
