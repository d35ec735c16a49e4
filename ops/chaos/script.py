"""What a job of a chaos run does: it notes each run, and ends as it was told to."""

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from msgspec import Meta

from ops.chaos.history import Alive, Done, Journal, Started
from worker.contract import Backoff, Context, Fatal, Payload, Retryable

QUICK = Backoff(base=0.2, factor=2.0, cap=2.0)
DEADLINE = 15.0  # seconds

_SIGN = 0.1  # seconds between two signs of life

Ending = Literal["well", "fatal", "exit", "crash", "memory"]


class Script(Payload, frozen=True, kw_only=True):
    """What a run does, and how it ends."""

    journal: Annotated[str, Meta(description="File to which every run is noted.")]
    seconds: Annotated[float, Meta(ge=0, description="How long a run works.")] = 0.0
    gate: Annotated[
        str | None, Meta(description="File for which the first attempt waits at its work; later ones do not.")
    ] = None
    failures: Annotated[int, Meta(ge=0, description="First attempts that fail, to be retried.")] = 0
    artifact: Annotated[int, Meta(ge=0, description="Bytes of a file that each run saves.")] = 0
    deaf: Annotated[bool, Meta(description="It does not look whether it should stop.")] = False
    ending: Annotated[
        Ending, Meta(description="exit and crash take the process along; memory is a MemoryError.")
    ] = "well"

    def describe(self) -> str:
        """All of it but the path."""
        return f"{self.seconds:g} s, {self.failures} failures, {self.ending}"


def play(script: Script, ctx: Context, act: Callable[[], None] | None = None) -> None:
    """Run a script.

    Args:
        script: what to do.
        ctx: of the attempt.
        act: done first.

    Raises:
        Retryable: an attempt that is to fail.
        Fatal: the script ends so.
        MemoryError: the script ends so.
        Cancelled: it was cancelled.
    """
    journal, run = Journal(Path(script.journal)), uuid4().hex
    try:
        journal.note(
            Started(at=time.monotonic(), job=ctx.job_id, run=run, attempt=ctx.attempt, pid=os.getpid())
        )
        if act is not None:
            act()
        _work(script, ctx, journal, run)
        _save(script, ctx)
        _end(script, ctx)
        journal.note(Done(at=time.monotonic(), run=run))
    finally:
        journal.close()


def _work(script: Script, ctx: Context, journal: Journal, run: str) -> None:
    until = time.monotonic() + script.seconds
    while (left := until - time.monotonic()) > 0 or _is_held(script, ctx):
        if not script.deaf:
            ctx.check_cancelled()
        journal.note(Alive(at=time.monotonic(), run=run))
        time.sleep(min(left, _SIGN) if left > 0 else _SIGN)


def _is_held(script: Script, ctx: Context) -> bool:
    return script.gate is not None and ctx.attempt == 1 and not Path(script.gate).exists()


def _save(script: Script, ctx: Context) -> None:
    if script.artifact:
        with ctx.save_artifact("file") as file:
            file.write(b"\0" * script.artifact)


def _end(script: Script, ctx: Context) -> None:
    if ctx.attempt <= script.failures:
        raise Retryable(f"failure {ctx.attempt} of {script.failures}")
    match script.ending:
        case "fatal":
            raise Fatal("told to fail")
        case "exit":
            os._exit(3)
        case "crash":
            ctypes.string_at(0)
        case "memory":
            raise MemoryError
