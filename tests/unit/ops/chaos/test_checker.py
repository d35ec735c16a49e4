"""The judge of a chaos run finds each planted fault, and nothing in a history that is well."""

from typing import Any

import pytest

from ops.chaos.checker import Verdict, judge
from ops.chaos.history import (
    Alive,
    AnyEvent,
    Attempted,
    Died,
    Done,
    Effect,
    Fault,
    Read,
    Started,
    Submitted,
    Told,
)


def submitted(job: str | None = "a", **given: Any) -> Submitted:
    fields: dict[str, Any] = {
        "at": 0.0,
        "key": f"key-{job}",
        "kind": "chaos.quick",
        "expected": ("succeeded",),
        "seconds": 0.01,
    }
    return Submitted(**(fields | {"status": 202 if job else None, "job": job} | given))


def started(run: str, at: float, **given: Any) -> Started:
    fields: dict[str, Any] = {"at": at, "job": "a", "run": run, "attempt": 1, "pid": 1}
    return Started(**(fields | given))


def read(state: str | None = "succeeded", job: str = "a", **given: Any) -> Read:
    fields: dict[str, Any] = {"at": 100.0, "job": job, "status": 200, "state": state}
    return Read(**(fields | {"history": (Attempted(attempt=1, outcome="succeeded"),)} | given))


def ran(run: str = "r1", start: float = 1.0, end: float = 2.0, **given: Any) -> list[AnyEvent]:
    return [started(run, start, **given), Done(at=end, run=run)]


WELL: list[AnyEvent] = [submitted(), *ran(), read()]
RETRIED = (Attempted(attempt=1, outcome="failed"), Attempted(attempt=2, outcome="succeeded"))
KEYED: list[AnyEvent] = [submitted(keyed=True), *ran(), read()]
LOST_ONCE = (Attempted(attempt=1, outcome="lost"), Attempted(attempt=2, outcome="succeeded"))


def test_a_job_that_ran_once_and_succeeded_is_well() -> None:
    verdict = judge(WELL)
    assert verdict.valid
    assert (verdict.accepted, verdict.ok, verdict.repeated, verdict.recovered) == (1, 1, 0, 0)


def test_a_refused_submission_is_no_promise() -> None:
    verdict = judge([*WELL, submitted(None, status=503)])
    assert verdict.valid
    assert (verdict.attempts, verdict.accepted) == (2, 1)


@pytest.mark.parametrize("history", [[], [submitted(None, status=503)]], ids=["nothing", "only refusals"])
def test_a_history_without_a_promise_proves_nothing(history: list[AnyEvent]) -> None:
    assert not judge(history).valid


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


def test_a_success_of_an_attempt_whose_run_was_still_under_way_is_lost() -> None:
    """Somebody else's word counted."""
    runs = [*ran("r1", 1.0, 4.0), *ran("r2", 3.0, 6.0, attempt=2, pid=2)]
    lost = Attempted(attempt=1, outcome="lost", ended=2.0)

    def verdict(ended: float) -> Verdict:
        word = Attempted(attempt=2, outcome="succeeded", ended=ended)
        return judge([submitted(), *runs, read(history=(lost, word))])

    assert verdict(ended=4.1).lost
    assert not verdict(ended=6.1).lost


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
    twice: list[AnyEvent] = [submitted("a", key="k"), submitted("b", key="k")]
    verdict = judge([*twice, *ran(), *ran("r2", job="b"), read(), read(job="b")])
    assert [violation.job for violation in verdict.unexpected] == ["b"]


def test_the_same_answer_to_a_repeated_submission_is_well() -> None:
    assert judge([submitted(), submitted(at=0.5), *ran(), read()]).accepted == 1


def test_a_job_that_nobody_was_told_of_is_unexpected() -> None:
    assert judge([*WELL, *ran("r9", job="ghost")]).unexpected


def test_a_run_that_begins_after_its_attempt_had_ended_is_unexpected() -> None:
    word = Attempted(attempt=1, outcome="succeeded", ended=2.1)
    verdict = judge([submitted(), *ran("r2", 100.0, 100.5, attempt=2, pid=2), *ran(), read(history=(word,))])
    assert [violation.reason for violation in verdict.unexpected] == [
        "attempt 2 ran, and its history knows none"
    ]
    lost = (
        Attempted(attempt=1, outcome="lost", ended=1.5),
        Attempted(attempt=2, outcome="succeeded", ended=4.1),
    )
    runs = [*ran("r2", 3.0, 4.0, attempt=2, pid=2), *ran("r1", 100.0, 100.5)]
    verdict = judge([submitted(), *runs, read(history=lost)])
    assert [violation.reason for violation in verdict.unexpected] == [
        "attempt 1 began to run after it had ended"
    ]


