"""What a chaos run reports."""

import re
from pathlib import Path
from typing import Any

import msgspec

from ops.chaos import picture
from ops.chaos.checker import judge
from ops.chaos.history import AnyEvent, Attempted, Done, Fault, Read, Started, Submitted
from ops.chaos.report import CALM, SEVERAL, Report, Setting, answers_by_fault, quantile, text


def tried(at: float, *, status: int | None = 202, seconds: float = 0.1, job: str = "") -> Submitted:
    return Submitted(
        at=at,
        key=f"key-{at}",
        kind="chaos.email",
        expected=("succeeded",),
        seconds=seconds,
        status=status,
        failure=None if status else "refused",
        job=(job or f"job-{at}") if status == 202 else None,
    )


def fault(name: str, at: float, until: float, target: str = "it") -> Fault:
    return Fault(at=at, name=name, target=target, until=until)


HISTORY: list[AnyEvent] = [
    tried(1.0),
    tried(2.0, seconds=0.3),
    fault("broker-away", 20.0, 30.0),
    tried(21.0),
    tried(22.0, status=503),
    tried(23.0, status=None),
    fault("ledger-frozen", 40.0, 41.0),
    tried(40.5),
    fault("api-killed", 42.0, 42.0, "api"),
    tried(42.5),
]
WORD = Attempted(attempt=1, outcome="succeeded", ended=2.1)
SETTING = Setting(seed=1, broker="valkey", seconds=60, rate=2, quiet_seconds=1.5, errors=[])


def test_submissions_are_told_apart_by_what_was_broken_meanwhile() -> None:
    answers = answers_by_fault(HISTORY)
    assert {name: found.tries for name, found in answers.items()} == {
        CALM: 2,
        "broker-away": 3,
        "ledger-frozen": 1,
        SEVERAL: 1,
    }
    assert (answers[CALM].accepted, answers[CALM].p50, answers[CALM].p99) == (1.0, 0.1, 0.3)
    away = answers["broker-away"]
    assert (away.accepted, away.otherwise) == (0.3333, {"503": 1, "refused": 1})


def test_a_try_that_began_before_a_fault_and_ended_in_it_is_its() -> None:
    history: list[AnyEvent] = [fault("broker-away", 5.0, 6.0), tried(5.5, seconds=3.0)]
    assert set(answers_by_fault(history)) == {"broker-away"}


def test_what_a_submission_does_not_need_explains_nothing() -> None:
    history: list[AnyEvent] = [
        fault("broker-away", 5.0, 9.0),
        fault("ledger-frozen", 6.0, 7.0),
        tried(6.5, status=503),
    ]
    assert set(answers_by_fault(history)) == {"ledger-frozen"}


def test_quantiles_are_values_that_were_seen() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([], 0.5) is None


def report(history: list[AnyEvent], **given: Any) -> Report:
    return Report.of(judge(history), history, msgspec.structs.replace(SETTING, **given))


def test_the_text_names_the_verdict_and_what_was_lost() -> None:
    bad = text(report(HISTORY))
    assert "INVALID" in bad
    assert "lost: job-1.0: accepted, and answered with None afterwards" in bad
    good = text(report([*run_of("a"), tried(1.0, job="a")]))
    assert "the promise held" in good


def test_a_run_whose_faults_could_not_be_carried_out_proves_nothing() -> None:
    history = [*run_of("a"), tried(1.0, job="a")]
    assert report(history).valid
    assert not report(history, errors=["beat-killed: OSError"]).valid


def test_a_run_says_what_it_would_have_had_to_have_more_of() -> None:
    history = [*run_of("a"), tried(1.0, job="a"), fault("beat-killed", 1.0, 1.0)]
    assert report(history, least_jobs=1, least_faults=1).lacking == []
    short = report(history, least_jobs=20_000, least_faults=200)
    assert short.lacking == [
        "1 accepted jobs, at least 20000 were asked for",
        "1 faults, at least 200 were asked for",
    ]
    assert "valid, and too little" in text(short)


def test_what_found_nothing_to_strike_is_counted() -> None:
    said = text(report(HISTORY, missed={"role-restarted": 3}))
    assert re.search("faults that found nothing to strike *│ 3", said)


def test_the_report_is_json() -> None:
    found = msgspec.json.decode(msgspec.json.encode(report(HISTORY)))
    assert found["valid"] is False
    assert found["verdict"]["accepted"] == 5


def test_the_picture_shows_every_fault(tmp_path: Path) -> None:
    picture.draw([*HISTORY, *run_of("a")], tmp_path)
    svg = (tmp_path / "timeline.svg").read_text()
    assert "broker-away" in svg
    assert "ledger-frozen" in svg
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_a_history_without_anything_is_a_picture_too(tmp_path: Path) -> None:
    picture.draw([], tmp_path)
    assert (tmp_path / "timeline.svg").exists()


def run_of(job: str) -> list[AnyEvent]:
    return [
        Started(at=1.5, job=job, run="r", attempt=1, pid=1),
        Done(at=2.0, run="r"),
        Read(at=50.0, job=job, status=200, state="succeeded", history=(WORD,)),
    ]
