"""Stand-ins for what the runtime gives a handler: everything stays in memory and can be looked at."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import msgspec

from worker.contract import Cancelled, Fatal
from worker.contract.context import LARGEST_CHECKPOINT

T = TypeVar("T")


@dataclass(frozen=True)
class Saved:
    """An artifact that a handler saved."""

    content: bytes
    content_type: str


@dataclass(frozen=True)
class Line:
    """A line that a handler logged."""

    level: str
    event: str
    fields: Mapping[str, object]


@dataclass
class FakeLog:
    """Keeps the lines."""

    lines: list[Line] = field(default_factory=list)

    def debug(self, event: str, /, **fields: object) -> None:
        self.lines.append(Line("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append(Line("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.lines.append(Line("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.lines.append(Line("error", event, fields))


@dataclass
class FakeContext:
    """A `worker.contract.Context`. Set `cancelled`, `taken` and `left` to play the runtime's part."""

    kind: str = "test.kind"
    job_id: str = "0190a7c0-0000-7000-8000-000000000000"
    attempt: int = 1
    max_attempts: int = 3
    request_id: str | None = None
    cancelled: bool = False
    taken: bool = False  # from this worker: nothing is noted any more
    left: float = 60.0  # seconds until the deadline
    log: FakeLog = field(default_factory=FakeLog)
    artifacts: dict[str, bytes] = field(default_factory=dict)  # what the client owns, by id
    saved: dict[str, Saved] = field(default_factory=dict)  # by name
    saved_checkpoints: list[bytes] = field(default_factory=list)  # as JSON, the latest last
    reports: list[tuple[float, float | None, str | None]] = field(default_factory=list)  # of progress

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled("a cancel was requested")

    def remaining(self) -> float:
        return max(self.left, 0.0)

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        self.reports.append((done, total, note))

    def checkpoint(self, expected: type[T]) -> T | None:
        if not self.saved_checkpoints or self.saved_checkpoints[-1] == b"null":
            return None
        try:
            return msgspec.json.decode(self.saved_checkpoints[-1], type=expected)
        except msgspec.ValidationError as error:
            raise Fatal(f"the checkpoint does not fit this version of {self.kind}: {error}") from None

    def save_checkpoint(self, value: object) -> None:
        checkpoint = msgspec.json.encode(value)
        if len(checkpoint) > LARGEST_CHECKPOINT:
            raise ValueError(f"a checkpoint of {len(checkpoint)} bytes")
        if self.taken:
            raise Cancelled("the job was taken from this worker")
        self.saved_checkpoints.append(checkpoint)

    @contextmanager
    def save_artifact(self, name: str, content_type: str = "application/octet-stream") -> Iterator[BinaryIO]:
        """Keep the file under its name once it was written without an error."""
        file = io.BytesIO()
        yield file
        self.saved[name] = Saved(file.getvalue(), content_type)

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        if artifact_id not in self.artifacts:
            raise Fatal(f"there is no artifact {artifact_id}")
        return io.BytesIO(self.artifacts[artifact_id])
