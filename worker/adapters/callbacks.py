"""The port `Callbacks`: what a client is told of a job or a batch, signed by the library `standardwebhooks`.

A job is told as the API lists it, with its result where that is small, and a batch as the API shows it. A
message should stay below 20 kB (Standard Webhooks, "Payload size"); whoever wants more follows its link.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from standardwebhooks import Webhook

from worker.contract import Fatal, Retryable
from worker.contract.ports import CallbackMessage
from worker.contract.states import FINAL, Priority, State
from worker.ledger import batches, jobs, webhook_secrets
from worker.ledger.engines import Ledger
from worker.ledger.tables import batches as batches_table

LARGEST_RESULT = 16 * 1024  # bytes of JSON

_JOB = (
    "id",
    "kind",
    "queue",
    "state",
    "attempt",
    "max_attempts",
    "created_at",
    "scheduled_at",
    "expires_at",
    "started_at",
    "finished_at",
    "cancel_requested_at",
    "error",
    "tags",
    "unique_key",
    "batch_id",
)
_BATCH = ("id", "size", "tags", "created_at", "finished_at")


class SignedCallbacks:
    """Reads the ledger at each try, so that a rotated secret counts at once.

    Args:
        ledger: has jobs, batches and secrets.
        plain_http: whether a URL may be http.
    """

    def __init__(self, ledger: Ledger, *, plain_http: bool) -> None:
        self._ledger = ledger
        self._schemes = ("https://", "http://") if plain_http else ("https://",)

    def of_job(self, job_id: UUID, message_id: str, finished_at: datetime | None = None) -> CallbackMessage:
        """See `worker.contract.ports.Callbacks`."""
        with self._reading() as connection:
            job = jobs.find(connection, job_id)
            if job is None:
                raise Fatal("the job was pruned meanwhile")
            if job["state"] not in FINAL or finished_at not in {None, job["finished_at"]}:
                raise Fatal("the job was run again meanwhile; its next end has a callback of its own")
            keys = webhook_secrets.live(connection, job["client_id"])
        event = _event(f"job.{State(job['state'])}", job["finished_at"], _job(job))
        return self._signed(job["callback"], event, keys, message_id)

    def of_batch(self, batch_id: UUID, message_id: str) -> CallbackMessage:
        """See `worker.contract.ports.Callbacks`."""
        with self._reading() as connection:
            wanted = select(batches_table).where(batches_table.c.id == batch_id)
            batch = connection.execute(wanted).mappings().one_or_none()
            if batch is None:
                raise Fatal("the batch was pruned meanwhile")
            counts = batches.counts(connection, batch_id)
            keys = webhook_secrets.live(connection, batch["client_id"])
        event = _event("batch.finished", batch["finished_at"], _batch(batch, counts))
        return self._signed(batch["callback"], event, keys, message_id)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._ledger.write() as connection:  # the replica may be late, and a secret may be made
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise Retryable(f"the ledger: {type(error).__name__}") from error

    def _signed(self, url: str | None, body: bytes, keys: list[bytes], message_id: str) -> CallbackMessage:
        if url is None or not keys:
            raise Fatal("there is nobody to tell: the callback or its client was removed")
        if not url.lower().startswith(self._schemes):
            raise Fatal("callbacks go to https URLs alone; JOBYARD_CALLBACK_HTTP lets them go to http too")
        now = datetime.now(UTC)
        signatures = (Webhook(key).sign(message_id, now, body.decode()) for key in keys)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return CallbackMessage(url=url, headers=headers, body=body)


def _event(kind: str, moment: datetime, data: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "timestamp": moment, "data": data})


def _job(job: Mapping[Any, Any]) -> dict[str, Any]:
    fits = len(msgspec.json.encode(job["result"])) <= LARGEST_RESULT
    return {
        **{name: job[name] for name in _JOB},
        "priority": Priority.of_rank(job["priority"]),
        "result": job["result"] if fits else None,
        "omitted": [] if fits else ["result"],
        "links": _links(job),
    }


def _links(job: Mapping[Any, Any]) -> dict[str, str]:
    links = {"self": f"/v1/jobs/{job['id']}"}
    return links | ({"batch": f"/v1/batches/{job['batch_id']}"} if job["batch_id"] else {})


def _batch(batch: Mapping[Any, Any], counts: Mapping[State, int]) -> dict[str, Any]:
    return {
        **{name: batch[name] for name in _BATCH},
        "done": all(state in FINAL for state in counts),  # not where a job was run again meanwhile
        "counts": dict(sorted(counts.items())),
        "links": {"self": f"/v1/batches/{batch['id']}", "jobs": f"/v1/jobs?batch={batch['id']}"},
    }
