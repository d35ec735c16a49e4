"""`database.execute`: what it accepts and what it gives back."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled, Context
from worker.contract.ports import Executed, ExecuteRequest, StatementExecutor
from worker.kinds.database.execute import DatabaseExecute, execute


@dataclass
class FakeExecutor:
    """Gives one prepared answer."""

    executed: Executed
    requests: list[ExecuteRequest] = field(default_factory=list)

    def execute(self, request: ExecuteRequest) -> Executed:
        self.requests.append(request)
        return self.executed


DONE = Executed(rows_affected=2, rows=[{"id": 1}, {"id": 2}])


def decode(**fields: Any) -> DatabaseExecute:
    """A payload as the API makes it."""
    return msgspec.json.decode(msgspec.json.encode({"statement": "close"} | fields), type=DatabaseExecute)


def test_the_fakes_are_what_the_contract_says() -> None:
    context: Context = FakeContext()
    executor: StatementExecutor = FakeExecutor(DONE)
    assert execute(decode(), context, executor).rows_affected == 2


def test_the_job_and_the_parameters_reach_the_executor() -> None:
    executor = FakeExecutor(DONE)
    context = FakeContext(job_id="a job", kind="database.execute", left=30.0)
    result = execute(decode(params={"before": "2026-01-01", "ids": [1, 2]}), context, executor)
    assert executor.requests == [
        ExecuteRequest(
            job_id="a job",
            kind="database.execute",
            statement="close",
            params={"before": "2026-01-01", "ids": [1, 2]},
            timeout=30.0,
        )
    ]
    assert msgspec.to_builtins(result) == {
        "statement": "close",
        "rows_affected": 2,
        "rows": [{"id": 1}, {"id": 2}],
    }
    assert context.log.lines == []


def test_what_an_earlier_attempt_did_is_the_result_and_is_logged() -> None:
    context = FakeContext()
    repeated = msgspec.structs.replace(DONE, repeated=True)
    assert execute(decode(), context, FakeExecutor(repeated)).rows == DONE.rows
    assert [line.event for line in context.log.lines] == ["already_applied"]


def test_a_cancelled_job_runs_nothing() -> None:
    executor = FakeExecutor(DONE)
    with pytest.raises(Cancelled):
        execute(decode(), FakeContext(cancelled=True), executor)
    assert executor.requests == []


@pytest.mark.parametrize("name", ["", "Close", "close;", "close\n", "../close", "SELECT 1"])
def test_a_statement_is_named_and_never_written(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="statement"):
        decode(statement=name)


def test_a_description_names_the_statement_alone() -> None:
    assert decode(params={"password": "hush"}).describe() == "close"
