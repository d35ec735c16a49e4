"""A cap on the live jobs of a client, kept by an estimate that costs a submission nothing.

A thread counts the live jobs of all clients in one statement, ever more seldom the longer that takes, and
each process adds what it accepts meanwhile. So the cap holds about: between two counts, jobs that end are
not seen, nor those that other processes accept.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol
from uuid import UUID

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from api.errors import Problem

_LEAST = 2.0  # seconds between two counts
_SHARE = 50  # at most one part of so many of a connection's time goes into counting


Admit = Callable[[UUID, int], None]  # lets so many jobs of a client pass, or raises a Problem


class Cap(Protocol):
    """What those who make jobs live ask of a cap."""

    def admission(self) -> AbstractContextManager[Admit]:
        """Something to admit jobs with; what it admitted is taken back where the context raises.

        It raises a `Problem`: 429, the client would have too many; 422, it could never have so many.
        """


class NoCap:
    """Where there is none."""

    @contextmanager
    def admission(self) -> Iterator[Admit]:
        """Admit everything."""
        yield lambda _client_id, _jobs: None


class LiveJobs:
    """Admits jobs of clients that have not too many.

    Args:
        cap: live jobs that a client may have.
        count: the live jobs of each client, from the ledger.
    """

    def __init__(self, cap: int, count: Callable[[], Mapping[UUID, int]]) -> None:
        self._cap = cap
        self._count = count
        self._counted: Mapping[UUID, int] = {}
        self._since: Counter[UUID] = Counter()  # accepted here after the count began
        self._counts = 0  # that began
        self._pause = _LEAST
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-jobs", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def close(self) -> None:
        """Count no more."""
        self._closed.set()
        self._asked.set()

    @contextmanager
    def admission(self) -> Iterator[Admit]:
        """See `Cap`."""
        admitted: list[tuple[UUID, int, int]] = []
        try:
            yield lambda client_id, jobs: admitted.append((client_id, jobs, self._admit(client_id, jobs)))
        except BaseException:
            self._take_back(admitted)
            raise

    def recount(self) -> None:
        """Count once."""
        with self._lock:
            before = Counter(self._since)
            self._counts += 1
        counted = self._count()
        with self._lock:
            self._counted = counted
            self._since = self._since - before

    def _admit(self, client_id: UUID, jobs: int) -> int:
        """Let them pass; which count will be the first that sees them, and forgets what was added here."""
        self._asked.set()
        if jobs > self._cap:
            raise self._more_than_ever(jobs)
        with self._lock:
            live = self._counted.get(client_id, 0) + self._since[client_id]
            if live + jobs > self._cap:
                raise self._too_many(live)
            self._since[client_id] += jobs
            return self._counts + 1

    def _take_back(self, admitted: Iterable[tuple[UUID, int, int]]) -> None:
        with self._lock:
            for client_id, jobs, forgotten_by in admitted:
                if self._counts < forgotten_by:
                    self._since[client_id] -= jobs

    def _more_than_ever(self, jobs: int) -> Problem:
        return Problem(
            422,
            f"these are {jobs} jobs, and a client may have {self._cap} that have not ended; ask for fewer at"
            " once",
            code="more-than-may-live",
        )

    def _too_many(self, live: int) -> Problem:
        return Problem(
            429,
            f"this client has about {live} jobs that have not ended, and may have {self._cap}; wait for some"
            " of them, or cancel them",
            code="too-many-live-jobs",
            headers={"Retry-After": str(round(self._pause))},
        )

    def _run(self) -> None:
        while not self._closed.is_set():
            self._asked.clear()
            began = time.monotonic()
            try:
                self.recount()
            except SQLAlchemyError as error:
                logger.warning("live_jobs_not_counted", error=type(error).__name__)
            self._pause = max(_LEAST, _SHARE * (time.monotonic() - began))
            self._closed.wait(self._pause)
            self._asked.wait()  # nobody submits: nothing to count for
