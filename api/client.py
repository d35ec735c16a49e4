"""A small client of the HTTP API, for commands and tests. Nothing that serves imports it."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
import urllib3

from worker.contract.states import FINAL

_LONGEST_WAIT = 30.0  # seconds that one request asks for; longer waits take several
_PATIENCE = 15.0  # seconds beyond the wait that was asked for

Job = dict[str, Any]


class Unreachable(Exception):  # noqa: N818 - a condition that callers expect
    """The API did not answer."""


class ApiError(Exception):
    """The API refused a request; `problem` is its answer (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        details = "; ".join(f"{item['field']}: {item['reason']}" for item in problem.get("errors", ()))
        super().__init__(details or problem.get("detail") or problem.get("title") or f"HTTP {status}")


class Client:
    """Talks to one API with one key; threads may share it.

    A submission carries an Idempotency-Key of its own, so trying it again after a broken connection never
    makes a second job.
    """

    def __init__(self, url: str, key: str, *, connections: int = 8) -> None:
        self._url = url.rstrip("/")
        retries = urllib3.Retry(
            total=5, backoff_factor=0.2, status_forcelist=(503,), allowed_methods=None, raise_on_status=False
        )
        self._http = urllib3.PoolManager(
            maxsize=connections,
            retries=retries,
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.clear()

    def submit(self, kind: str, payload: Mapping[str, Any], **options: Any) -> Job:
        """Submit a job; options are further members of the request."""
        return self._submit(kind, payload, 0, options)

    def run(self, kind: str, payload: Mapping[str, Any], timeout: float, **options: Any) -> Job:
        """Submit a job and wait for its end: as `submit` and `wait`, in one request where that will do."""
        began = time.monotonic()
        job = self._submit(kind, payload, int(min(timeout, _LONGEST_WAIT)), options)
        if job["state"] in FINAL:
            return job
        return self.wait(job["id"], timeout - (time.monotonic() - began))

    def submit_batch(self, jobs: Sequence[Mapping[str, Any]], **options: Any) -> Job:
        """Submit jobs together, all or none; options are further members of the request.

        Each job is the body of its own submission, and may have a `name` that others put into `after`.
        """
        body = msgspec.json.encode({"jobs": jobs, **options})
        return self._json("POST", "/v1/batches", _submitting(), body, wait=_PATIENCE)

    def wait_for_batch(self, batch_id: str, timeout: float) -> Job:
        """The batch once all of its jobs ended, or as it stands after `timeout` seconds."""
        return self._wait(f"/v1/batches/{batch_id}", timeout, lambda batch: bool(batch["done"]))

    def job(self, job_id: str) -> Job:
        """Read a job."""
        return self._json("GET", f"/v1/jobs/{job_id}")

    def wait(self, job_id: str, timeout: float) -> Job:
        """The job once it ended, or as it stands after `timeout` seconds."""
        return self._wait(f"/v1/jobs/{job_id}", timeout, lambda job: job["state"] in FINAL)

    def _wait(self, path: str, timeout: float, over: Callable[[Job], bool]) -> Job:
        give_up_at = time.monotonic() + timeout
        while True:
            left = max(0.0, give_up_at - time.monotonic())
            seconds = int(min(left, _LONGEST_WAIT))
            found = self._json("GET", path, {"Prefer": f"wait={seconds}"}, wait=seconds)
            if over(found) or left <= 0:
                return found
            if seconds == 0:
                time.sleep(min(left, 0.1))

    def jobs(self, limit: int, **wanted: str) -> Iterator[Job]:
        """Jobs, newest first, without payload, result and history."""
        token = None
        while limit > 0:
            words: dict[str, Any] = {**wanted, "page_size": min(limit, 100)}
            if token:
                words["page_token"] = token
            page = self._json("GET", "/v1/jobs?" + urlencode(words))
            yield from page["jobs"][:limit]
            limit -= len(page["jobs"])
            token = page["next_page_token"]
            if not token:
                return

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._json("POST", f"/v1/jobs/{job_id}/cancel")

    def retry(self, job_id: str) -> Job:
        """Run a failed or cancelled job again."""
        return self._json("POST", f"/v1/jobs/{job_id}/retry")

    def artifact(self, job_id: str, name: str) -> bytes:
        """The bytes of an artifact."""
        return self._request("GET", f"/v1/jobs/{job_id}/artifacts/{name}").data

    def _submit(self, kind: str, payload: Mapping[str, Any], wait: int, options: Mapping[str, Any]) -> Job:
        body = msgspec.json.encode({"kind": kind, "payload": payload, **options})
        headers = _submitting()
        if wait:
            headers["Prefer"] = f"wait={wait}"
        return self._json("POST", "/v1/jobs", headers, body, wait)

    def _json(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        wait: float = 0,
    ) -> Job:
        return msgspec.json.decode(self._request(method, path, headers, body, wait).data, type=dict[str, Any])

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        wait: float = 0,
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._http.request(
                method,
                self._url + path,
                headers={**self._http.headers, **(headers or {})},
                body=body,
                timeout=wait + _PATIENCE,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(type(error).__name__) from error
        if answer.status >= 400:  # noqa: PLR2004 - RFC 9110
            raise ApiError(answer.status, _problem(answer.data))
        return answer


def _submitting() -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
