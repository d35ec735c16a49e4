"""The guarded HTTP client behind the port `Fetcher`.

A pool of urllib3 or requests resolves a name again when it connects, limits each single read but never
the exchange, and unpacks without a bound. Here the connection is made first, to an address that was
checked, on a socket that keeps to a budget; the standard library speaks HTTP over it, and urllib3 lends
its URL parser and its TLS. What a status means for a job must not live here.
"""

from worker.adapters.http.fetcher import GuardedFetcher

__all__ = ["GuardedFetcher"]
