"""The mix of a chaos run: replayed by its seed, of jobs that the platform knows."""

from collections import Counter
from datetime import datetime
from itertools import islice

import msgspec

from ops.chaos.mix import Wish, wishes
from worker import catalog
from worker.enqueue import Enqueuer, submission
from worker.ledger.ids import new_id

OPTIONS: dict[str, type] = {"scheduled_at": datetime, "max_attempts": int}


def first(seed: int, count: int) -> list[Wish]:
    return list(islice(wishes(seed, "/runs"), count))


def test_the_same_seed_gives_the_same_wishes_and_another_one_others() -> None:
    assert first(1, 200) == first(1, 200)
    assert [wish.payload for wish in first(1, 200)] != [wish.payload for wish in first(2, 200)]


def test_every_wish_has_a_key_of_its_own() -> None:
    assert len({wish.key for wish in first(1, 500)}) == 500


def test_the_platform_accepts_every_wish() -> None:
    enqueuer = Enqueuer(catalog.load(["ops.chaos.kinds"]))
    for wish in first(1, 2000):
        job = enqueuer.prepare(submission(wish.kind, wish.payload, **_options(wish)), new_id(), None)
        assert job.kind == wish.kind


def test_a_long_mix_holds_every_kind_and_every_end() -> None:
    mix = first(1, 5000)
    kinds = {"email", "web", "webhook", "report", "database", "keyed", "brief", "short"}
    assert {wish.kind for wish in mix} == {f"chaos.{name}" for name in kinds}
    ends = Counter(wish.expected for wish in mix)
    assert set(ends) == {("succeeded",), ("failed",), ("scheduled",), ("cancelled", "succeeded")}
    assert any(wish.deadly for wish in mix)
    errors = {wish.errors for wish in mix if "failed" in wish.expected}
    assert errors == {("Fatal",), ("MemoryError",), ("Lost",), ("DeadlineExceeded",)}


def _options(wish: Wish) -> dict[str, object]:
    return {name: msgspec.convert(value, OPTIONS[name], strict=False) for name, value in wish.options.items()}
