"""Clients: they submit at a steady rate, note every try, and try again until they are answered."""

import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

from ops.chaos.api import Answer, Api
from ops.chaos.history import Journal, Submitted, Told
from ops.chaos.mix import Wish

_PAUSE = 0.25  # seconds between two tries where the API names none
_LONGEST_PAUSE = 2.0
_AGAIN = frozenset({None, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.CONFLICT, *range(500, 600)})


class Clients:
    """Threads that share a stream of wishes.

    Args:
        api: where to submit.
        wishes: what.
        rate: submissions a second, all clients together; what an outage kept back follows it.
        count: of the clients, and so of requests at once.
        journal: where to note.
    """

    def __init__(self, api: Api, wishes: Iterator[Wish], rate: float, count: int, journal: Journal) -> None:
        self._api = api
        self._wishes = wishes
        self._rate = rate
        self._journal = journal
        self._lock = threading.Lock()
        self._taken = 0
        self._began = 0.0
        self._enough = threading.Event()
        self._gone = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"client-{n}") for n in range(count)]

    @property
    def submitted(self) -> int:
        """How many wishes were taken up so far."""
        return self._taken

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float) -> None:
        """Take up nothing more; what has no answer yet is tried for `patience` seconds more."""
        self._enough.set()
        give_up_at = time.monotonic() + patience
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, give_up_at - time.monotonic()))
        self._gone.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        while (wish := self._next()) is not None:
            job = self._submit(wish)
            if job is not None and wish.cancel_after is not None:
                self._gone.wait(wish.cancel_after)
                self._cancel(job)

    def _next(self) -> Wish | None:
        with self._lock:
            due = self._began + self._taken / self._rate
            if self._enough.wait(max(0.0, due - time.monotonic())):
                return None
            self._taken += 1
            return next(self._wishes)

    def _submit(self, wish: Wish) -> str | None:
        while True:
            began = time.monotonic()
            answer = self._api.submit(wish.key, wish.kind, wish.payload, wish.options)
            submitted = _note(wish, answer, began)
            self._journal.note(submitted)
            if submitted.job is not None:
                self._journal.note(Told(at=submitted.at, job=submitted.job, state=answer.body["state"]))
            if answer.status not in _AGAIN or self._pause(answer):
                return submitted.job

    def _cancel(self, job: str) -> None:
        while True:
            answer = self._api.cancel(job)
            if answer.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
                self._journal.note(Told(at=time.monotonic(), job=job, state=answer.body["state"]))
            if answer.status == HTTPStatus.CONFLICT or answer.status not in _AGAIN or self._pause(answer):
                return

    def _pause(self, answer: Answer) -> bool:
        """Wait before another try; True where there shall be none."""
        return self._gone.wait(min(answer.retry_after or _PAUSE, _LONGEST_PAUSE))


def _note(wish: Wish, answer: Answer, began: float) -> Submitted:
    now = time.monotonic()
    return Submitted(
        at=now,
        key=wish.key,
        kind=wish.kind,
        expected=wish.expected,
        errors=wish.errors,
        seconds=round(now - began, 4),
        status=answer.status,
        failure=answer.failure,
        job=answer.body["id"] if answer.status == HTTPStatus.ACCEPTED else None,
        deadly=wish.deadly,
        keyed=wish.keyed,
    )
