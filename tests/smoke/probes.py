"""Kinds that do what a test tells them. They wait for files, so that a test decides what happens when."""

import ctypes
import os
import re
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from worker.catalog import Catalog
from worker.contract import EMAIL, Backoff, Context, Fatal, Kind, Payload, Result, Retryable, kind
from worker.kinds.email.send import send  # noqa: F401 - the catalog finds it

QUICK = Backoff(base=0.05, factor=1.0, jitter=0.0)
_PAUSE = 0.02  # seconds between two looks at a gate


class Greeter(Protocol):
    """A port."""

    def greet(self, name: str) -> str:
        """A greeting."""


class Said(Result, frozen=True):
    text: str
    pid: int


class Echo(Payload, frozen=True):
    text: str = "hello"


class Flaky(Payload, frozen=True):
    failures: int = 1
    after: float | None = None


class Gate(Payload, frozen=True):
    gate: str  # a file; its appearance lets the handler go on


class Times(Payload, frozen=True):
    times: int = 1


class Nothing(Payload, frozen=True):
    pass


class Content(Payload, frozen=True):
    text: str


@kind("probe.echo", queue=EMAIL, backoff=QUICK)
def echo(payload: Echo, ctx: Context) -> Said:
    """Says what it was told."""
    ctx.log.info("echoed", text=payload.text)
    return Said(text=payload.text, pid=os.getpid())


@kind("probe.greet", queue=EMAIL)
def greet(payload: Echo, _ctx: Context, greeter: Greeter) -> Said:
    """Uses a port."""
    return Said(text=greeter.greet(payload.text), pid=os.getpid())


@kind("probe.flaky", queue=EMAIL, max_attempts=3, backoff=QUICK)
def flaky(payload: Flaky, ctx: Context) -> Said:
    """Fails a number of times."""
    if ctx.attempt <= payload.failures:
        raise Retryable(f"failure {ctx.attempt}", after=payload.after)
    return Said(text=f"attempt {ctx.attempt} of {ctx.max_attempts}", pid=os.getpid())


@kind("probe.fatal", queue=EMAIL, max_attempts=3)
def fatal(_payload: Nothing, _ctx: Context) -> None:
    """Cannot succeed."""
    raise Fatal("no attempt can help")


@kind("probe.broken", queue=EMAIL, max_attempts=1)
def broken(_payload: Nothing, _ctx: Context) -> None:
    """Has a defect, and an error with a secret in its text."""
    raise RuntimeError("cannot reach https://user:hunter2@example.test/ with password=hunter2")


@kind("probe.memory", queue=EMAIL, max_attempts=1)
def memory(_payload: Nothing, _ctx: Context) -> None:
    """Runs out of memory."""
    raise MemoryError


@kind("probe.leave", queue=EMAIL, max_attempts=1)
def leave(_payload: Nothing, _ctx: Context) -> None:
    """Calls what ends a program."""
    sys.exit("a library thought that it was a program")


@kind("probe.wrong", queue=EMAIL, max_attempts=3)
def wrong(_payload: Nothing, _ctx: Context) -> Said:
    """Returns what it did not declare."""
    answer: Any = {"text": "a dict"}
    return answer  # type: ignore[no-any-return]  # the defect that it plays


@kind("probe.large", queue=EMAIL, max_attempts=3)
def large(_payload: Nothing, _ctx: Context) -> Said:
    """Returns more than the ledger keeps."""
    return Said(text="x" * 1_100_000, pid=os.getpid())


@kind("probe.unsayable", queue=EMAIL, max_attempts=3)
def unsayable(_payload: Nothing, ctx: Context) -> None:
    """Saves an artifact that the ledger refuses, for PostgreSQL's text holds no NUL."""
    with ctx.save_artifact("file", "text/plain\0"):
        pass


@kind("probe.wait", queue=EMAIL, max_attempts=3, backoff=QUICK)
def wait(payload: Gate, ctx: Context) -> Said:
    """Waits for its gate, and heeds a cancel."""
    ctx.progress(1, 2, "waiting")
    while not Path(payload.gate).exists():
        ctx.check_cancelled()
        time.sleep(_PAUSE)
    return Said(text=f"attempt {ctx.attempt}", pid=os.getpid())


@kind("probe.deaf", queue=EMAIL, max_attempts=3, backoff=QUICK)
def deaf(payload: Gate, ctx: Context) -> Said:
    """Waits for its gate, and heeds nothing."""
    while not Path(payload.gate).exists():
        time.sleep(_PAUSE)
    return Said(text=f"attempt {ctx.attempt}", pid=os.getpid())


@kind("probe.late", queue=EMAIL, max_attempts=2, deadline=0.5, backoff=QUICK)
def late(payload: Times, ctx: Context) -> Said:
    """Overruns its deadline a number of times."""
    if ctx.attempt <= payload.times:
        time.sleep(60)
    return Said(text=f"attempt {ctx.attempt}", pid=os.getpid())


@kind("probe.freeze", queue=EMAIL, max_attempts=1, deadline=0.5)
def freeze(_payload: Nothing, _ctx: Context) -> None:
    """Overruns its deadline in C code that keeps the interpreter's lock: no other thread runs meanwhile."""
    re.match(r"(a|a)+$", "a" * 40 + "b")


@kind("probe.die", queue=EMAIL, max_attempts=2, backoff=QUICK)
def die(payload: Times, ctx: Context) -> Said:
    """Ends its process a number of times."""
    if ctx.attempt <= payload.times:
        os._exit(3)
    return Said(text=f"attempt {ctx.attempt}", pid=os.getpid())


@kind("probe.steps", queue=EMAIL, max_attempts=3, backoff=QUICK)
def steps(payload: Times, ctx: Context) -> Said:
    """Takes its steps one in each attempt, and notes those that it took."""
    taken = ctx.checkpoint(list[int]) or []
    while len(taken) < payload.times:
        taken.append(ctx.attempt)
        ctx.save_checkpoint(taken)
        if len(taken) < payload.times:
            raise Retryable(f"step {len(taken)}")
    return Said(text=str(taken), pid=os.getpid())


@kind("probe.stumble", queue=EMAIL, max_attempts=2, backoff=QUICK)
def stumble(_payload: Nothing, ctx: Context) -> Said:
    """Dies right behind its checkpoint."""
    before = ctx.checkpoint(str)
    if before is None:
        ctx.save_checkpoint(f"of attempt {ctx.attempt}")
        os._exit(3)
    return Said(text=before, pid=os.getpid())


@kind("probe.crash", queue=EMAIL, max_attempts=2, backoff=QUICK)
def crash(payload: Times, ctx: Context) -> Said:
    """Breaks its process as a faulty extension does, a number of times."""
    if ctx.attempt <= payload.times:
        ctypes.string_at(0)
    return Said(text=f"attempt {ctx.attempt}", pid=os.getpid())


@kind("probe.artifact", queue=EMAIL)
def artifact(payload: Content, ctx: Context) -> None:
    """Saves two artifacts."""
    with ctx.save_artifact("report.txt", "text/plain") as file:
        file.write(payload.text.encode())
    with ctx.save_artifact("empty") as file:
        file.write(b"")


# `email.send` among them, as it was imported: its test needs a worker that dies.
CATALOG: Catalog = MappingProxyType(
    {value.name: value for value in list(vars().values()) if isinstance(value, Kind)}
)
