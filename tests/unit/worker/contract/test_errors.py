import pytest

from worker.contract import Cancelled, Fatal, JobError, Retryable
from worker.contract.errors import DeadlineExceeded


def test_a_retryable_error_may_say_when() -> None:
    assert Retryable("busy").after is None
    assert Retryable("busy", after=2.5).after == 2.5


@pytest.mark.parametrize("error", [Retryable("no"), Fatal("no"), Cancelled("no"), DeadlineExceeded("no")])
def test_every_error_of_a_job_has_a_text_for_its_client(error: JobError) -> None:
    assert str(error) == "no"


def test_an_overrun_may_be_tried_again() -> None:
    assert isinstance(DeadlineExceeded("late"), Retryable)
