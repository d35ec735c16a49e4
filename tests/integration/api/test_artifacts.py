import base64
import hashlib
from pathlib import Path
from uuid import UUID

import pytest

from api.app import Deps
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from worker.ledger import artifacts
from worker.ledger.records import Artifact

CONTENT = bytes(range(256)) * 1000  # larger than one piece of what is read or sent


def upload(caller: Caller, content: bytes = CONTENT, name: str = "notes.txt") -> str:
    answer = caller.call(
        "POST", "/v1/artifacts", {"Content-Type": "text/plain"}, params={"name": name}, body=content
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def produce(caller: Caller, worker: FakeWorker, deps: Deps, name: str) -> dict[str, str]:
    """A job that saved a file."""
    job = caller.accepted()
    held = worker.claim(job)
    with deps.storage.create() as (artifact_id, writer):
        writer.write(CONTENT)
    artifact = Artifact(
        id=artifact_id,
        client_id=held.client_id,
        job_id=held.id,
        name=name,
        content_type="application/pdf",
        size=writer.size,
        sha256=writer.sha256,
    )
    with deps.ledger.write() as connection:
        artifacts.record_artifacts(connection, [artifact])
    worker.succeed(held, {"text": "hello"})
    return job


def test_an_uploaded_file_comes_back(caller: Caller) -> None:
    answer = caller.call(
        "POST",
        "/v1/artifacts",
        {"Content-Type": "text/csv; charset=utf-8"},
        params={"name": "numbers & é.csv"},
        body=CONTENT,
    )
    described = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/artifacts/{described['id']}" == described["links"]["self"]
    assert described["name"] == "numbers & é.csv"
    assert described["size"] == len(CONTENT)
    assert described["sha256"] == hashlib.sha256(CONTENT).hexdigest()

    file = caller.get(answer.headers["Location"])
    assert (file.status_code, file.content) == (200, CONTENT)
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert file.headers["Content-Length"] == str(len(CONTENT))


def test_an_empty_file_is_a_file(caller: Caller) -> None:
    file = caller.get(upload(caller, b""))
    assert (file.status_code, file.content, file.headers["Content-Length"]) == (200, b"", "0")


def test_a_file_that_is_too_large_leaves_nothing_behind(caller: Caller, tmp_path: Path) -> None:
    answer = caller.call("POST", "/v1/artifacts", params={"name": "x"}, body=b"x" * 300_001)
    assert answer.status_code == 413
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "nul\0", "line\n", "x" * 201, "../../etc/passwd", "\x7f"]
)
def test_a_name_that_could_be_more_than_a_label_is_refused(caller: Caller, name: str) -> None:
    answer = caller.call("POST", "/v1/artifacts", params={"name": name}, body=b"x")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "name"


def test_a_file_needs_a_name_and_takes_no_other_parameter(caller: Caller) -> None:
    for query in ({}, {"name": "a", "size": "1"}):
        answer = caller.call("POST", "/v1/artifacts", params=query, body=b"x")
        assert answer.status_code == 400


@pytest.mark.parametrize("media_type", ["nonsense", "text/plain\x7f", "a/b; " + "x" * 300])
def test_what_is_no_media_type_is_refused(caller: Caller, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = caller.call("POST", "/v1/artifacts", headers, params={"name": "x"}, body=b"x")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "media_type",
    ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "Multipart/Form-Data"],
)
def test_a_form_is_refused_for_it_is_not_the_file_itself(caller: Caller, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = caller.call("POST", "/v1/artifacts", headers, params={"name": "x"}, body=b"--x\r\n")
    assert answer.status_code == 415
    assert "curl --data-binary @file -H 'Content-Type: text/csv'" in answer.json["detail"]


def test_a_jobs_file_is_listed_with_it_and_can_be_downloaded(
    caller: Caller, worker: FakeWorker, deps: Deps
) -> None:
    job = produce(caller, worker, deps, "report 1 & é.pdf")
    (listed,) = caller.job(job["id"])["artifacts"]
    assert listed["links"]["self"] == f"/v1/jobs/{job['id']}/artifacts/report%201%20%26%20%C3%A9.pdf"
    file = caller.get(listed["links"]["self"])
    assert (file.status_code, file.content) == (200, CONTENT)
    assert file.headers["Content-Type"] == "application/pdf"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert file.headers["Content-Disposition"].startswith("attachment; filename")
    assert "UTF-8''report%201%20%26%20%C3%A9.pdf" in file.headers["Content-Disposition"]
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert file.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert file.headers["ETag"] == f'"{listed["sha256"]}"'
    assert file.headers["Accept-Ranges"] == "bytes"
    assert caller.get(f"/v1/artifacts/{listed['id']}").content == CONTENT


def test_a_part_of_a_file_can_be_asked_for(caller: Caller) -> None:
    path = upload(caller)
    part = caller.get(path, Range="bytes=100-99999")
    assert (part.status_code, part.content) == (206, CONTENT[100:100_000])
    assert part.headers["Content-Range"] == f"bytes 100-99999/{len(CONTENT)}"
    assert part.headers["Content-Length"] == "99900"
    assert caller.get(path, Range="bytes=-7").content == CONTENT[-7:]
    assert caller.get(path, Range="bytes=1-2,5-6").content == CONTENT

    behind = caller.get(path, Range=f"bytes={len(CONTENT)}-")
    assert behind.status_code == 416
    assert behind.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_a_known_file_is_not_sent_again(caller: Caller) -> None:
    path = upload(caller)
    tag = caller.get(path).headers["ETag"]
    assert caller.get(path, If_None_Match=tag).status_code == 304
    assert caller.get(path, If_None_Match=f'"other", W/{tag}').status_code == 304
    assert caller.get(path, If_None_Match='"other"').status_code == 200


def test_the_head_of_a_file_is_that_of_the_whole(caller: Caller) -> None:
    path = upload(caller)
    head = caller.call("HEAD", path, {"Range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(CONTENT))


def test_files_that_are_not_ones_own_do_not_exist(
    new_caller: NewCaller, worker: FakeWorker, deps: Deps
) -> None:
    owner, stranger = new_caller(), new_caller()
    job_id = produce(owner, worker, deps, "a.pdf")["id"]
    for path in (
        upload(owner),
        f"/v1/jobs/{job_id}/artifacts/a.pdf",
        f"/v1/jobs/{job_id}/artifacts/%00",
        f"/v1/jobs/{job_id}/artifacts/..%2Fa.pdf",
        f"/v1/jobs/{unknown_id()}/artifacts/a.pdf",
        f"/v1/artifacts/{unknown_id()}",
        "/v1/artifacts/x",
        "/v1/artifacts/..%2f..%2fetc%2fpasswd",
    ):
        assert stranger.get(path).status_code == 404, path


def test_a_file_whose_bytes_are_gone_does_not_exist(caller: Caller, deps: Deps) -> None:
    path = upload(caller)
    deps.storage.delete(UUID(path.rsplit("/", 1)[1]))
    assert caller.get(path).status_code == 404


def test_a_file_of_a_job_is_not_deleted_as_an_upload(caller: Caller, worker: FakeWorker, deps: Deps) -> None:
    job = produce(caller, worker, deps, "out.txt")
    (artifact,) = caller.job(job["id"])["artifacts"]
    answer = caller.call("DELETE", f"/v1/artifacts/{artifact['id']}")
    assert (answer.status_code, "goes with its job" in answer.json["detail"]) == (409, True)
    assert caller.get(artifact["links"]["self"]).content == CONTENT
