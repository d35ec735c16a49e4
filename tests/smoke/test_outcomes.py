"""How attempts end, on each pool: each runs the same base task through another part of Celery."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.awaiting import eventually
from tests.smoke.client import REQUEST, Client
from tests.smoke.platform import Platform
from worker.storage import Storage


def test_a_job_succeeds_with_its_result_and_its_history(client: Client, queue: str) -> None:
    job_id = client.submit("probe.echo", queue, text="Grüße")
    job = client.succeeded(job_id)
    assert job["result"]["text"] == "Grüße"
    assert job["error"] is None
    (entry,) = client.history(job_id)
    assert entry["outcome"] == "succeeded"
    assert entry["worker"].endswith("@smoke")
    assert job["created_at"] <= entry["started_at"] <= entry["ended_at"] == job["finished_at"]


def test_a_handler_gets_its_ports(client: Client, queue: str) -> None:
    job = client.succeeded(client.submit("probe.greet", queue, text="Ada"))
    assert job["result"]["text"] == "Good day, Ada"


def test_a_failed_attempt_is_tried_again_after_its_backoff(client: Client, queue: str) -> None:
    job_id = client.submit("probe.flaky", queue, failures=2)
    job = client.succeeded(job_id)
    assert job["result"]["text"] == "attempt 3 of 3"
    assert client.outcomes(job_id) == ["failed", "failed", "succeeded"]
    assert [entry["error"] for entry in client.history(job_id)] == [
        {"type": "Retryable", "message": "failure 1"},
        {"type": "Retryable", "message": "failure 2"},
        None,
    ]


def test_max_attempts_counts_the_first_run(client: Client, queue: str) -> None:
    job_id = client.submit("probe.flaky", queue, failures=99)
    job = client.failed(job_id)
    assert job["attempt"] == job["max_attempts"] == 3
    assert job["error"] == {"type": "Retryable", "message": "failure 3"}
    assert client.outcomes(job_id) == ["failed", "failed", "failed"]


def test_a_retry_waits_as_long_as_the_other_side_asked(client: Client, queue: str) -> None:
    job_id = client.submit("probe.flaky", queue, failures=1, after=0.7)
    client.succeeded(job_id)
    first, second = client.history(job_id)
    assert 0.7 <= (second["started_at"] - first["ended_at"]).total_seconds() < 15


def test_a_fatal_error_is_not_tried_again(client: Client, queue: str) -> None:
    job_id = client.submit("probe.fatal", queue)
    job = client.failed(job_id)
    assert job["error"] == {"type": "Fatal", "message": "no attempt can help"}
    assert client.outcomes(job_id) == ["failed"]


def test_an_unexpected_error_is_shown_without_its_secrets(client: Client, queue: str) -> None:
    error = client.failed(client.submit("probe.broken", queue))["error"]
    assert error["type"] == "RuntimeError"
    assert "example.test" in error["message"]
    assert "hunter2" not in error["message"]


def test_running_out_of_memory_is_a_failed_attempt(client: Client, queue: str) -> None:
    job_id = client.submit("probe.memory", queue)
    assert client.failed(job_id)["error"]["type"] == "MemoryError"
    assert client.outcomes(job_id) == ["failed"]
    client.succeeded(client.submit("probe.echo", queue))


def test_a_handler_that_exits_is_a_failed_attempt(client: Client, queue: str) -> None:
    job_id = client.submit("probe.leave", queue)
    assert client.failed(job_id)["error"]["type"] == "SystemExit"
    assert client.outcomes(job_id) == ["failed"]
    client.succeeded(client.submit("probe.echo", queue))


def test_a_result_of_another_type_fails_the_job_and_says_so(client: Client, queue: str) -> None:
    job = client.failed(client.submit("probe.wrong", queue))
    assert job["error"] == {
        "type": "InvalidResult",
        "message": "the handler returned dict, declared is Said",
    }
    assert job["attempt"] == 1


def test_a_result_that_is_too_large_fails_the_job_and_says_so(client: Client, queue: str) -> None:
    job = client.failed(client.submit("probe.large", queue))
    assert job["error"]["type"] == "InvalidResult"
    assert "1048576" in job["error"]["message"]
    assert job["result"] is None


def test_an_outcome_that_the_ledger_refuses_ends_the_job_readably(client: Client, queue: str) -> None:
    job = client.failed(client.submit("probe.unsayable", queue))
    assert job["error"]["type"] == "OutcomeUnrecordable"
    client.succeeded(client.submit("probe.echo", queue))


def test_progress_can_be_read_while_the_handler_runs(client: Client, queue: str, gate: Path) -> None:
    job_id = client.submit("probe.wait", queue, gate=str(gate))
    progress = eventually(lambda: client.job(job_id)["progress"])
    assert progress == {"done": 1.0, "total": 2.0, "note": "waiting"}
    assert client.job(job_id)["state"] == "running"
    gate.touch()
    client.succeeded(job_id)


def test_an_attempt_goes_on_where_the_checkpoint_of_the_last_one_was(client: Client, queue: str) -> None:
    job_id = client.submit("probe.steps", queue, times=3)
    job = client.succeeded(job_id)
    assert job["result"]["text"] == "[1, 2, 3]"
    assert client.outcomes(job_id) == ["failed", "failed", "succeeded"]
    assert job["checkpoint"] is None


def test_artifacts_are_stored_with_their_digests(client: Client, queue: str, platform: Platform) -> None:
    job_id = client.submit("probe.artifact", queue, text="Umsätze")
    client.succeeded(job_id)
    content = "Umsätze".encode()
    found = client.artifact(job_id, "report.txt")
    assert found is not None
    assert (found.content_type, found.size) == ("text/plain", len(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    with Storage(platform.settings.home_path / "artifacts").open(found.id) as file:
        assert file.read() == content
    empty = client.artifact(job_id, "empty")
    assert empty is not None
    assert empty.size == 0


def test_a_handlers_log_lines_carry_job_kind_attempt_and_request(
    client: Client, queue: str, platform: Platform
) -> None:
    job_id = client.submit("probe.echo", queue, text="to the log")
    client.succeeded(job_id)
    said: dict[str, Any] = {}

    def look() -> bool:
        """The last line is written behind the commit that the client sees."""
        lines = [json.loads(line) for line in platform.log_lines().splitlines() if str(job_id) in line]
        said.update({line["event"]: line for line in lines})
        return said.keys() >= {"echoed", "attempt_ended"}

    eventually(look)
    for event in ("echoed", "attempt_ended"):
        line = said[event]
        assert (line["job"], line["kind"], line["attempt"]) == (str(job_id), "probe.echo", 1)
        assert line["request_id"] == REQUEST
    assert said["echoed"]["text"] == "to the log"
