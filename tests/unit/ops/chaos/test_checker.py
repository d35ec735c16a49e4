"""The judge of a chaos run finds each planted fault, and nothing in a history that is well."""

from typing import Any

import pytest

from ops.chaos.checker import judge
from ops.chaos.history import (
    Alive,
    AnyEvent,
    Attempted,
    Done,
    Effect,
    Fault,
    Read,
    Started,
    Submitted,
)


def submitted(job: str | None = "a", **given: Any) -> Submitted:
    fields = {
        "at": 0.0,
        "key": f"key-{job}",
        "kind": "chaos.quick",
        "expected": ("succeeded",),
        "seconds": 0.01,
    }
    return Submitted(**(fields | {"status": 202 if job else None, "job": job} | given))


def started(run: str, at: float, **given: Any) -> Started:
    return Started(**({"at": at, "job": "a", "run": run, "attempt": 1, "pid": 1} | given))


def read(state: str | None = "succeeded", job: str = "a", **given: Any) -> Read:
    fields: dict[str, Any] = {"at": 100.0, "job": job, "status": 200, "state": state}
    return Read(**(fields | {"history": (Attempted(attempt=1, outcome="succeeded"),)} | given))


def ran(run: str = "r1", start: float = 1.0, end: float = 2.0, **given: Any) -> list[AnyEvent]:
    return [started(run, start, **given), Done(at=end, run=run)]


WELL: list[AnyEvent] = [submitted(), *ran(), read()]
RETRIED = (Attempted(attempt=1, outcome="failed"), Attempted(attempt=2, outcome="succeeded"))
LOST_ONCE = (Attempted(attempt=1, outcome="lost"), Attempted(attempt=2, outcome="succeeded"))


def test_a_job_that_ran_once_and_succeeded_is_well() -> None:
    verdict = judge(WELL)
    assert verdict.valid
    assert (verdict.accepted, verdict.ok, verdict.repeated, verdict.recovered) == (1, 1, 0, 0)


def test_a_refused_submission_is_no_promise() -> None:
    verdict = judge([submitted(None, status=503)])
    assert verdict.valid
    assert (verdict.attempts, verdict.accepted) == (1, 0)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="never read again"),
        pytest.param([read(None, status=404)], id="not to be found"),
        pytest.param([read("running")], id="without an end"),
        pytest.param([read("queued")], id="never begun"),
    ],
)
def test_an_accepted_job_that_cannot_be_read_or_has_no_end_is_lost(after: list[AnyEvent]) -> None:
    verdict = judge([submitted(), *ran(), *after])
    assert [violation.job for violation in verdict.lost] == ["a"]
    assert not verdict.valid


def test_a_success_without_the_work_is_lost() -> None:
    assert judge([submitted(), started("r1", 1.0), read()]).lost


def test_a_success_of_a_kind_that_notes_no_runs_is_believed() -> None:
    assert judge([submitted(noted=False), read()]).valid


def test_a_job_of_the_far_future_may_wait() -> None:
    assert judge([submitted(expected=("scheduled",)), read("scheduled")]).valid


def test_an_end_that_is_not_right_for_the_job_is_unexpected() -> None:
    verdict = judge([submitted(), *ran(), read("failed", error="Retryable")])
    assert [violation.reason for violation in verdict.unexpected] == [
        "failed (Retryable), expected succeeded"
    ]
    assert verdict.ok == 0


def test_two_jobs_of_one_idempotency_key_are_unexpected() -> None:
    twice = [submitted("a", key="k"), submitted("b", key="k")]
    verdict = judge([*twice, *ran(), *ran("r2", job="b"), read(), read(job="b")])
    assert [violation.job for violation in verdict.unexpected] == ["b"]


def test_the_same_answer_to_a_repeated_submission_is_well() -> None:
    assert judge([submitted(), submitted(at=0.5), *ran(), read()]).accepted == 1


def test_a_job_that_nobody_was_told_of_is_unexpected() -> None:
    assert judge([*WELL, *ran("r9", job="ghost")]).unexpected


def test_a_job_behind_an_unanswered_submission_may_run() -> None:
    assert judge([*WELL, submitted(None, key="open"), *ran("r9", job="perhaps")]).valid


def test_two_runs_at_once_by_workers_that_are_well_overlap() -> None:
    runs = [started("r1", 1.0), started("r2", 2.0, attempt=2, pid=2), Alive(at=2.5, run="r1")]
    verdict = judge([submitted(), *runs, Done(at=3.0, run="r2"), read(history=LOST_ONCE)])
    assert [violation.reason for violation in verdict.overlapping] == ["attempts 1 and 2 ran at once"]


def test_a_run_that_gave_no_sign_after_the_next_one_began_does_not_overlap() -> None:
    runs = [
        started("r1", 1.0),
        Alive(at=1.5, run="r1"),
        started("r2", 4.0, attempt=2),
        Done(at=5.0, run="r2"),
    ]
    verdict = judge([submitted(), *runs, read(history=LOST_ONCE)])
    assert verdict.valid
    assert verdict.recovered == 1
    assert verdict.recovery_seconds == [2.5]
    assert verdict.repeated == 1


def late(history: tuple[Attempted, ...], stopped: tuple[int, ...] = (1,)) -> list[AnyEvent]:
    pause = Fault(at=1.5, name="pause", target="worker", until=9.0, stopped=stopped)
    runs = [started("r1", 1.0), started("r2", 5.0, attempt=2, pid=2), Done(at=6.0, run="r2")]
    return [submitted(), pause, *runs, Done(at=9.5, run="r1"), read(history=history)]


def test_a_stopped_worker_that_goes_on_when_it_wakes_is_late_and_does_not_overlap() -> None:
    verdict = judge(late(LOST_ONCE))
    assert verdict.valid
    assert verdict.late == 1


def test_the_word_of_a_stopped_worker_must_not_count() -> None:
    verdict = judge(late((Attempted(attempt=1, outcome="succeeded"), Attempted(attempt=2, outcome="lost"))))
    assert [violation.job for violation in verdict.unexpected] == ["a"]


def test_a_pause_of_another_worker_is_no_excuse() -> None:
    assert judge(late(LOST_ONCE, stopped=(7,))).overlapping


def test_a_keyed_effect_that_happened_twice_is_doubled() -> None:
    assert judge([*WELL, Effect(at=2.0, job="a")]).valid
    assert judge([*WELL, Effect(at=2.0, job="a"), Effect(at=3.0, job="a")]).doubled


def test_a_retry_is_no_repeated_run() -> None:
    runs = [*ran(), *ran("r2", 3.0, 4.0, attempt=2)]
    assert judge([submitted(), *runs, read(history=RETRIED)]).repeated == 0


def test_the_last_failure_is_no_reason_for_another_run() -> None:
    failed = read("failed", history=(Attempted(attempt=1, outcome="failed"),))
    runs = [*ran(), *ran("r2", 3.0, 4.0, attempt=2)]
    assert judge([submitted(expected=("failed",)), *runs, failed]).repeated == 1


def test_faults_are_counted_by_name() -> None:
    faults = [Fault(at=at, name="kill", target="beat", until=at) for at in (1.0, 2.0)]
    assert judge([*WELL, *faults]).faults == {"kill": 2}
