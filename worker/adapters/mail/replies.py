"""What the mail server says, and what it means for a job."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from worker.contract import Fatal, JobError, Retryable
from worker.contract.ports import Refusal

LONGEST = 170  # bytes of UTF-8: for a hundred recipients they fit into a checkpoint, all escaped in JSON

Reply = tuple[int, bytes]  # as smtplib gives it: -1 where there is no code


def words(reply: bytes | str) -> str:
    """The server's words on one printable line, cut."""
    text = reply if isinstance(reply, str) else reply.decode(errors="replace")
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()).encode()[:LONGEST].decode(errors="ignore")


def is_positive(code: int) -> bool:
    """Done as asked (RFC 5321, section 4.2.1)."""
    return 200 <= code <= 299  # noqa: PLR2004 - reply codes


def is_permanent(code: int) -> bool:
    """Not to be asked again."""
    return 500 <= code <= 599  # noqa: PLR2004 - reply codes


def failure(what: str, reply: Reply) -> JobError:
    """The error for a reply that ends the exchange: 5xx is fatal, anything else may pass."""
    code, said = reply
    text = f"the mail server {what}: {code} {words(said)}"
    return Fatal(text) if is_permanent(code) else Retryable(text)


def refusal(address: str, reply: Reply) -> Refusal:
    """The reply about one recipient."""
    return Refusal(address=address, code=reply[0], message=words(reply[1]))


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Turn errors of sockets, TLS and smtplib into `Fatal` and `Retryable`. Only the host is named."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Fatal(
            f"the certificate of the mail server {host} is not valid: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        raise Retryable(
            f"TLS with the mail server {host} failed: {error.reason or 'unknown reason'}"
        ) from error
    except smtplib.SMTPServerDisconnected as error:
        raise Retryable(f"the mail server {host} closed the connection") from error
    except smtplib.SMTPResponseException as error:
        raise failure("refused", (error.smtp_code, _octets(error.smtp_error))) from error
    except smtplib.SMTPException as error:
        # What JOBYARD_SMTP_URL asks for, STARTTLS or a login, is not there.
        raise Fatal(f"the mail server {host} cannot be used: {words(str(error))}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Retryable(f"the connection to the mail server {host} failed: {reason}") from error
    except ValueError as error:  # UnicodeError for a host that is no name, a challenge that is no base64
        raise Retryable(f"the mail server {host} does not speak SMTP") from error


def _octets(said: bytes | str) -> bytes:
    return said.encode() if isinstance(said, str) else said
