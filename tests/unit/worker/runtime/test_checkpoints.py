"""What a handler may rely on when it saves a checkpoint; the fake of the kinds' tests does the same."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

import msgspec
import psycopg2
import pytest
from sqlalchemy.exc import DataError, OperationalError

from tests.fakes import FakeContext
from tests.unit.worker.runtime.samples import ask, claimed
from worker.contract import Cancelled, Context, Fatal, Retryable
from worker.contract.context import LARGEST_CHECKPOINT
from worker.ledger import transitions
from worker.ledger.engines import Ledger
from worker.runtime import checkpoints
from worker.runtime.attempt import Attempt
from worker.runtime.bundle import Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.storage import Storage


class Page(msgspec.Struct, frozen=True):
    number: int
    rows: list[str]


class FakeLedger:
    """Keeps one checkpoint; a test says what each write ends in."""

    def __init__(self) -> None:
        self.saved: bytes | None = None
        self.held = True
        self.ends: list[Exception] = []  # of the writes to come
        self.writes = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self._lock:
            self.writes += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.ends:
                raise self.ends.pop(0)
            assert self.gate.wait(10)
            yield
        finally:
            with self._lock:
                self.at_once -= 1

    def save(self, _connection: None, _job_id: UUID, _token: UUID, checkpoint: bytes) -> bool:
        if self.held:
            self.saved = checkpoint
        return self.held


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    ledger = FakeLedger()
    monkeypatch.setattr(transitions, "save_checkpoint", ledger.save)
    monkeypatch.setattr(checkpoints, "_PAUSE", 0.01)
    return ledger


@pytest.fixture
def attempt(ledger: FakeLedger, tmp_path: Path) -> Callable[..., Attempt]:
    """Make an attempt; of the same job where it is given a checkpoint."""

    def attempt(checkpoint: str | None = None, *, turns: int = 2) -> Attempt:
        real = cast("Ledger", ledger)
        job = claimed(checkpoint=checkpoint)
        return Attempt(ask, job, real, Storage(tmp_path), Checkpoints(real, turns), bundle=Bundle([]))

    return attempt


class Play(Protocol):
    """A context, with what the runtime does to it."""

    @property
    def context(self) -> Context: ...
    def take(self) -> None: ...
    def run_again(self) -> Context: ...


class Fake:
    def __init__(self) -> None:
        self.context = FakeContext()

    def take(self) -> None:
        self.context.taken = True

    def run_again(self) -> Context:
        return FakeContext(attempt=2, saved_checkpoints=self.context.saved_checkpoints)


class Real:
    def __init__(self, attempt: Callable[..., Attempt], ledger: FakeLedger) -> None:
        self.context = attempt()
        self._attempt = attempt
        self._ledger = ledger

    def take(self) -> None:
        self._ledger.held = False

    def run_again(self) -> Context:
        return self._attempt(self._ledger.saved and self._ledger.saved.decode())


@pytest.fixture(params=["fake", "real"])
def play(request: pytest.FixtureRequest, attempt: Callable[..., Attempt], ledger: FakeLedger) -> Play:
    return Fake() if request.param == "fake" else Real(attempt, ledger)


def test_there_is_none_at_first(play: Play) -> None:
    assert play.context.checkpoint(Page) is None
    assert play.run_again().checkpoint(Page) is None


@pytest.mark.parametrize("value", [Page(2, ["a"]), Page(0, []), Page(1, ["Grüße", "a\0b"])])
def test_what_was_saved_is_read_by_this_attempt_and_by_the_next(play: Play, value: Page) -> None:
    play.context.save_checkpoint(Page(1, ["first"]))
    play.context.save_checkpoint(value)
    assert play.context.checkpoint(Page) == value
    assert play.run_again().checkpoint(Page) == value


@pytest.mark.parametrize("value", [0, "", [], {}, False])
def test_an_empty_value_is_a_checkpoint_too(play: Play, value: object) -> None:
    play.context.save_checkpoint(value)
    found: Any = play.run_again().checkpoint(type(value))
    assert found == value
    assert found is not None


def test_none_clears_it(play: Play) -> None:
    play.context.save_checkpoint(Page(1, []))
    play.context.save_checkpoint(None)
    assert play.context.checkpoint(Page) is None
    assert play.run_again().checkpoint(Page) is None


def test_one_of_another_version_of_the_kind_ends_the_job(play: Play) -> None:
    play.context.save_checkpoint({"number": "two"})
    with pytest.raises(Fatal, match="does not fit this version of"):
        play.run_again().checkpoint(Page)


def test_one_that_is_too_large_is_the_handlers_own_error_and_the_last_one_stays(play: Play) -> None:
    play.context.save_checkpoint("x" * (LARGEST_CHECKPOINT - 2))
    with pytest.raises(ValueError, match=f"a checkpoint of {LARGEST_CHECKPOINT + 1} bytes"):
        play.context.save_checkpoint("x" * (LARGEST_CHECKPOINT - 1))
    assert play.run_again().checkpoint(str) == "x" * (LARGEST_CHECKPOINT - 2)


@pytest.mark.parametrize("value", [object(), "\udcff", {"a": {1, object()}}])
def test_what_is_no_json_is_the_handlers_own_error(play: Play, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        play.context.save_checkpoint(value)
    assert play.run_again().checkpoint(str) is None


def test_a_worker_that_lost_the_job_notes_nothing_and_learns_of_it(play: Play) -> None:
    play.context.save_checkpoint(1)
    play.take()
    with pytest.raises(Cancelled, match="taken from this worker"):
        play.context.save_checkpoint(2)
    assert play.context.checkpoint(int) == 1
    assert play.run_again().checkpoint(int) == 1


def away() -> OperationalError:
    return OperationalError("statement", {}, psycopg2.OperationalError("the server closed the connection"))


def test_a_ledger_that_restarts_is_waited_for(attempt: Callable[..., Attempt], ledger: FakeLedger) -> None:
    ledger.ends = [away(), away()]
    attempt().save_checkpoint(1)
    assert (ledger.saved, ledger.writes) == (b"1", 3)


def test_a_ledger_that_stays_away_fails_the_attempt_which_may_be_tried_again(
    attempt: Callable[..., Attempt], ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PATIENCE", 0.05)
    ledger.ends = [away() for _ in range(1000)]
    with pytest.raises(Retryable, match="the ledger took no checkpoint: OperationalError"):
        attempt().save_checkpoint(1)
    assert ledger.writes > 1


def test_no_time_is_waited_beyond_the_deadline(attempt: Callable[..., Attempt], ledger: FakeLedger) -> None:
    ledger.ends = [away() for _ in range(1000)]
    late = attempt()
    late.started -= late.deadline
    with pytest.raises(Retryable):
        late.save_checkpoint(1)
    assert ledger.writes == 1


def test_what_the_ledger_refuses_is_not_repeated(attempt: Callable[..., Attempt], ledger: FakeLedger) -> None:
    ledger.ends = [DataError("statement", {}, psycopg2.DataError("no"))]
    with pytest.raises(Retryable, match="DataError"):
        attempt().save_checkpoint(1)
    assert ledger.writes == 1


def test_a_few_are_written_at_once_and_the_others_wait_their_turn(
    attempt: Callable[..., Attempt], ledger: FakeLedger
) -> None:
    shared = attempt(turns=3)
    with ThreadPoolExecutor(20) as pool:
        saved = [pool.submit(shared.save_checkpoint, number) for number in range(60)]
    for each in saved:
        each.result()
    assert ledger.writes == 60
    assert 1 <= ledger.most_at_once <= 3


def test_a_turn_that_does_not_come_in_time_fails_the_attempt(
    attempt: Callable[..., Attempt], ledger: FakeLedger
) -> None:
    shared = attempt(turns=1)
    ledger.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.save_checkpoint, 1)
        while not ledger.writes:
            assert not first.done()
        shared.deadline = 0.0
        with pytest.raises(Retryable, match="the ledger took no checkpoint: TimeoutError"):
            shared.save_checkpoint(2)
        ledger.gate.set()
        first.result()
    assert ledger.saved == b"1"
