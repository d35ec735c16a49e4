"""The benchmark on real servers and whole processes, in its short form and without its peers."""

from pathlib import Path

import pytest

from ops.bench import run
from ops.bench.figures import Round
from ops.bench.results import read


def measured(tmp_path: Path, measure: str, *contenders: str) -> list[Round]:
    wishes = run.Wishes(measures=[measure], short=True, only=contenders)
    return run.run(wishes, tmp_path / "out", tmp_path / "peers", lambda _: None)[measure].rounds


@pytest.mark.parametrize(
    ("measure", "contenders"),
    [
        ("accept", ("jobyard", "constant", "ledger", "broker")),
        ("drain", ("prefork one by one", "threads backlog")),
        ("latency", ("jobyard threads",)),
    ],
)
def test_a_short_run_counts(tmp_path: Path, measure: str, contenders: tuple[str, ...]) -> None:
    rounds = measured(tmp_path, measure, *contenders)
    assert [(each.contender, each.invalid) for each in rounds] == [(name, None) for name in contenders]
    assert all(value > 0 for each in rounds for value in each.figures.values())
    assert read(tmp_path / "out")[measure].short
