import json
import math
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from loguru import logger

from tests.unit.worker.runtime.samples import ask, claimed
from worker.contract import Cancelled, Fatal
from worker.ledger.engines import Ledger
from worker.runtime.attempt import Attempt
from worker.runtime.bundle import Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.storage import Storage


class NoLedger:
    """A ledger that nobody may ask."""


def parts(storage: Storage) -> tuple[Ledger, Storage, Checkpoints]:
    ledger = cast("Ledger", NoLedger())
    return ledger, storage, Checkpoints(ledger, turns=1)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


@pytest.fixture
def attempt(storage: Storage) -> Attempt:
    return Attempt(ask, claimed(attempt=2), *parts(storage), bundle=Bundle([]))


def test_it_says_whose_run_it_is(attempt: Attempt) -> None:
    assert attempt.job_id == str(attempt.job.id)
    assert (attempt.kind, attempt.attempt, attempt.max_attempts) == ("sample.ask", 2, 3)
    assert attempt.request_id == "a request"


def test_its_log_lines_carry_job_kind_attempt_and_request(attempt: Attempt) -> None:
    heard = []
    sink = logger.add(lambda line: heard.append(line.record), level="INFO")
    try:
        attempt.log.info("something", size=3)
    finally:
        logger.remove(sink)
    (record,) = heard
    assert record["message"] == "something"
    expected = {"job": attempt.job_id, "kind": "sample.ask", "attempt": 2, "request_id": "a request"}
    assert record["extra"].items() >= {**expected, "size": 3}.items()


def test_the_time_that_is_left_never_falls_below_zero(attempt: Attempt) -> None:
    assert 29 < attempt.remaining() <= 30
    attempt.started -= 1000
    assert attempt.remaining() == 0


def test_it_goes_on_until_somebody_wants_it_to_stop(attempt: Attempt) -> None:
    attempt.check_cancelled()
    attempt.unwanted_since = 0.0
    assert attempt.cancelled
    with pytest.raises(Cancelled):
        attempt.check_cancelled()


@pytest.mark.parametrize(
    ("said", "progress"),
    [
        ((1,), {"done": 1, "total": None, "note": None}),
        ((1.5, 3), {"done": 1.5, "total": 3, "note": None}),
        ((0, 0, "Grüße"), {"done": 0, "total": 0, "note": "Grüße"}),
        ((1, None, "x" * 9999), {"done": 1, "total": None, "note": "x" * 500}),
        ((math.nan,), {"done": None, "total": None, "note": None}),
    ],
)
def test_progress_is_kept_as_json(attempt: Attempt, said: tuple[float], progress: dict[str, object]) -> None:
    attempt.progress(*said)
    assert attempt.unsaid_progress is not None
    assert json.loads(attempt.unsaid_progress) == progress


@pytest.mark.parametrize("said", [("half",), (object(),), (1, "all"), (1, 2, "\udcff")])
def test_progress_that_is_none_is_the_handlers_own_error(attempt: Attempt, said: tuple[float]) -> None:
    with pytest.raises((TypeError, ValueError)):
        attempt.progress(*said)
    assert attempt.unsaid_progress is None


def test_an_artifact_is_kept_once_it_was_written(attempt: Attempt, storage: Storage) -> None:
    with attempt.save_artifact("report.csv", "text/csv") as file:
        file.write(b"a,b\n")
        file.write(b"1,2\n")
        assert attempt.artifacts == {}
    artifact = attempt.artifacts["report.csv"]
    assert (artifact.job_id, artifact.client_id) == (attempt.job.id, attempt.job.client_id)
    assert (artifact.content_type, artifact.size) == ("text/csv", 8)
    with storage.open(artifact.id) as stored:
        assert stored.read() == b"a,b\n1,2\n"


def test_an_artifact_that_was_not_finished_leaves_nothing(attempt: Attempt, tmp_path: Path) -> None:
    with pytest.raises(TypeError), attempt.save_artifact("report.csv") as file:
        file.write(b"half" + cast("bytes", None))
    assert attempt.artifacts == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["", "a/b", "../up", "line\nbreak", "nul\0", "x" * 201])
def test_an_artifact_needs_a_plain_name(attempt: Attempt, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of an artifact"), attempt.save_artifact(name):
        pass


@pytest.mark.parametrize("wanted", ["", "no id", "../../etc/passwd"])
def test_an_artifact_of_no_id_cannot_be_opened(attempt: Attempt, wanted: str) -> None:
    with pytest.raises(Fatal, match="there is no artifact"):
        attempt.open_artifact(wanted)


def test_two_attempts_do_not_share_their_artifacts(storage: Storage) -> None:
    first, second = (Attempt(ask, claimed(id=uuid4()), *parts(storage), bundle=Bundle([])) for _ in range(2))
    with first.save_artifact("a"):
        pass
    assert second.artifacts == {}
