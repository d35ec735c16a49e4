"""One attempt of one job: what its handler sees, and what the attendant watches."""

import contextlib
import time
from collections.abc import Iterator
from typing import BinaryIO, TypeVar, cast
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from worker.catalog import AnyKind
from worker.contract.context import LARGEST_CHECKPOINT, Log
from worker.contract.errors import Cancelled, Fatal, Retryable
from worker.ledger.artifacts import find_artifact
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact, ClaimedJob
from worker.runtime.bundle import Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.storage import Storage

_LONGEST_NAME = 200
_UNNAMEABLE = set('/\\"')  # they would not survive a Content-Disposition
_LONGEST_NOTE = 500
_CANCEL_GRACE = 5.0  # seconds that a cancelled handler gets to stop by itself

T = TypeVar("T")


class Progress(msgspec.Struct, frozen=True):
    """How far a job is."""

    done: float
    total: float | None
    note: str | None


class Attempt:
    """The `Context` of a handler."""

    def __init__(
        self,
        kind: AnyKind,
        job: ClaimedJob,
        ledger: Ledger,
        storage: Storage,
        checkpoints: Checkpoints,
        *,
        bundle: Bundle,
    ) -> None:
        self.job = job
        self.bundle = bundle  # in which it travels
        self.deadline = kind.deadline
        self.started = time.monotonic()
        self.artifacts: dict[str, Artifact] = {}
        self.unsaid_progress: bytes | None = None  # JSON; written to the ledger by the attendant
        self.unwanted_since: float | None = None  # monotonic time at which a stop was asked for
        self.overrun = False
        self.marked = False  # the ledger knows that it overran
        self.doomed_since: float | None = None  # monotonic time since which its process is to end
        self._checkpoint = (job.checkpoint or "null").encode()
        self._checkpoints = checkpoints
        self._ledger = ledger
        self._storage = storage
        self._log = logger.bind(
            job=str(job.id), kind=job.kind, attempt=job.attempt, request_id=job.request_id
        )

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.job.id)

    @property
    def kind(self) -> str:
        """The job's kind."""
        return self.job.kind

    @property
    def attempt(self) -> int:
        """This run, counted from 1."""
        return self.job.attempt

    @property
    def max_attempts(self) -> int:
        """How many runs the job has in all."""
        return self.job.max_attempts

    @property
    def request_id(self) -> str | None:
        """The id of the HTTP request that submitted the job."""
        return self.job.request_id

    @property
    def log(self) -> Log:
        """A logger bound to this attempt."""
        return cast("Log", self._log)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should stop."""
        return self.unwanted_since is not None

    @property
    def stubborn(self) -> bool:
        """Whether it should have stopped long ago."""
        since = self.unwanted_since
        return since is not None and time.monotonic() - since > _CANCEL_GRACE

    def check_cancelled(self) -> None:
        """Raise `Cancelled` where this attempt should stop."""
        if self.cancelled:
            raise Cancelled("cancelled while it ran")

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.started + self.deadline - time.monotonic())

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Let clients read how far the work is."""
        # Made into JSON here, so that what cannot be is this handler's error and nobody else's.
        progress = Progress(
            float(done), None if total is None else float(total), note and str(note)[:_LONGEST_NOTE]
        )
        self.unsaid_progress = msgspec.json.encode(progress)

    def checkpoint(self, expected: type[T]) -> T | None:
        """What an attempt of this job saved last."""
        if self._checkpoint == b"null":
            return None
        try:
            return msgspec.json.decode(self._checkpoint, type=expected)
        except msgspec.ValidationError as error:
            raise Fatal(f"the checkpoint does not fit this version of {self.kind}: {error}") from None

    def save_checkpoint(self, value: object) -> None:
        """Note what is done, so that a later attempt need not do it again."""
        checkpoint = msgspec.json.encode(value)
        if len(checkpoint) > LARGEST_CHECKPOINT:
            raise ValueError(
                f"a checkpoint of {len(checkpoint)} bytes; at most {LARGEST_CHECKPOINT} are kept,"
                " and more belongs into an artifact"
            )
        try:
            held = self._checkpoints.save(self.job, checkpoint, self.remaining())
        except (SQLAlchemyError, TimeoutError) as error:
            raise Retryable(f"the ledger took no checkpoint: {type(error).__name__}") from error
        if not held:
            raise Cancelled("the job was taken from this worker")
        self._checkpoint = checkpoint

    @contextlib.contextmanager
    def save_artifact(self, name: str, content_type: str = "application/octet-stream") -> Iterator[BinaryIO]:
        """A file to write into; it becomes an artifact with the attempt's outcome."""
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or set(name) & _UNNAMEABLE:
            raise ValueError(
                f"{name!r} is no name of an artifact: 1 to {_LONGEST_NAME} printable characters, "
                "no slash, backslash or quotation mark"
            )
        with self._storage.create() as (artifact_id, file):
            yield cast("BinaryIO", file)
        self.artifacts[name] = Artifact(
            id=artifact_id,
            client_id=self.job.client_id,
            job_id=self.job.id,
            name=name,
            content_type=content_type,
            size=file.size,
            sha256=file.sha256,
        )

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        """Read an artifact that the job's client owns."""
        try:
            wanted = UUID(artifact_id)
            # Not from a replica: the client may have stored it a moment ago.
            with self._ledger.write() as connection:
                found = find_artifact(connection, wanted, self.job.client_id)
            if found is not None:
                return self._storage.open(found.id)
        except (ValueError, FileNotFoundError):
            pass
        raise Fatal(f"there is no artifact {artifact_id!r}")
