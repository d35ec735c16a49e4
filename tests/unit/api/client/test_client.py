import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.client import ApiError, Client, Unreachable

JOB = {
    "id": "0190a7c0-0000-7000-8000-000000000000",
    "kind": "web.fetch",
    "queue": "web",
    "state": "succeeded",
    "priority": "normal",
    "attempt": 1,
    "max_attempts": 5,
    "created_at": "2026-11-22T12:00:00Z",
    "history": [{"event": "attempt", "attempt": 1, "outcome": "succeeded"}, {"event": "of a later API"}],
    "of_a_later_api": True,
}
Answer = tuple[int, dict[str, str], bytes] | None  # None: the connection breaks


class Site:
    """An API that answers as it was told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                site.asked.append((f"{self.command} {self.path}", dict(self.headers), body))
                given = site.answers.pop(0)
                if given is None:
                    self.close_connection = True
                    return
                status, headers, content = given
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with Client(site.url, "jy_test") as client:
        yield client


def good(body: object = JOB, status: int = 200, **headers: str) -> Answer:
    return status, headers, body if isinstance(body, bytes) else json.dumps(body).encode()


def problem(status: int, *, retry_after: str = "0", **members: Any) -> Answer:
    return status, {"Retry-After": retry_after}, json.dumps({"status": status, **members}).encode()


@pytest.mark.parametrize("first", [None, problem(503), problem(429)], ids=["broken", "503", "429"])
def test_a_submission_is_repeated_under_the_same_key(site: Site, client: Client, first: Answer) -> None:
    site.answers = [first, good(status=202)]
    job = client.submit("web.fetch", {"url": "http://127.0.0.1/"}, tags=["a"])
    assert job.id == JOB["id"]
    one, two = site.asked
    assert one[1]["Idempotency-Key"] == two[1]["Idempotency-Key"]
    assert one[2] == two[2]
    assert json.loads(one[2]) == {
        "kind": "web.fetch",
        "payload": {"url": "http://127.0.0.1/"},
        "tags": ["a"],
    }


def test_two_submissions_have_two_keys_unless_they_are_given_one(site: Site, client: Client) -> None:
    site.answers = [good(status=202) for _ in range(3)]
    for key in (None, None, 'my "own"'):
        client.submit("web.fetch", {}, idempotency_key=key)
    first, second, third = (headers["Idempotency-Key"] for _, headers, _ in site.asked)
    assert first != second
    assert third == r'"my \"own\""'


def test_nothing_is_repeated_after_the_callers_deadline(site: Site, client: Client) -> None:
    site.answers = [problem(503, retry_after="5") for _ in range(9)]
    began = time.monotonic()
    with pytest.raises(ApiError, match="503"):
        client.wait(JOB["id"], timeout=1)
    with pytest.raises(ApiError, match="503"):
        client.run("web.fetch", {}, timeout=1)
    assert len(site.asked) == 2
    assert time.monotonic() - began < 2


def test_a_broken_connection_is_tried_again_until_the_deadline(site: Site, client: Client) -> None:
    site.answers = [None] * 3 + [good()]
    assert client.wait(JOB["id"], timeout=20).ended
    site.answers = [None] * 9
    with pytest.raises(Unreachable):
        client.wait(JOB["id"], timeout=0)
    assert len(site.asked) == 5


@pytest.mark.parametrize(
    "act",
    [lambda client: client.retry("an-id"), lambda client: client.upload("a.txt", b"a")],
    ids=["retry", "upload"],
)
def test_what_would_be_done_twice_is_not_repeated_after_a_broken_connection(
    site: Site, client: Client, act: Callable[[Client], object]
) -> None:
    site.answers = [None]
    with pytest.raises(Unreachable):
        act(client)
    assert len(site.asked) == 1


def test_what_would_be_done_twice_is_repeated_where_it_was_not_done_at_all(
    site: Site, client: Client
) -> None:
    site.answers = [problem(429), good(status=202)]
    assert client.retry("an-id").state == "succeeded"


def test_a_job_is_typed_and_what_a_later_api_adds_is_passed_over(site: Site, client: Client) -> None:
    site.answers = [good()]
    job = client.job("an-id")
    assert (job.state, job.ended, job.created_at.year) == ("succeeded", True, 2026)
    assert [event.outcome for event in job.history] == ["succeeded", None]


def test_a_refusal_names_the_fields(site: Site, client: Client) -> None:
    site.answers = [problem(422, errors=[{"field": "payload.url", "reason": "too long"}])]
    with pytest.raises(ApiError, match=r"payload\.url: too long") as refused:
        client.submit("web.fetch", {"url": "x"})
    assert (refused.value.status, refused.value.retry_after) == (422, 0)


def test_a_refusal_of_another_server_on_the_way_is_told_in_its_words(site: Site, client: Client) -> None:
    site.answers = [problem(403, detail="not from here", errors=["blocked"])]
    with pytest.raises(ApiError, match="not from here"):
        client.submit("web.fetch", {"url": "x"})


def test_who_waits_asks_again_until_the_end(site: Site, client: Client) -> None:
    running = JOB | {"state": "running"}
    site.answers = [good(running, 202), good(running), good()]
    assert client.run("web.fetch", {}, 60).ended
    assert [headers["Prefer"] for _, headers, _ in site.asked] == ["wait=30", "wait=30", "wait=30"]


def test_a_batch_is_submitted_and_waited_for(site: Site, client: Client) -> None:
    batch = {
        "id": "0190a7c0-0000-7000-8000-000000000001",
        "size": 2,
        "done": False,
        "counts": {"queued": 2},
        "created_at": "2026-11-22T12:00:00Z",
    }
    done = batch | {"done": True, "counts": {"succeeded": 2}}
    site.answers = [good(batch | {"job_ids": ["a", "b"]}, 202), good(batch), good(done)]
    submitted = client.batch([{"kind": "web.fetch", "payload": {}}] * 2)
    assert not submitted.ended
    assert submitted.job_ids == ["a", "b"]
    waited = client.wait_batch(submitted.id, 60)
    assert waited.counts == {"succeeded": 2}
    assert (waited.job_ids, waited.names) == (None, None)  # which the API does not tell of it any more
    assert json.loads(site.asked[0][2])["jobs"] == [{"kind": "web.fetch", "payload": {}}] * 2


def test_a_file_is_written_once_it_is_whole(site: Site, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_bytes(b"before")
    site.answers = [good(b"half", **{"Content-Length": "8", "Connection": "close"})]
    with pytest.raises(Unreachable):
        client.download("an-id", "a b", target)
    assert target.read_bytes() == b"before"
    site.answers = [good(b"the whole")]
    client.download("an-id", "a b", target)
    assert target.read_bytes() == b"the whole"
    assert site.asked[-1][0] == "GET /v1/jobs/an-id/artifacts/a%20b"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8080", "localhost:8080", "", "ftp://127.0.0.1"),
        *("http://", "http://:80", "http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1/?a=b"),
    ],
)
def test_what_is_no_url_of_an_api_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"is like http://127\.0\.0\.1:8080, and "):
        Client(url, "jy_test")


def test_a_refused_url_is_shown_without_its_login() -> None:
    with pytest.raises(ValueError, match=r"and 'ftp://127\.0\.0\.1' is not"):
        Client("ftp://ada:secret@127.0.0.1", "jy_test")


@pytest.mark.parametrize("key", ["", "jy_test\n", "jy_te st", "jy_té"])
def test_what_can_be_no_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="key is empty, or holds") as refused:
        Client("HTTP://127.0.0.1:8080", key)
    assert "jy_" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "error"), [(b"<html>Log in</html>", "DecodeError"), (b'{"id": "\xe9"}', "UnicodeDecodeError")]
)
def test_an_answer_that_is_not_the_apis_is_none(site: Site, client: Client, body: bytes, error: str) -> None:
    site.answers = [good(body)]
    with pytest.raises(Unreachable, match=rf"does not answer \({error}\)"):
        client.job("an-id")


@pytest.mark.parametrize("body", [b"<html>Not here</html>", b'{"title": "Refus\xe9"}', b"[]"])
def test_a_refusal_that_is_not_the_apis_is_told_by_its_status(
    site: Site, client: Client, body: bytes
) -> None:
    site.answers = [good(body, status=404)]
    with pytest.raises(ApiError, match=r"^HTTP 404$"):
        client.job("an-id")


def test_a_connection_that_breaks_as_a_file_goes_up_is_said_so(site: Site, client: Client) -> None:
    site.answers = [None]
    with pytest.raises(Unreachable, match=r"broke off \(ProtocolError\): what was sent may be larger"):
        client.upload("a", b"b")


def test_nobody_there_is_said_so_and_what_to_look_at() -> None:
    url = "http://ada:secret@127.0.0.1:1"
    with Client(url, "jy_test") as client, pytest.raises(Unreachable) as unreachable:
        client.job("an-id")
    said = str(unreachable.value)
    assert said.startswith("http://127.0.0.1:1 does not answer (NewConnectionError): ")
    assert "`jobyard up`" in said
    assert "JOBYARD_API_URL" in said


def test_an_upload_is_deleted_once(site: Site, client: Client) -> None:
    site.answers += [good(b"", 204), None]
    client.delete_upload("0190a7c0-0000-7000-8000-000000000000")
    with pytest.raises(Unreachable):
        client.delete_upload("a/b")
    paths = [path for path, _, _ in site.asked]
    assert paths == [
        "DELETE /v1/artifacts/0190a7c0-0000-7000-8000-000000000000",
        "DELETE /v1/artifacts/a%2Fb",
    ]


SCHEDULE: dict[str, Any] = {
    "id": "0190a7c0-0000-7000-8000-000000000001",
    "name": "morning",
    "enabled": True,
    "overlap": "allow",
    "missed": "one",
    "limit": 100,
    "kind": "web.fetch",
    "priority": "normal",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


def test_a_schedule_is_saved_under_one_key_however_often_it_is_sent(site: Site, client: Client) -> None:
    site.answers = [None, good(SCHEDULE, status=201)]
    assert client.schedules.create("morning", "web.fetch", {}, cron="0 9 * * *").name == "morning"
    one, two = site.asked
    assert one[1]["Idempotency-Key"] == two[1]["Idempotency-Key"]
    assert json.loads(one[2]) == {
        "name": "morning",
        "kind": "web.fetch",
        "payload": {},
        "cron": "0 9 * * *",
    }


def test_lists_of_schedules_are_followed_page_by_page(site: Site, client: Client) -> None:
    site.answers = [
        good({"schedules": [SCHEDULE] * 100, "next_page_token": "more"}),
        good({"schedules": [SCHEDULE] * 20, "next_page_token": None}),
    ]
    assert len(list(client.schedules.all(500, client="*"))) == 120
    assert "page_token=more" in site.asked[1][0]


def test_a_schedule_is_deleted_once(site: Site, client: Client) -> None:
    site.answers = [good(b"", status=204)]
    client.schedules.delete(SCHEDULE["id"])
    site.answers = [None]
    with pytest.raises(Unreachable):
        client.schedules.delete(SCHEDULE["id"])


def test_all_that_fit_a_filter_are_acted_on_page_by_page(site: Site, client: Client) -> None:
    site.answers = [
        good({"matched": 3, "changed": 2, "next_page_token": "further"}),
        good({"matched": 1, "changed": 1, "next_page_token": None}),
    ]
    done = list(client.retry_all(kind="web.fetch", dry_run=True))
    assert [(each.matched, each.changed) for each in done] == [(3, 2), (1, 1)]
    assert [line for line, _, _ in site.asked] == ["POST /v1/jobs/retry"] * 2
    first, second = (json.loads(body) for _, _, body in site.asked)
    assert first == {"kind": "web.fetch", "dry_run": True}
    assert second == first | {"page_token": "further"}


def test_a_purge_confirms_by_the_queues_name_and_goes_on_where_it_was(site: Site, client: Client) -> None:
    answer = {"matched": 5, "changed": 5, "more": True, "until": "2027-01-31T08:00:00Z"}
    site.answers = [good(answer), good(answer | {"more": False})]
    first = client.purge("a queue")
    client.purge("a queue", until=first.until)
    assert [line for line, _, _ in site.asked] == ["POST /v1/queues/a%20queue/purge"] * 2
    one, two = (json.loads(body) for _, _, body in site.asked)
    assert one == {"confirm": "a queue", "dry_run": False, "until": None}
    assert two == one | {"until": "2027-01-31T08:00:00Z"}
