"""What the network does wrong, in the words of the contract."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead, LineTooLong

from worker.adapters.http.url import Url
from worker.contract import Fatal, Retryable


@contextmanager
def translated(url: Url) -> Iterator[None]:
    """Turn errors of sockets, TLS and HTTP into `Fatal` and `Retryable`. Only the host is named."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Fatal(f"the certificate of {url.name} is not valid: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise Retryable(f"TLS with {url.name} failed: {error.reason or 'unknown reason'}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Retryable(f"the connection to {url.name} failed: {reason}") from error
    except IncompleteRead as error:
        raise Retryable(f"{url.name} closed the connection before its answer was complete") from error
    except HTTPException as error:
        if isinstance(error, LineTooLong) or type(error) is HTTPException:  # http.client: too many headers
            raise Fatal(f"the headers of {url.name} are too large") from error
        raise Retryable(f"{url.name} does not speak HTTP: {type(error).__name__}") from error
