"""Rate limits as a client reads them: draft-ietf-httpapi-ratelimit-headers-11."""

from api.applications import Params, Request, Response
from api.errors import Problem
from api.limits import RateLimiter, Standing
from worker.ledger.clients import Client

_POLICY = "key"  # the name of the one policy


class Throttling:
    """Counts each request under its key, and refuses those that are too many; behind `Authentication`.

    Args:
        limiter: counts.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def process_resource(self, req: Request, resp: Response, _resource: object, _params: Params) -> None:
        """Count the request and tell where its key stands.

        Raises:
            Problem: 429, with the seconds until the next window.
        """
        client: Client | None = req.context.get("client")
        if client is None or client.key_id is None:
            return
        standing = self._limiter.hit(client.key_id)
        resp.set_header("RateLimit-Policy", f'"{_POLICY}";q={standing.quota};w={standing.window}')
        resp.set_header("RateLimit", f'"{_POLICY}";r={max(0, standing.remaining)};t={standing.seconds}')
        if standing.remaining < 0:
            raise _too_many(standing)


def _too_many(standing: Standing) -> Problem:
    return Problem(
        429,
        f"this key may send {standing.quota} requests in {standing.window} s",
        code="rate-limited",
        headers={"Retry-After": str(standing.seconds)},
    )
