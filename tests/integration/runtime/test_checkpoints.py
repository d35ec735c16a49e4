"""Many handlers that save all the time, beside the claims and outcomes of the same process."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.integration.runtime.conftest import Hold, Look, Submit
from tests.stalls import stalls
from tests.unit.worker.runtime.samples import ask, claiming, finishing
from worker.contract import Cancelled
from worker.contract.states import State
from worker.ledger import transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.notices import Notices
from worker.runtime.attempt import Attempt
from worker.runtime.bookkeeping import LedgerLine
from worker.runtime.bundle import Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.runtime.combiner import Combiner
from worker.settings import Settings
from worker.storage import Storage

WORKER = UUID(int=9)


class NoNotices:
    def ended(self, job_ids: list[UUID]) -> None:
        pass


@pytest.fixture
def narrow(settings: Settings) -> Iterator[Ledger]:
    """A ledger with two connections in all."""
    few = msgspec.structs.replace(settings, database_pool_size=2, database_pool_overflow=0)
    ledger = Ledger.open(few, "tests")
    yield ledger
    ledger.close()


def attempt_of(job: ClaimedJob, ledger: Ledger, folder: Path, checkpoints: Checkpoints) -> Attempt:
    return Attempt(ask, job, ledger, Storage(folder), checkpoints, bundle=Bundle([]))


def test_they_hold_up_neither_claims_nor_outcomes(
    narrow: Ledger, hold: Hold, submit: Submit, look: Look, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(narrow, turns=1)
    combiner = Combiner(LedgerLine(narrow, cast("Notices", NoNotices()), "worker", give_up=lambda: False))
    savers = [attempt_of(hold(WORKER), narrow, tmp_path, checkpoints) for _ in range(24)]
    over = threading.Event()

    def save(attempt: Attempt) -> int:
        count = 0
        while not over.is_set():
            count += 1
            attempt.save_checkpoint(count)
        return count

    def run() -> float:
        began = time.monotonic()
        token = uuid4()
        job_id = submit()
        claim = Claim(job_id=job_id, token=token, worker_id=WORKER, alone=False)
        assert claiming(combiner, claim) is not None
        outcome = Outcome(job_id=job_id, token=token, worker="worker", state=State.SUCCEEDED)
        assert finishing(combiner, outcome) == State.SUCCEEDED
        return time.monotonic() - began

    with stalls() as machine, ThreadPoolExecutor(len(savers) + 4) as pool:
        saving = [pool.submit(save, attempt) for attempt in savers]
        try:
            took = [run() for _ in range(50)]
        finally:
            over.set()
        counts = [each.result() for each in saving]

    assert max(took) < 2.0 + machine.longest
    for attempt, count in zip(savers, counts, strict=True):
        assert look(attempt.job.id)["checkpoint"] == count > 0


def test_it_is_committed_when_the_handler_goes_on(
    ledger: Ledger, hold: Hold, look: Look, tmp_path: Path
) -> None:
    attempt = attempt_of(hold(WORKER), ledger, tmp_path, Checkpoints(ledger, turns=1))
    attempt.save_checkpoint({"page": 1})
    assert look(attempt.job.id)["checkpoint"] == {"page": 1}


def test_a_job_that_was_taken_away_stops_its_handler_at_the_next_save(
    ledger: Ledger, hold: Hold, look: Look, tmp_path: Path
) -> None:
    attempt = attempt_of(hold(WORKER), ledger, tmp_path, Checkpoints(ledger, turns=1))
    attempt.save_checkpoint(1)
    with ledger.write() as connection:
        transitions.lose(connection, attempt.job.id, attempt.job.token, "gone", 3)
    with pytest.raises(Cancelled):
        attempt.save_checkpoint(2)
    assert look(attempt.job.id)["checkpoint"] == 1
