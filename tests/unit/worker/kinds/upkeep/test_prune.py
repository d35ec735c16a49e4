"""`upkeep.prune`: progress, cancelling, and nothing that a client could choose."""

from collections.abc import Callable

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled
from worker.contract.ports import Pruned
from worker.kinds.upkeep.prune import Prune, prune


class FakePruner:
    """Deletes three jobs in three batches."""

    def prune(self, between: Callable[[Pruned], None]) -> Pruned:
        for jobs in (1, 2, 3):
            between(Pruned(jobs=jobs))
        return Pruned(jobs=3, days=1)


def test_the_result_says_what_is_gone() -> None:
    assert prune(Prune(), FakeContext(), FakePruner()) == Pruned(jobs=3, days=1)


def test_progress_is_reported_after_every_batch() -> None:
    context = FakeContext()

    prune(Prune(), context, FakePruner())

    assert [done for done, *_ in context.reports] == [1, 2, 3]


def test_a_cancel_stops_it_after_the_batch() -> None:
    context = FakeContext(cancelled=True)

    with pytest.raises(Cancelled):
        prune(Prune(), context, FakePruner())
    assert context.reports == []


def test_no_client_can_say_how_long_things_are_kept() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"older_than": 0}', type=Prune)