def test_a_worker_that_was_stopped_between_claim_and_handler_begins_late() -> None:
    lost = (
        Attempted(attempt=1, outcome="lost", ended=3.0),
        Attempted(attempt=2, outcome="succeeded", ended=4.6),
    )
    pause = Fault(at=1.5, name="pause", target="worker-web", until=5.0, stopped=(1,))
    runs = [*ran("r2", 4.0, 4.5, attempt=2, pid=2), *ran("r1", 5.1, 5.2)]
    assert judge([submitted(), pause, *runs, read(history=lost)]).valid


def test_an_attempt_that_ran_twice_is_unexpected() -> None:
    verdict = judge([submitted(), *ran(), *ran("r2", 3.0, 4.0, pid=2), read()])
    assert [violation.reason for violation in verdict.unexpected] == ["attempt 1 ran 2 times"]


def test_a_run_of_an_attempt_that_no_client_can_read_is_unexpected() -> None:
    verdict = judge([submitted(), *ran(), *ran("r2", 0.1, 0.2, attempt=7), read()])
    assert [violation.reason for violation in verdict.unexpected] == [
        "attempt 7 ran, and its history knows none"
    ]


def test_a_job_behind_an_unanswered_submission_may_run() -> None:
    assert judge([*WELL, submitted(None, key="open"), *ran("r9", job="perhaps")]).valid


def test_two_runs_at_once_by_workers_that_are_well_overlap() -> None:
    runs: list[AnyEvent] = [started("r1", 1.0), started("r2", 2.0, attempt=2, pid=2), Alive(at=2.5, run="r1")]
    verdict = judge([submitted(), *runs, Done(at=3.0, run="r2"), read(history=LOST_ONCE)])
    assert [violation.reason for violation in verdict.overlapping] == ["attempts 1 and 2 ran at once"]


