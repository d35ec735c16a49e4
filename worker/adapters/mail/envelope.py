"""Addresses as mail servers take them."""

from worker.contract import Fatal
from worker.contract.ports import Mailbox


def envelope(mailbox: Mailbox) -> str:
    """The address with its domain in ASCII (IDNA 2008, with the mapping of UTS 46).

    A local part beyond ASCII stays as it is: a server takes it with SMTPUTF8 (RFC 6531), or not at all.

    Raises:
        Fatal: the domain cannot be the name of anything.
    """
    domain = mailbox.domain
    if domain.isascii():
        return mailbox.address
    import idna  # noqa: PLC0415 - its tables, for the few who need them

    try:
        return f"{mailbox.local_part}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError as error:
        raise Fatal(f"the domain of an address is not valid: {error}") from None
