"""`jobyard jobs` and `jobyard batches` against an API: a user's words, and what becomes of them."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from tests.integration.api.fakes import FakeWorker
from tests.integration.api.server import Server
from worker.ledger import artifacts
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact
from worker.settings import Settings
from worker.storage import Storage

FETCH = {"kind": "web.fetch", "payload": {"url": "https://example.com/"}}
RESULT = {
    "status": 200,
    "url": "https://example.com/",
    "redirects": 0,
    "headers": {},
    "bytes": 0,
    "sha256": "",
    "wait_seconds": 0.1,
}

Jobyard = Callable[..., Result]


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.fixture
def jobyard(server: Server, key: str, tmp_path: Path) -> Jobyard:
    environ = {
        "JOBYARD_API_URL": f"http://127.0.0.1:{server.port}",
        "JOBYARD_API_KEY": key,
        "JOBYARD_HOME": str(tmp_path),
    }

    def run(*words: str, given: str | None = None, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, words, env=environ | dict(env or {}), input=given)

    return run


@pytest.fixture
def submitted(jobyard: Jobyard) -> Callable[..., dict[str, Any]]:
    def submit(*options: str) -> dict[str, Any]:
        return shown(jobyard("jobs", "submit", "web.fetch", json.dumps(FETCH["payload"]), *options))

    return submit


def shown(result: Result, status: int = 0) -> dict[str, Any]:
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_submission_says_all_that_a_client_can(submitted: Callable[..., dict[str, Any]]) -> None:
    first = submitted()
    job = submitted(
        *("--at", "2035-01-31T08:00:00Z", "--expires", "2035-01-31T09:00:00Z", "--priority", "high"),
        *("--queue", "web", "--max-attempts", "2", "--tag", "a", "--tag", "b"),
        *("--callback", "https://example.com/hook", "--after", first["id"]),
        *("--unique", "front page", "--unique-window", "60", "--unique-state", "scheduled"),
    )
    assert (job["state"], job["scheduled_at"], job["expires_at"]) == (
        "scheduled",
        "2035-01-31T08:00:00Z",
        "2035-01-31T09:00:00Z",
    )
    assert (job["priority"], job["queue"], job["max_attempts"], job["tags"]) == ("high", "web", 2, ["a", "b"])
    assert (job["callback"], job["after"]) == ("https://example.com/hook", [first["id"]])
    assert job["unique_key"] == "front page"


def test_a_unique_key_gives_the_job_that_stands(submitted: Callable[..., dict[str, Any]]) -> None:
    held = submitted("--unique", "held")
    assert submitted("--unique", "held", "--unique-window", "60")["id"] == held["id"]
    assert submitted("--unique", "another")["id"] != held["id"]


def test_a_window_without_a_key_is_refused(jobyard: Jobyard) -> None:
    result = jobyard("jobs", "submit", "web.fetch", "{}", "--unique-window", "60")
    assert (result.exit_code, "--unique KEY" in result.output) == (2, True)


@pytest.mark.parametrize("wait", [(), ("--wait", "0.01")], ids=["at once", "waiting"])
def test_an_idempotency_key_makes_one_job(jobyard: Jobyard, wait: tuple[str, ...]) -> None:
    words = (
        "jobs",
        "submit",
        "web.fetch",
        json.dumps(FETCH["payload"]),
        "--idempotency-key",
        f"k{len(wait)}",
    )
    first, second = (jobyard(*words, *wait) for _ in range(2))
    assert json.loads(first.stdout)["id"] == json.loads(second.stdout)["id"]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(FETCH | {"tags": [tag]}) for tag in "ab") + "\n\n",
        json.dumps([FETCH, FETCH]),
        json.dumps({"jobs": [FETCH, FETCH], "tags": ["of the file"]}, indent=2),
    ],
    ids=["lines", "array", "batch"],
)
def test_a_batch_comes_from_a_file(jobyard: Jobyard, tmp_path: Path, text: str) -> None:
    file = tmp_path / "jobs"
    file.write_text(text)
    batch = shown(jobyard("batches", "submit", str(file)))
    assert (batch["size"], batch["counts"], len(batch["job_ids"])) == (2, {"queued": 2}, 2)
    assert batch["tags"] == (["of the file"] if "of the file" in text else [])
    again = shown(jobyard("batches", "submit", "-", "--tag", "mine", given=text))
    assert (again["tags"], again["id"] != batch["id"]) == (["mine"], True)


def test_the_names_of_a_file_are_shown(jobyard: Jobyard) -> None:
    jobs = [FETCH | {"name": "page"}, FETCH | {"after": ["page"]}]
    batch = shown(jobyard("batches", "submit", "-", given=json.dumps(jobs)))
    assert batch["names"] == {"page": batch["job_ids"][0]}
    assert batch["counts"] == {"queued": 1, "scheduled": 1}


def test_a_batch_is_watched_listed_and_cancelled(jobyard: Jobyard) -> None:
    batch = shown(jobyard("batches", "submit", "-", given=json.dumps([FETCH, FETCH])))
    assert shown(jobyard("batches", "show", batch["id"]))["counts"] == {"queued": 2}
    listed = jobyard("batches", "jobs", batch["id"], "--state", "queued").stdout
    assert all(job_id in listed for job_id in batch["job_ids"])
    assert batch["job_ids"][0] not in jobyard("batches", "jobs", batch["id"], "--state", "failed").stdout
    late = jobyard("batches", "wait", batch["id"], "--timeout", "0")
    assert (late.exit_code, "some jobs have not ended after 0 s" in late.output) == (1, True)
    assert shown(jobyard("batches", "cancel", batch["id"]))["counts"] == {"cancelled": 2}
    assert shown(jobyard("batches", "wait", batch["id"]), status=1)["done"]


def test_batches_are_listed_by_tag(jobyard: Jobyard) -> None:
    made = [
        shown(jobyard("batches", "submit", "-", "--tag", tag, given=json.dumps([FETCH])))["id"]
        for tag in ("listed", "listed", "other")
    ]
    listed = jobyard("batches", "list", "--tag", "listed", "--state", "unfinished").stdout
    assert [batch_id in listed for batch_id in made] == [True, True, False]
    newest = jobyard("batches", "list", "--tag", "listed", "--limit", "1").stdout
    assert [batch_id in newest for batch_id in made] == [False, True, False]


def test_a_batch_that_succeeded_ends_the_command_well(jobyard: Jobyard, worker: FakeWorker) -> None:
    batch = shown(jobyard("batches", "submit", "-", given=json.dumps([FETCH])))
    worker.succeed(worker.claim({"id": batch["job_ids"][0]}), RESULT)
    assert shown(jobyard("batches", "wait", batch["id"]))["counts"] == {"succeeded": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"kind": 1}\nno\n', "line 2"),
        (json.dumps([FETCH, {"kind": "no.such"}]), "jobs[1].kind: there is no kind 'no.such'"),
        ("", "Expected `array` of length >= 1"),
    ],
    ids=["no JSON", "a bad job", "no job"],
)
def test_what_is_wrong_with_a_file_is_said(jobyard: Jobyard, text: str, said: str) -> None:
    result = jobyard("batches", "submit", "-", given=text)
    assert result.exit_code == 1
    assert said in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list", "--tag", ""),
        ("jobs", "list", "--kind", ""),
        ("jobs", "cancel-all", "--queue", "", "--yes"),
        ("batches", "list", "--tag", ""),
        ("jobs", "submit", "web.fetch", json.dumps(FETCH["payload"]), "--callback", ""),
        ("artifacts", "upload", __file__, "--name", ""),
        ("artifacts", "upload", __file__, "--type", ""),
        ("artifacts", "upload", __file__, "--type", "text/plain\r\nX: y"),
        ("artifacts", "upload", __file__, "--type", "text/pläin…"),
        ("jobs", "artifact", "0190a7c0-0000-7000-8000-000000000000", ""),
    ],
)
def test_a_word_that_is_empty_or_no_line_is_refused_and_not_passed_over(
    jobyard: Jobyard, words: tuple[str, ...]
) -> None:
    result = jobyard(*words)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {1, 2}, result.output
    assert "Error: " in result.output


def test_a_batch_that_is_read_shows_no_ids_as_if_it_had_none(jobyard: Jobyard) -> None:
    batch = shown(jobyard("batches", "submit", "-", given=json.dumps([FETCH])))
    assert not {"job_ids", "names"} & shown(jobyard("batches", "show", batch["id"])).keys()


def test_a_list_says_when_there_are_more_and_knows_batches_and_times(
    jobyard: Jobyard, submitted: Callable[..., dict[str, Any]]
) -> None:
    jobs = [submitted("--tag", "crowd") for _ in range(3)]
    short = jobyard("jobs", "list", "--tag", "crowd", "--limit", "2")
    assert [job["id"] in short.stdout for job in jobs] == [False, True, True]
    assert "there are more than these 2" in short.stderr
    before = str(datetime.fromisoformat(jobs[0]["created_at"]) - timedelta(minutes=1)).replace(" ", "T")
    whole = jobyard("jobs", "list", "--tag", "crowd", "--limit", "3", "--created-after", before)
    assert all(job["id"] in whole.stdout for job in jobs)
    assert not whole.stderr
    none = jobyard("jobs", "list", "--tag", "crowd", "--created-before", before)
    assert not any(job["id"] in none.stdout for job in jobs)
    assert jobs[0]["id"] not in jobyard("jobs", "list", "--batch", jobs[0]["id"]).stdout


def test_a_file_goes_up_and_one_that_is_not_there_is_said_so(
    jobyard: Jobyard, submitted: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "rain.csv").write_text("day,rain\n")
    stored = shown(jobyard("artifacts", "upload", str(tmp_path / "rain.csv")))
    assert (stored["name"], stored["content_type"], stored["size"]) == ("rain.csv", "text/csv", 9)
    assert jobyard("artifacts", "delete", stored["id"]).exit_code == 0
    out = tmp_path / "body"
    missing = jobyard("jobs", "artifact", submitted()["id"], "body", "--out", str(out))
    assert missing.exit_code == 1
    assert "there is no such artifact" in missing.stderr
    assert not out.exists()


@pytest.mark.parametrize("name", ["rain.csv.gz", "rain.tgz", "rain"])
def test_what_is_compressed_is_not_called_by_what_is_inside(
    jobyard: Jobyard, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    stored = shown(jobyard("artifacts", "upload", str(tmp_path / name)))
    assert stored["content_type"] == "application/octet-stream"


def test_a_file_of_a_job_is_downloaded(
    *,
    settings: Settings,
    jobyard: Jobyard,
    submitted: Callable[..., dict[str, Any]],
    ledger: Ledger,
    worker: FakeWorker,
    tmp_path: Path,
) -> None:
    job = submitted()
    held = worker.claim(job)
    with Storage(settings.home_path / "artifacts").create() as (file_id, writer):
        writer.write(b"<html>")
    file = Artifact(
        id=file_id,
        client_id=held.client_id,
        job_id=held.id,
        name="body",
        content_type="text/html",
        size=writer.size,
        sha256=writer.sha256,
    )
    with ledger.write() as connection:
        artifacts.record_artifacts(connection, [file])
    worker.succeed(held, RESULT)
    out = tmp_path / "page.html"
    told = jobyard("jobs", "artifact", job["id"], "body", "--out", str(out))
    assert (told.exit_code, told.stdout) == (0, f"{out}: 6 bytes\n")
    assert out.read_bytes() == b"<html>"
    nowhere = jobyard("jobs", "artifact", job["id"], "body", "--out", str(tmp_path / "no" / "page.html"))
    assert nowhere.exit_code == 1
    assert "cannot be written: No such file or directory" in nowhere.stderr


def test_a_refused_key_and_a_url_without_a_scheme_name_their_settings(
    jobyard: Jobyard,
) -> None:
    refused = jobyard("jobs", "list", env={"JOBYARD_API_KEY": "jy_no"})
    assert "JOBYARD_API_KEY" in refused.stderr
    bad = jobyard("jobs", "list", env={"JOBYARD_API_URL": "127.0.0.1:8080"})
    assert "the API's URL is like http://" in bad.stderr
    assert "JOBYARD_API_URL" in bad.stderr
    pasted = jobyard("jobs", "list", env={"JOBYARD_API_KEY": "jy_no\n"})
    assert (pasted.exit_code, "JOBYARD_API_KEY" in pasted.stderr, "jy_no" in pasted.output) == (
        1,
        True,
        False,
    )
