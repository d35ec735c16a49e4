import math
import random

import pytest

from tests.unit.worker.runtime.samples import Answer, ask, claimed, held
from worker.contract import Cancelled, Fatal, Retryable
from worker.contract.errors import DeadlineExceeded
from worker.contract.states import State
from worker.ledger.records import JobFailure, Outcome
from worker.runtime import verdict

RNG = random.Random(1)  # noqa: S311 - jitter, no secret


def of_error(error: BaseException, **job: int) -> Outcome:
    return verdict.of_error(ask, claimed(**job), "worker", error, RNG)


def failure_of(error: BaseException) -> JobFailure:
    failure = of_error(error).error
    assert failure is not None
    return failure


def test_a_result_of_the_declared_type_is_success() -> None:
    job = claimed()
    outcome = verdict.of_result(ask, job, "worker", Answer(text="yes"))
    assert (outcome.state, outcome.result) == (State.SUCCEEDED, b'{"text":"yes"}')
    assert (outcome.job_id, outcome.token, outcome.worker) == (job.id, job.token, "worker")


@pytest.mark.parametrize("result", [None, {"text": "yes"}, "yes"])
def test_a_result_of_another_type_is_a_failure_that_no_retry_can_help(result: object) -> None:
    outcome = verdict.of_result(ask, claimed(), "worker", result)
    assert outcome.state is State.FAILED
    assert outcome.error is not None
    assert outcome.error.type == "InvalidResult"


def test_the_largest_result_fits_and_a_larger_one_does_not() -> None:
    room = verdict.LARGEST_RESULT - len('{"text":""}')
    fits = verdict.of_result(ask, claimed(), "worker", Answer(text="x" * room))
    larger = verdict.of_result(ask, claimed(), "worker", Answer(text="x" * (room + 1)))
    assert (fits.state, larger.state) == (State.SUCCEEDED, State.FAILED)
    assert larger.result is None


@pytest.mark.parametrize(("spent", "delay"), [(1, 10.0), (2, 20.0)])
def test_an_error_is_tried_again_after_the_kinds_backoff(spent: int, delay: float) -> None:
    outcome = of_error(RuntimeError("broken"), spent=spent)
    assert (outcome.state, outcome.delay) == (State.RETRYING, delay)


def test_the_last_attempts_error_is_final() -> None:
    outcome = of_error(RuntimeError("broken"), spent=3)
    assert outcome.state is State.FAILED


def test_a_loss_does_not_count_as_an_attempt() -> None:
    assert of_error(RuntimeError("broken"), attempt=5, spent=2).state is State.RETRYING


def test_a_fatal_error_is_final_at_once() -> None:
    assert of_error(Fatal("no")).state is State.FAILED


def test_a_handler_that_stopped_for_a_cancel_is_cancelled() -> None:
    assert of_error(Cancelled("stopped"), spent=3).state is State.CANCELLED


@pytest.mark.parametrize(
    ("after", "delay"),
    [(7.5, 7.5), (0.0, 0.0), (-5.0, 0.0), (math.nan, 0.0), (math.inf, verdict.LONGEST_WAIT), (1e300,) * 2],
)
def test_the_other_sides_wish_is_honoured_within_reason(after: float, delay: float) -> None:
    assert of_error(Retryable("busy", after=after)).delay == min(delay, verdict.LONGEST_WAIT)


def test_an_overrun_says_the_deadline_and_spends_an_attempt() -> None:
    outcome = verdict.of_overrun(ask, held(), "worker", RNG)
    assert outcome.state is State.RETRYING
    assert outcome.error == JobFailure(
        type=DeadlineExceeded.__name__, message="the attempt ran longer than its deadline of 30 s"
    )
    assert verdict.of_overrun(ask, held(spent=3), "worker", RNG).state is State.FAILED


def test_a_process_that_was_ended_for_a_cancel_leaves_a_cancelled_job() -> None:
    outcome = verdict.of_cancel(held(), "worker")
    assert outcome.state is State.CANCELLED
    assert outcome.error is not None
    assert outcome.error.type == "Cancelled"


def test_the_text_of_an_expected_error_reaches_the_client_as_it_is() -> None:
    assert failure_of(Fatal("no user named token abc")).message == "no user named token abc"


def test_the_text_of_an_unexpected_error_is_masked() -> None:
    assert failure_of(ValueError("password=hunter2")).message == "password=***"


def test_a_long_text_is_cut() -> None:
    assert len(failure_of(Fatal("x" * 10_000)).message) == 2000


def test_text_that_no_json_can_carry_is_replaced() -> None:
    assert failure_of(Fatal("file \udcff")).message == "file ?"


def test_an_error_that_cannot_be_shown_is_still_an_outcome() -> None:
    class Shy(Exception):  # noqa: N818 - a test's
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert failure_of(Shy()) == JobFailure(type="Shy", message="the error cannot be shown")
