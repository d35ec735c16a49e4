"""What a handler is given beside its payload."""

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TypeVar

LARGEST_CHECKPOINT = 64 * 1024  # bytes of JSON; it is read with every claim

T = TypeVar("T")


class Log(Protocol):
    """A logger bound to job, kind, attempt and request id: a static event name and fields."""

    def debug(self, event: str, /, **fields: object) -> None:
        """Log for those who look for a fault."""

    def info(self, event: str, /, **fields: object) -> None:
        """Log what happened."""

    def warning(self, event: str, /, **fields: object) -> None:
        """Log what somebody may want to look at."""

    def error(self, event: str, /, **fields: object) -> None:
        """Log what somebody must look at."""


class Context(Protocol):
    """One attempt of one job, as its handler sees it."""

    @property
    def job_id(self) -> str:
        """The job's id; a keyed effect carries it to a place that refuses a second one."""

    @property
    def kind(self) -> str:
        """The job's kind."""

    @property
    def attempt(self) -> int:
        """This run, counted from 1."""

    @property
    def max_attempts(self) -> int:
        """How many runs the job has in all."""

    @property
    def request_id(self) -> str | None:
        """The id of the HTTP request that submitted the job, if one did."""

    @property
    def log(self) -> Log:
        """A logger bound to this attempt."""

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should stop: cancelled, past its deadline, or taken from this worker."""

    def check_cancelled(self) -> None:
        """Raise `Cancelled` once a cancel was requested; call it between steps of long work."""

    def remaining(self) -> float:
        """Seconds until the deadline, never below zero; give it to whatever may block."""

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Let clients read how far the work is; cheap, written at most once a second."""

    def checkpoint(self, expected: type[T]) -> T | None:
        """What an attempt of this job saved last, this one included; None where there is nothing.

        Args:
            expected: a type that msgspec can make of JSON.

        Raises:
            Fatal: what was saved does not fit (another version of the kind saved it).
        """

    def save_checkpoint(self, value: object) -> None:
        """Note what is done, so that a later attempt need not do it again; committed when this returns.

        For effects in several steps on a place that takes no key. At most 64 KiB of JSON; the next one
        replaces it, and None clears it. What happens between an effect and its checkpoint is not noted, so
        save after each step whose repetition hurts. While the ledger is away this waits some seconds.

        Raises:
            Cancelled: the job was taken from this worker, so nothing was noted.
            Retryable: the ledger is away, and whether it was noted is uncertain.
            TypeError, ValueError: it is no JSON, or too large.
        """

    def save_artifact(
        self, name: str, content_type: str = "application/octet-stream"
    ) -> AbstractContextManager[BinaryIO]:
        """A file to write into; it becomes an artifact of the job when the attempt's outcome is recorded."""

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        """Read an artifact that the job's client owns.

        Raises:
            Fatal: there is none of that id.
        """
