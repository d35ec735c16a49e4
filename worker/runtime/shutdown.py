"""Stopping: no new claims, a grace for what runs, then everything is handed back. Nothing waits for ever."""

import contextlib
import os
import time
from collections.abc import Callable, Collection
from uuid import UUID

import psutil
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from worker.runtime import native
from worker.runtime.lease import LeaseKeeper

_LOOK_EVERY = 0.25  # seconds
_UNSTOPPABLE_FOR = 2.0  # seconds after which a thread that could not be stopped is surely gone


class Stopper:
    """Ends a worker within its grace."""

    def __init__(
        self,
        *,
        grace: float,
        lease: LeaseKeeper,
        unclaimed: Callable[[], Collection[UUID]],
        hopeless: Callable[[], bool],
        forked: bool,
    ) -> None:
        """Make a stopper.

        Args:
            grace: seconds that running handlers get.
            lease: of the worker.
            unclaimed: the jobs whose messages are in hand and were not started.
            hopeless: whether nothing runs any more but handlers past their deadline.
            forked: handlers run in child processes, which can be killed.
        """
        self._grace = grace
        self._lease = lease
        self._unclaimed = unclaimed
        self._hopeless = hopeless
        self._forked = forked
        self._released: set[UUID] = set()
        self._exit_status = 0
        self._begun = native.Bell()
        self._over = native.Bell()

    def start(self) -> None:
        """Wait for `begin` on a native thread: a signal handler must not talk to the ledger itself."""
        native.start(self._run, "stopper")

    def begin(self, exit_status: int = 0) -> None:
        """The worker was told to stop; callable from a signal handler.

        Args:
            exit_status: of the process, where it must be ended when the grace is over.
        """
        self._exit_status = exit_status or self._exit_status
        self._begun.ring()

    def finish(self) -> None:
        """The pool is empty: give the lease up and go."""
        self._over.ring()
        self._release_unclaimed()
        with contextlib.suppress(SQLAlchemyError):
            self._lease.end(0.0)

    def _run(self) -> None:
        while not self._begun.wait(3600.0):
            pass
        self._release_unclaimed()
        give_up_at = time.monotonic() + self._grace
        while time.monotonic() < give_up_at and not self._hopeless():
            if self._over.wait(_LOOK_EVERY):
                return
        self._cut_off()

    def _release_unclaimed(self) -> None:
        ids = set(self._unclaimed()) - self._released  # what was released may be published again by now
        if not ids:
            return
        self._released |= ids
        try:
            self._lease.release(ids)
        except SQLAlchemyError as error:
            logger.warning("unpublish_failed", messages=len(ids), error=type(error).__name__)

    def _cut_off(self) -> None:
        self._lease.fall_silent()
        if self._forked:
            _kill_children()
        delay = 0.0 if self._forked else _UNSTOPPABLE_FOR
        try:
            logger.warning("grace_over", handed_back=self._lease.end(delay))
        except SQLAlchemyError as error:
            logger.warning("hand_back_failed", error=type(error).__name__)
        logger.complete()
        os._exit(self._exit_status)


def _kill_children() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=2.0)
