"""Telling a client of the end of its job or batch."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class CallbackMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted, and where."""

    url: str
    headers: Mapping[str, str]  # the signature among them
    body: bytes  # JSON


class Callbacks(Protocol):
    """Words and signs what a client is told (Standard Webhooks 1.0)."""

    def of_job(self, job_id: UUID, message_id: str, finished_at: datetime | None = None) -> CallbackMessage:
        """How a job ended.

        Args:
            job_id: which job.
            message_id: the same for every try, so that the client can tell a repetition.
            finished_at: which of its ends is meant; None: any.

        Raises:
            Fatal: there is nothing to tell any more, or nobody to tell it to.
            Retryable: the ledger is away.
        """

    def of_batch(self, batch_id: UUID, message_id: str) -> CallbackMessage:
        """How the jobs of a batch ended; as `of_job`."""
