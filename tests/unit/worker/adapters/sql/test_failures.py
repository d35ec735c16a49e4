"""What PostgreSQL's errors mean for a job."""

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError

from worker.adapters.sql.failures import translated
from worker.contract import Cancelled, Fatal, JobError, Retryable


@pytest.mark.parametrize(
    ("error", "verdict", "words"),
    [
        (psycopg2.OperationalError("password hush"), Retryable, "is not available (OperationalError)"),
        (errors.QueryCanceled(), Retryable, "a statement ran longer than its time limit"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_an_error_of_the_driver_is_translated_wherever_it_comes_from(
    error: psycopg2.Error, verdict: type[JobError], words: str, *, wrapped: bool
) -> None:
    with pytest.raises(verdict) as caught, translated("warehouse"):
        raise OperationalError("SELECT 'hush'", {}, error) if wrapped else error
    assert str(caught.value) == f"data source 'warehouse'{':' if 'ran' in words else ''} {words}"


def test_a_session_that_the_server_ended_is_retried() -> None:
    class Ended(errors.IdleInTransactionSessionTimeout):
        pgcode = "25P03"

    with pytest.raises(Retryable, match="is not available"), translated("warehouse"):
        raise Ended


def test_an_error_of_sqlalchemy_itself_is_named_and_no_more() -> None:
    with (
        pytest.raises(Fatal, match=r"^data source 'warehouse': InvalidRequestError$"),
        translated("warehouse"),
    ):
        raise InvalidRequestError("password hush")


def test_what_a_job_raises_passes() -> None:
    with pytest.raises(Cancelled), translated("warehouse"):
        raise Cancelled("stopped")


def test_nothing_of_a_statement_is_told() -> None:
    with pytest.raises(JobError) as caught, translated("warehouse"):
        raise DBAPIError("SELECT 'hush'", {"secret": "hush"}, psycopg2.ProgrammingError("hush"))
    assert "hush" not in str(caught.value)
