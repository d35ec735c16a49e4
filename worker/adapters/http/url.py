"""The parts of an http or https URL that a request needs."""

from dataclasses import dataclass
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from worker.contract.ports import Unfetchable

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Url:
    """An absolute URL, normalised (RFC 3986, section 6), without fragment and credentials."""

    scheme: str
    host: str  # as it is resolved: lower case, IDNA, an IPv6 address without brackets
    port: int
    target: str  # path and query, percent-encoded

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Take a URL apart.

        Raises:
            Unfetchable: it is none that can be fetched. Its text, which may hold secrets, is not repeated.
        """
        try:
            parts = parse_url(text)
        except LocationParseError:
            raise Unfetchable("the URL cannot be parsed") from None
        host = (parts.host or "").strip("[]")
        if parts.scheme not in PORTS:
            raise Unfetchable("only http and https URLs can be fetched")
        if parts.auth is not None:
            raise Unfetchable("credentials in a URL are refused; send an Authorization header")
        if not host.strip(".") or "%" in host:
            raise Unfetchable("the URL names no host that can be reached")
        if parts.port == 0:
            raise Unfetchable("the URL names port 0, which no server can listen on")
        return cls(parts.scheme, host, parts.port or PORTS[parts.scheme], parts.request_uri)

    def join(self, reference: str) -> "Url":
        """The URL that a reference, such as a Location, leads to from here (RFC 3986, section 5)."""
        try:
            return Url.parse(urljoin(str(self), reference))
        except ValueError:
            raise Unfetchable(f"{self.host} redirects to a URL that cannot be parsed") from None

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are bound to (RFC 6454, section 4)."""
        return self.scheme, self.name, self.port

    @property
    def name(self) -> str:
        """The host as certificates and servers know it: without the dot that ends an absolute name."""
        return self.host.rstrip(".")

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, section 7.2)."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"

    def __str__(self) -> str:
        """The URL again."""
        return f"{self.scheme}://{self.authority}{self.target}"
