"""What a client may keep uploaded."""

import threading
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from falcon.testing import Result, TestClient

from api.app import Deps, create_app
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, unknown_id
from worker.ledger import artifacts
from worker.ledger.engines import Ledger

Capped = Callable[..., Caller]


@pytest.fixture
def capped(deps: Deps, caller: Caller) -> Capped:
    def make(**caps: int) -> Caller:
        """A caller of an API with a cap."""
        settings = msgspec.structs.replace(deps.settings, **caps)
        return Caller(TestClient(create_app(replace(deps, settings=settings))), caller.client, caller.key)

    return make


def upload(caller: Caller, content: bytes = b"content") -> Result:
    return caller.call("POST", "/v1/artifacts", params={"name": "a"}, body=content)


def stored(deps: Deps) -> int:
    return sum(1 for _ in deps.storage.older_than(-60.0))


def test_too_many_files_are_refused_until_some_are_deleted(capped: Capped, deps: Deps) -> None:
    caller = capped(uploads=2)
    first, second = (upload(caller) for _ in range(2))
    refused = upload(caller)
    assert (first.status_code, second.status_code, refused.status_code) == (201, 201, 429)
    assert refused.json["type"] == "urn:jobyard:too-many-uploads"
    assert "keeps 2 files uploaded, and may keep 2; delete" in refused.json["detail"]
    assert "14 days after its upload" in refused.json["detail"]
    assert refused.headers["Retry-After"] == "3600"
    assert stored(deps) == 2
    assert caller.call("DELETE", first.headers["Location"]).status_code == 204
    assert upload(caller).status_code == 201


def test_their_bytes_are_capped_too(capped: Capped) -> None:
    caller = capped(upload_bytes=10)
    assert upload(caller, b"12345678").status_code == 201
    refused = upload(caller, b"123")
    assert refused.status_code == 429
    assert "keeps 8 bytes uploaded and sends 3 more, and may keep 10" in refused.json["detail"]
    assert upload(caller, b"12").status_code == 201
    never = upload(caller, b"12345678901")
    assert (never.status_code, "may keep 10 uploaded" in never.json["detail"]) == (413, True)


def test_a_file_whose_size_was_not_told_is_not_kept_either(capped: Capped, deps: Deps) -> None:
    caller = capped(upload_bytes=10)
    headers = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    answer = caller.call("POST", "/v1/artifacts", headers, params={"name": "a"}, body=b"12345678901")
    assert answer.status_code == 413
    assert stored(deps) == 0


def test_files_of_others_and_of_jobs_do_not_count(capped: Capped, new_caller: NewCaller) -> None:
    for _ in range(3):
        assert upload(new_caller()).status_code == 201
    assert upload(capped(uploads=1)).status_code == 201


def test_those_that_come_at_once_do_not_pass_together(capped: Capped, ledger: Ledger, deps: Deps) -> None:
    caller, answers = capped(uploads=1), list[Result]()
    threads = [threading.Thread(target=lambda: answers.append(upload(caller))) for _ in range(4)]
    with ledger.write() as connection:
        artifacts.hold_uploads(connection, caller.client.id)
        for thread in threads:
            thread.start()
        while stored(deps) < len(threads):
            assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 429, 429, 429]
    assert stored(deps) == 1


def test_without_a_cap_any_number_is_kept(caller: Caller) -> None:
    assert [upload(caller).status_code for _ in range(3)] == [201, 201, 201]


def test_a_deleted_file_is_gone(caller: Caller, deps: Deps) -> None:
    path = upload(caller).headers["Location"]
    answer = caller.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (caller.get(path).status_code, caller.call("DELETE", path).status_code) == (404, 404)
    assert stored(deps) == 0
    assert caller.call("DELETE", f"/v1/artifacts/{unknown_id()}").status_code == 404
    assert caller.call("DELETE", "/v1/artifacts/x").status_code == 404
