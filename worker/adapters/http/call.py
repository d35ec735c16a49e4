"""A request to one URL, and the one that a redirect turns it into."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from worker.adapters.http.url import Url

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# What another origin may see. Everything else stays behind, for any header of a client's own making may
# be a credential (X-Api-Key), not Authorization and Cookie alone (RFC 9110, section 15.4).
PORTABLE = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "range",
        "user-agent",
    }
)


@dataclass(frozen=True)
class Call:
    """What is sent to one URL."""

    method: str
    url: Url
    headers: Mapping[str, str]  # names in lower case
    body: bytes | None

    def redirected(self, status: int, location: str) -> "Call":
        """The call that follows an answer with a Location (RFC 9110, section 15.4).

        Raises:
            Unfetchable: the Location is no URL that can be fetched.
        """
        call = self._reading() if self._becomes_get(status) else self
        # http.client takes the bytes of headers for Latin-1; what is not ASCII in a Location is UTF-8.
        url = self.url.join(location.encode("latin-1").decode(errors="replace"))
        if url.origin == self.url.origin:
            return replace(call, url=url)
        headers = {name: value for name, value in call.headers.items() if name in PORTABLE}
        return replace(call, url=url, headers=headers)

    def _becomes_get(self, status: int) -> bool:
        return self.method == "POST" and status in {301, 302, 303}

    def _reading(self) -> "Call":
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.startswith("content-") and not name.endswith("digest")
        }
        return replace(self, method="GET", headers=headers, body=None)
