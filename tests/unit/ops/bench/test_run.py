"""A run writes down what it found, and a reader sees what counts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.bench import machine, results, run
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.results import Measured
from ops.bench.table import markdown
from ops.bench.turns import turns
from ops.cli import bench as command


def course(tmp_path: Path, rounds: int = 2, only: tuple[str, ...] = ()) -> Course:
    return Course(folder=tmp_path, peers=tmp_path, say=lambda _: None, rounds=rounds, only=only)


def rate(value: float) -> Callable[[], Mapping[str, float]]:
    return lambda: {"per second": value}


def fails() -> Mapping[str, float]:
    raise Invalid("one job was lost")


def accepted(**rates: float) -> list[Round]:
    p99 = {"p99 ms": 5.0}
    return [
        Round(number=0, contender=name, figures={"per second": value, **p99}) for name, value in rates.items()
    ]


def measured(found: list[Round], *, short: bool = False) -> Measured:
    here = machine.look(Path("nowhere"))
    return Measured(at="2026-01-01T00:00:00+00:00", machine=here, rounds=found, short=short)


def test_contenders_take_turns(tmp_path: Path) -> None:
    found = turns(course(tmp_path), {"a": rate(1), "b": rate(2)})
    assert [(each.number, each.contender) for each in found] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_a_round_that_proves_nothing_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    found = turns(course(tmp_path, rounds=1), {"a": fails, "b": rate(2)})
    assert [(each.invalid, each.figures) for each in found] == [
        ("one job was lost", {}),
        (None, {"per second": 2}),
    ]


def test_only_those_asked_for_take_part(tmp_path: Path) -> None:
    assert {
        each.contender for each in turns(course(tmp_path, only=("b",)), {"a": rate(1), "b": rate(2)})
    } == {"b"}


def test_the_results_say_of_each_goal_whether_it_was_met() -> None:
    text = markdown({"accept": measured(accepted(jobyard=200, tutorial=100, constant=500))})
    rows = [line.split(" | ")[1:] for line in text.splitlines() if line.startswith("| ")]
    assert ["at least half", "per second 0.40 times constant", "not met |"] in rows
    found = "per second 2.00 times tutorial; p99 ms 1.00 times tutorial"
    assert ["at least 1.5 times the tutorial, and its p99 at most", found, "met |"] in rows
    assert "not measured" in text


def test_a_short_run_proves_nothing() -> None:
    text = markdown({"accept": measured(accepted(jobyard=200, tutorial=100, constant=300), short=True)})
    assert "| met |" not in text
    assert "its figures mean nothing" in text


def test_a_round_that_does_not_count_is_told_with_its_reason() -> None:
    found = [Round(number=0, contender="jobyard", invalid="one job\nwas lost")]
    assert "Round 1 of jobyard does not count: one job was lost" in markdown({"accept": measured(found)})


def test_a_run_adds_to_what_its_folder_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find", lambda _: lambda _: accepted(jobyard=1))
    run.run(run.Wishes(measures=["accept"]), tmp_path / "out", tmp_path / "peers", lambda _: None)
    run.run(run.Wishes(measures=["batches"]), tmp_path / "out", tmp_path / "peers", lambda _: None)
    assert list(results.read(tmp_path / "out")) == ["accept", "batches"]
    assert (tmp_path / "out" / "RESULTS.md").read_text().count("## ") == 3
    assert (tmp_path / "out" / "results.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(("invalid", "status"), [(None, 0), ("one job was lost", 1)])
def test_the_exit_status_says_whether_all_rounds_count(
    invalid: str | None, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = [
        Round(number=0, contender="jobyard", figures={} if invalid else {"per second": 1.0}, invalid=invalid)
    ]
    monkeypatch.setattr(command, "run", lambda *_: {"accept": measured(rounds)})
    result = CliRunner().invoke(command.bench, ["accept", "--out", str(tmp_path)])
    assert result.exit_code == status, result.output


@pytest.mark.parametrize(("grew", "status"), [(0, 0), (1, 1)])
def test_a_soak_in_which_something_grew_fails(
    grew: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = [Round(number=0, contender="jobyard", figures={"things that grew": grew})]
    monkeypatch.setattr(command, "run", lambda *_: {"soak": measured(rounds)})
    result = CliRunner().invoke(command.bench, ["soak", "--out", str(tmp_path)])
    assert result.exit_code == status, result.output


def test_what_a_measure_needs_and_does_not_get_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(_: Course) -> list[Round]:
        raise Invalid("the peers cannot be installed")

    monkeypatch.setattr(run, "find", lambda _: measure)
    found = run.run(run.Wishes(measures=["accept"]), tmp_path / "out", tmp_path / "peers", lambda _: None)
    assert [each.invalid for each in found["accept"].rounds] == ["the peers cannot be installed"]
