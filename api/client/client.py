"""What a client can do: submit, wait, read, download, cancel, retry; and what it can with its schedules."""

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from api.client.answers import (
    Acted,
    Artifact,
    Batch,
    BatchPage,
    FailureList,
    Job,
    JobPage,
    ListedBatch,
    Purged,
    Queue,
    QueueList,
)
from api.client.connection import Connection, posted
from api.client.schedules import Schedules

W = TypeVar("W", Job, Batch)
P = TypeVar("P", JobPage, BatchPage)

_LONGEST_WAIT = 30.0  # seconds that one request asks for; longer waits take several


class Client:
    """Talks to one API with one key; threads may share it.

    A submission carries an Idempotency-Key, its own or a given one, so that trying it again never makes a
    second job. Every method raises `ApiError` where the API refuses, and `Unreachable` where it does not
    answer. What waits repeats nothing after its timeout, and an answer may take 15 s longer than it should.

    Args:
        url: of the API, without a path.
        key: of a client, `jy_…`.
        connections: kept open.

    Raises:
        ValueError: the URL is none of http or https, or the key holds what no key does.
    """

    def __init__(self, url: str, key: str, *, connections: int = 8) -> None:
        self.url = url
        self._api = Connection(url, key, connections)
        self.schedules = Schedules(self._api)

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
        self._api.close()

    def submit(
        self, kind: str, payload: Mapping[str, Any], *, idempotency_key: str | None = None, **options: Any
    ) -> Job:
        """Submit a job; options are further members of the request (`tags`, `scheduled_at` …)."""
        return self._submit({"kind": kind, "payload": payload, **options}, idempotency_key)

    def run(
        self,
        kind: str,
        payload: Mapping[str, Any],
        timeout: float,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Job:
        """Submit a job and wait for its end: as `submit` and `wait`, in one request where that will do."""
        give_up_at = time.monotonic() + timeout
        wish = {"kind": kind, "payload": payload, **options}
        job = self._submit(wish, idempotency_key, _seconds(timeout), give_up_at)
        return job if job.ended else self.wait(job.id, give_up_at - time.monotonic())

    def batch(
        self, jobs: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None, **options: Any
    ) -> Batch:
        """Submit several jobs, all or none; each as a request has it, with `kind` and `payload` at least."""
        body = {"jobs": jobs, **options}
        return self._api.ask(Batch, "POST", "/v1/batches", posted(idempotency_key), msgspec.json.encode(body))

    def read_batch(self, batch_id: str) -> Batch:
        """How a batch stands."""
        return self._api.ask(Batch, "GET", f"/v1/batches/{batch_id}")

    def wait_batch(self, batch_id: str, timeout: float) -> Batch:
        """The batch once all of its jobs ended, or as it stands after `timeout` seconds."""
        return self._wait(Batch, f"/v1/batches/{batch_id}", timeout)

    def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel all jobs of a batch that have not ended; those that run are asked to stop."""
        return self._api.ask(Batch, "POST", f"/v1/batches/{batch_id}/cancel")

    def job(self, job_id: str) -> Job:
        """Read a job."""
        return self._api.ask(Job, "GET", f"/v1/jobs/{job_id}")

    def wait(self, job_id: str, timeout: float) -> Job:
        """The job once it ended, or as it stands after `timeout` seconds."""
        return self._wait(Job, f"/v1/jobs/{job_id}", timeout)

    def jobs(self, limit: int, **wanted: str) -> Iterator[Job]:
        """Jobs, newest first, without payload, result and history."""
        pages = self._pages(JobPage, "/v1/jobs", limit, wanted)
        return islice((job for page in pages for job in page.jobs), limit)

    def batches(self, limit: int, **wanted: str) -> Iterator[ListedBatch]:
        """Batches, newest first, with their jobs not counted."""
        pages = self._pages(BatchPage, "/v1/batches", limit, wanted)
        return islice((batch for page in pages for batch in page.batches), limit)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that runs is asked to stop."""
        return self._api.ask(Job, "POST", f"/v1/jobs/{job_id}/cancel")

    def retry(self, job_id: str) -> Job:
        """Run a failed or cancelled job again; after a broken connection it is for the caller to look."""
        return self._api.ask(Job, "POST", f"/v1/jobs/{job_id}/retry", once=True)

    def cancel_all(self, *, dry_run: bool = False, **wanted: str) -> Iterator[Acted]:
        """Cancel all jobs that fit a filter; one answer for each 10,000 of them at most."""
        return self._act("cancel", dry_run=dry_run, **wanted)

    def retry_all(self, *, dry_run: bool = False, **wanted: str) -> Iterator[Acted]:
        """Run all failed and cancelled jobs again that fit a filter; as `cancel_all`."""
        return self._act("retry", dry_run=dry_run, **wanted)

    def _act(self, act: str, **asked: Any) -> Iterator[Acted]:
        token: str | None = None
        while True:
            body = msgspec.json.encode(asked | ({"page_token": token} if token else {}))
            headers = {"Content-Type": "application/json"}
            done = self._api.ask(Acted, "POST", f"/v1/jobs/{act}", headers, body, once=True)
            yield done
            token = done.next_page_token
            if token is None:
                return

    def failures(self, **wanted: str) -> FailureList:
        """What jobs failed with, by error: of the last 24 hours where no `created_after` is given."""
        return self._api.ask(FailureList, "GET", "/v1/failures?" + urlencode(wanted))

    def queues(self) -> list[Queue]:
        """All queues; this and what follows needs a key with the scope `operate`."""
        return self._api.ask(QueueList, "GET", "/v1/queues").queues

    def queue(self, name: str) -> Queue:
        """A queue as it is now."""
        return self._api.ask(Queue, "GET", _queue_path(name))

    def pause(self, name: str) -> Queue:
        """Let nothing of a queue begin; what runs goes on."""
        return self._api.ask(Queue, "POST", _queue_path(name, "/pause"))

    def resume(self, name: str) -> Queue:
        """Let a paused queue go on."""
        return self._api.ask(Queue, "POST", _queue_path(name, "/resume"))

    def purge(self, name: str, *, dry_run: bool = False, until: datetime | None = None) -> Purged:
        """Cancel what waits in a queue, 10,000 jobs at most: ask again with `until` while there are more."""
        body = msgspec.json.encode({"confirm": name, "dry_run": dry_run, "until": until})
        return self._api.ask(
            Purged, "POST", _queue_path(name, "/purge"), {"Content-Type": "application/json"}, body
        )

    def artifact(self, job_id: str, name: str) -> bytes:
        """The bytes of a job's artifact."""
        with self._api.download(_artifact_path(job_id, name)) as pieces:
            return b"".join(pieces)

    def download(self, job_id: str, name: str, target: Path) -> None:
        """Write a job's artifact to a file, piece by piece; it replaces what is there once it is whole."""
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with self._api.download(_artifact_path(job_id, name)) as pieces, part.open("wb") as file:
                file.writelines(pieces)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def upload(self, name: str, content: bytes, content_type: str = "application/octet-stream") -> Artifact:
        """Store a file for payloads to name by its id."""
        path = "/v1/artifacts?" + urlencode({"name": name})
        return self._api.ask(Artifact, "POST", path, {"Content-Type": content_type}, content, once=True)

    def delete_upload(self, artifact_id: str) -> None:
        """Delete a file that was uploaded; a job that names it and has not read it yet will fail."""
        self._api.tell("DELETE", f"/v1/artifacts/{quote(artifact_id, safe='')}")

    def _submit(
        self, submission: Mapping[str, Any], key: str | None, wait: int = 0, give_up_at: float = math.inf
    ) -> Job:
        headers = posted(key) | ({"Prefer": f"wait={wait}"} if wait else {})
        body = msgspec.json.encode(submission)
        return self._api.ask(Job, "POST", "/v1/jobs", headers, body, wait=wait, give_up_at=give_up_at)

    def _pages(self, type_: type[P], path: str, size: int, wanted: Mapping[str, str]) -> Iterator[P]:
        """The pages of a list, one after the other."""
        words: dict[str, Any] = {**wanted, "page_size": min(size, 100)}
        while True:
            page = self._api.ask(type_, "GET", f"{path}?{urlencode(words)}")
            yield page
            if not page.next_page_token:
                return
            words["page_token"] = page.next_page_token

    def _wait(self, type_: type[W], path: str, timeout: float) -> W:
        give_up_at = time.monotonic() + timeout
        while True:
            left = max(0.0, give_up_at - time.monotonic())
            seconds = _seconds(left)
            found = self._api.ask(
                type_, "GET", path, {"Prefer": f"wait={seconds}"}, wait=seconds, give_up_at=give_up_at
            )
            if found.ended or left <= 0:
                return found
            if seconds == 0:
                time.sleep(min(left, 0.1))


def _seconds(timeout: float) -> int:
    return int(max(0.0, min(timeout, _LONGEST_WAIT)))


def _queue_path(name: str, act: str = "") -> str:
    return f"/v1/queues/{quote(name, safe='')}{act}"


def _artifact_path(job_id: str, name: str) -> str:
    return f"/v1/jobs/{job_id}/artifacts/{quote(name, safe='')}"