def test_a_run_that_gave_no_sign_after_the_next_one_began_does_not_overlap() -> None:
    runs: list[AnyEvent] = [
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
    runs: list[AnyEvent] = [started("r1", 1.0), started("r2", 5.0, attempt=2, pid=2), Done(at=6.0, run="r2")]
    return [submitted(), pause, *runs, Done(at=9.5, run="r1"), read(history=history)]


def test_a_stopped_worker_that_goes_on_when_it_wakes_is_late_and_does_not_overlap() -> None:
    verdict = judge(late(LOST_ONCE))
    assert verdict.valid
    assert verdict.late == 1


@pytest.mark.parametrize("word", ["succeeded", "failed", "cancelled"])
def test_no_word_of_a_stopped_worker_must_count(word: str) -> None:
    history = (Attempted(attempt=1, outcome=word), Attempted(attempt=2, outcome="succeeded"))
    assert [violation.job for violation in judge(late(history)).unexpected] == ["a"]


def beside(fault: Fault, *, taken: float, ends: float, extra: tuple[AnyEvent, ...] = ()) -> Verdict:
    """A run of process 1 from 1.0 on, beside another one that began when it was taken away."""
    runs: list[AnyEvent] = [started("r1", 1.0), started("r2", taken, attempt=2, pid=2)]
    ended: list[AnyEvent] = [Done(at=taken + 0.5, run="r2"), Alive(at=ends, run="r1")]
    return judge([submitted(), fault, *extra, *runs, *ended, read(history=LOST_ONCE)])


def pause(**given: Any) -> Fault:
    fields: dict[str, Any] = {"at": 2.0, "name": "pause", "target": "worker-web", "until": 20.0}
    return Fault(**(fields | given))


def test_a_pause_excuses_until_the_worker_must_have_noticed_and_no_longer() -> None:
    assert beside(pause(stopped=(1,)), taken=11.0, ends=26.0).valid
    assert beside(pause(stopped=(1,)), taken=11.0, ends=27.0).overlapping
    assert beside(pause(stopped=(1,)), taken=60.0, ends=300.0).overlapping
    assert beside(pause(at=12.0, stopped=(1,)), taken=11.0, ends=21.0).overlapping


def test_what_is_cut_off_from_the_ledger_may_go_on_until_it_has_it_back() -> None:
    assert beside(pause(cut_off=(1,)), taken=11.0, ends=26.0).valid
    assert beside(pause(cut_off=(1,)), taken=11.0, ends=27.5).overlapping


def test_what_can_ask_the_ledger_learns_of_its_loss_whoever_renews_its_lease() -> None:
    assert beside(pause(unrenewed=(1,)), taken=11.0, ends=17.0).valid
    assert beside(pause(unrenewed=(1,)), taken=11.0, ends=18.0).overlapping


def test_nobody_learns_anything_while_the_ledger_is_away() -> None:
    away = Fault(at=20.5, name="away", target="ledger", until=32.0)
    assert beside(pause(stopped=(1,)), taken=11.0, ends=38.0, extra=(away,)).valid
    assert beside(pause(stopped=(1,)), taken=11.0, ends=40.0, extra=(away,)).overlapping


def test_a_pause_of_another_worker_is_no_excuse() -> None:
    assert judge(late(LOST_ONCE, stopped=(7,))).overlapping


def test_a_keyed_effect_that_happened_twice_is_doubled() -> None:
    assert judge([*KEYED, Effect(at=2.0, key="key-a")]).valid
    assert judge([*KEYED, Effect(at=2.0, key="key-a"), Effect(at=3.0, key="key-a")]).doubled


def test_a_keyed_success_without_its_effect_is_lost() -> None:
    assert judge(KEYED).lost


def test_an_end_that_a_client_was_told_stays() -> None:
    assert judge([*WELL, Told(at=3.0, job="a", state="succeeded")]).valid
    assert judge([*WELL, Told(at=3.0, job="a", state="running")]).valid
    assert judge([*WELL, Told(at=3.0, job="a", state="cancelled")]).unexpected


def attempts(*outcomes: str, every: float = 10.0) -> tuple[Attempted, ...]:
    """Each one begins when the one before it has ended."""
    return tuple(
        Attempted(attempt=number, outcome=outcome, began=every * (number - 1), ended=every * number)
        for number, outcome in enumerate(outcomes, 1)
    )


def killed(at: float, pid: int, target: str = "worker-web") -> Fault:
    return Fault(at=at, name="kill", target=target, until=at, killed=(pid,))


def condemned(*faults: Fault, runs: int = 3, **given: Any) -> Verdict:
    """Three losses, each of a run that began with its attempt and gave its last sign 4 s later."""
    noted: list[AnyEvent] = []
    for number in range(runs):
        run, at = f"r{number}", 10.0 * number
        noted += [started(run, at, attempt=number + 1, pid=number + 1), Alive(at=at + 4.0, run=run)]
    end = read("failed", error="Lost", history=attempts("lost", "lost", "lost"))
    return judge([submitted(**given), *faults, *noted, end])


def test_a_job_that_faults_killed_again_and_again_may_end_as_a_killer() -> None:
    verdict = condemned(killed(4.1, 1), killed(14.1, 2), killed(24.1, 3))
    assert verdict.valid
    assert verdict.condemned == 1


@pytest.mark.parametrize(
    "last",
    [
        pytest.param((), id="no fault"),
        pytest.param((killed(24.1, 7),), id="of another process"),
        pytest.param((killed(9.0, 3),), id="before it began"),
        pytest.param((killed(22.0, 3),), id="after which it went on"),
        pytest.param((killed(33.0, 3),), id="after its loss"),
    ],
)
def test_a_job_that_ended_as_a_killer_though_no_fault_explains_each_loss_is_unexpected(
    last: tuple[Fault, ...],
) -> None:
    verdict = condemned(killed(4.1, 1), killed(14.1, 2), *last)
    assert verdict.unexpected
    assert verdict.condemned == 0


def test_a_loss_before_the_handler_began_needs_a_fault_at_that_time_that_struck_a_worker() -> None:
    first = (killed(4.1, 1), killed(14.1, 2))
    assert condemned(*first, killed(25.0, 9), runs=2).condemned == 1
    assert condemned(*first, killed(25.0, 9, "beat"), runs=2).unexpected
    assert condemned(*first, killed(35.0, 9), runs=2).unexpected


def test_a_job_that_was_lost_without_runs_and_without_faults_is_unexpected() -> None:
    assert condemned(runs=0).unexpected


def test_a_killer_ends_after_losses_of_its_own_making() -> None:
    killer: dict[str, Any] = {"deadly": True, "expected": ("failed",), "errors": ("Lost",)}
    assert condemned(**killer).valid
    assert condemned(runs=0, **killer).unexpected
    once = read("failed", error="Lost", history=attempts("lost"))
    assert judge([submitted(**killer), started("r1", 1.0), once]).unexpected


@pytest.mark.parametrize("error", ["Fatal", "MemoryError", "DeadlineExceeded"])
def test_a_failure_must_be_the_one_that_is_right_and_must_have_run(error: str) -> None:
    failing = submitted(expected=("failed",), errors=(error,))
    failed = attempts("failed")
    assert judge([failing, started("r1", 1.0), read("failed", error=error, history=failed)]).valid
    assert judge([failing, read("failed", error=error, history=failed)]).unexpected
    for other in ("Lost", "OutcomeUnrecordable", None):
        assert judge([failing, started("r1", 1.0), read("failed", error=other, history=failed)]).unexpected
    assert judge(
        [failing, started("r1", 1.0), read("failed", error=error, history=attempts("lost"))]
    ).unexpected


def died(pid: int, exit_status: int = -11) -> Died:
    return Died(at=1.0, name="worker-web", pid=pid, exit_status=exit_status)


def test_a_process_that_died_of_itself_is_named() -> None:
    verdict = judge([*WELL, died(7)])
    assert verdict.died == ["worker-web (pid 7, exit status -11)"]
    assert not verdict.valid


def test_a_process_that_a_fault_or_a_killer_ended_or_that_left_is_not_named() -> None:
    assert judge([*WELL, killed(1.0, 7), died(7), died(8, exit_status=0)]).died == []
    killer: list[AnyEvent] = [
        submitted(deadly=True, expected=("failed",), errors=("Lost",)),
        started("r1", 1.0),
        read("failed"),
    ]
    assert judge([*killer, died(1)]).died == []


def test_a_fault_excuses_a_death_at_its_time_alone() -> None:
    assert judge([*WELL, killed(1.0, 7), Died(at=60.0, name="worker-web", pid=7, exit_status=-9)]).died
    stopped = Fault(at=1.0, name="pause", target="worker-web", until=10.0, stopped=(7,))
    assert judge([*WELL, stopped, Died(at=10.5, name="worker-web", pid=7, exit_status=1)]).died == []
    assert judge([*WELL, stopped, Died(at=60.0, name="worker-web", pid=7, exit_status=1)]).died


def test_a_process_that_was_told_to_stop_may_end_by_that_signal_and_by_no_other() -> None:
    told = Fault(at=1.0, name="restart", target="beat", until=1.0, asked=(7,))
    assert judge([*WELL, told, died(7, exit_status=-15)]).died == []
    assert judge([*WELL, told, died(7, exit_status=-11)]).died
    assert judge([*WELL, died(7, exit_status=-15)]).died


def test_a_submission_without_an_answer_is_counted() -> None:
    assert judge([*WELL, submitted(None, key="open")]).unanswered == 1


def test_a_killer_recovers_from_nothing() -> None:
    runs: list[AnyEvent] = [started("r1", 1.0), started("r2", 3.0, attempt=2)]
    history = (Attempted(attempt=1, outcome="lost"), Attempted(attempt=2, outcome="lost"))
    killer = submitted(deadly=True, expected=("failed",), errors=("Lost",))
    assert judge([killer, *runs, read("failed", history=history)]).recovery_seconds == []


def test_a_failed_attempt_is_nothing_to_recover_from() -> None:
    runs: list[AnyEvent] = [started("r1", 1.0), started("r2", 3.0, attempt=2), Done(at=4.0, run="r2")]
    verdict = judge([submitted(), *runs, read(history=RETRIED)])
    assert verdict.recovered == 0
    assert verdict.recovery_seconds == []


def test_a_retry_is_no_repeated_run() -> None:
    runs: list[AnyEvent] = [*ran(), *ran("r2", 3.0, 4.0, attempt=2)]
    assert judge([submitted(), *runs, read(history=RETRIED)]).repeated == 0


def test_the_last_failure_is_no_reason_for_another_run() -> None:
    lost = Attempted(attempt=1, outcome="lost")
    failed = read("failed", history=(lost, Attempted(attempt=2, outcome="failed")))
    runs: list[AnyEvent] = [*ran(), *ran("r2", 3.0, 4.0, attempt=2)]
    assert judge([submitted(expected=("failed",)), *runs, failed]).repeated == 1


def test_faults_are_counted_by_name() -> None:
    faults: list[AnyEvent] = [Fault(at=at, name="kill", target="beat", until=at) for at in (1.0, 2.0)]
    assert judge([*WELL, *faults]).faults == {"kill": 2}
