"""The API as a suspicious client uses it: every try alone, whatever comes of it.

Not `api.client`, whose repetitions would hide the tries that the checker wants to know of.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import urllib3

_PATIENCE = urllib3.Timeout(connect=2.0, read=15.0)  # seconds

Document = dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """What came of one request."""

    status: int | None  # None: no answer
    failure: str | None = None  # why there is none: refused, broken or timeout
    body: Document = {}
    content_type: str = ""
    retry_after: float | None = None  # seconds


class Api:
    """One API and one key; threads may share it.

    Args:
        port: on loopback; nothing else is ever spoken to.
        key: of a client.
        connections: kept open.
    """

    def __init__(self, port: int, key: str, connections: int) -> None:
        self._pool = urllib3.HTTPConnectionPool(
            "127.0.0.1",
            port,
            timeout=_PATIENCE,
            maxsize=connections,
            block=True,
            retries=False,
            headers={"Authorization": f"Bearer {key}"},
        )

    def submit(self, key: str, kind: str, payload: Mapping[str, Any], options: Mapping[str, Any]) -> Answer:
        """Try to submit a job under an Idempotency-Key."""
        body = msgspec.json.encode({"kind": kind, "payload": payload, **options})
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._request("POST", "/v1/jobs", body, headers)

    def job(self, job_id: str) -> Answer:
        """Try to read a job."""
        return self._request("GET", f"/v1/jobs/{job_id}")

    def cancel(self, job_id: str) -> Answer:
        """Try to cancel a job."""
        return self._request("POST", f"/v1/jobs/{job_id}/cancel")

    def any_in(self, state: str) -> Answer:
        """Try to list one job that is in a state."""
        return self._request("GET", f"/v1/jobs?state={state}&page_size=1")

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        try:
            answer = self._pool.request(
                method, path, body=body, headers={**self._pool.headers, **(headers or {})}
            )
        except urllib3.exceptions.NewConnectionError:
            return Answer(None, "refused")
        except urllib3.exceptions.TimeoutError:
            return Answer(None, "timeout")
        except urllib3.exceptions.HTTPError:
            return Answer(None, "broken")
        return Answer(
            answer.status,
            body=_document(answer.data),
            content_type=answer.headers.get("Content-Type", ""),
            retry_after=_seconds(answer.headers.get("Retry-After")),
        )


def _document(body: bytes) -> Document:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
