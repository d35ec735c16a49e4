import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import redis
from sqlalchemy import text

from ops.embedded.ports import free_ports
from tests.integration.api.fakes import FakeWorker
from tests.integration.api.server import Server, Wire, serving, until
from worker.broker import ENDED_CHANNEL
from worker.ledger.engines import Ledger
from worker.settings import Settings

WAITERS = 300
PROCESSES = 2
CONNECTIONS = 2  # to the ledger, of each process
SUBMISSION = json.dumps({"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}}).encode()


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return msgspec.structs.replace(
        served,
        database_pool_size=CONNECTIONS,
        database_pool_overflow=0,
        api_workers=PROCESSES,
        api_max_body=10_000,
        api_max_artifact=1_000_000,
    )


@pytest.fixture(scope="module")
def authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def submission(authorization: dict[str, str]) -> dict[str, str]:
    return authorization | {"Content_Type": "application/json"}


def test_many_wait_on_few_connections_and_all_are_answered(
    server: Server, ledger: Ledger, submission: dict[str, str], authorization: dict[str, str]
) -> None:
    job = server.call("POST", "/v1/jobs", body=SUBMISSION, **submission).json
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port)) for _ in range(WAITERS)]
        for wire in wires:
            wire.request("GET", f"/v1/jobs/{job['id']}", Prefer="wait=50", **authorization)
        until(lambda: f"jobyard_api_waiters {WAITERS}.0" in server.metrics())
        with ledger.write() as connection:
            connected = text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'jobyard-api' AND datname = current_database()"
            )
            assert connection.execute(connected).scalar_one() <= PROCESSES * CONNECTIONS
        assert server.call("GET", "/v1/kinds", **authorization).status == 200
        worker = FakeWorker(ledger)
        worker.succeed(worker.claim(job), {"status": 200})
        answers = [wire.answer() for wire in wires]
    assert {(answer.status, answer.json["state"]) for answer in answers} == {(200, "succeeded")}
    until(lambda: "jobyard_api_waiters 0.0" in server.metrics())


def test_a_workers_notice_ends_the_waiting(
    server: Server, ledger: Ledger, broker_url: str, submission: dict[str, str]
) -> None:
    with Wire(server.port) as wire:
        wire.request("POST", "/v1/jobs", body=SUBMISSION, Prefer="wait=50", **submission)
        until(lambda: "jobyard_api_waiters 1.0" in server.metrics())
        with ledger.read() as connection:
            newest = connection.execute(text("SELECT CAST(id AS text) FROM jobs ORDER BY id DESC LIMIT 1"))
            job = {"id": newest.scalar_one()}
        # No end, only the notice of one: so it cannot be the look at the ledger that answers.
        with redis.Redis.from_url(broker_url) as broker:
            until(lambda: broker.publish(ENDED_CHANNEL, f"{job['id']},another") >= PROCESSES)
        answer = wire.answer()
    assert (answer.status, answer.json["id"], answer.json["state"]) == (202, job["id"], "queued")


def test_an_accepted_job_is_published(server: Server, broker_url: str, submission: dict[str, str]) -> None:
    with redis.Redis.from_url(broker_url) as broker:
        before = broker.llen("web\x06\x163")
        server.call("POST", "/v1/jobs", body=SUBMISSION, **submission)
        until(lambda: broker.llen("web\x06\x163") > before)


def test_a_chunked_body_is_read_to_its_limit_and_no_further(
    server: Server, submission: dict[str, str]
) -> None:
    for size, status in ((1, 202), (20_000, 413)):
        with Wire(server.port) as wire:
            lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in submission.items())
            wire.send(
                f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode()
            )
            for piece in (SUBMISSION, b" " * size):
                wire.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            wire.send(b"0\r\n\r\n")
            assert wire.answer().status == status


def test_a_chunk_that_is_none_is_a_bad_request(server: Server, submission: dict[str, str]) -> None:
    with Wire(server.port) as wire:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in submission.items())
        wire.send(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode())
        wire.send(b"nonsense\r\n")
        answer = wire.answer()
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_goes_up_in_chunks_and_comes_down_in_parts(
    server: Server, authorization: dict[str, str]
) -> None:
    content = bytes(range(256)) * 2000
    up = server.call("POST", "/v1/artifacts?name=a.bin", body=content, **authorization)
    assert up.status == 201
    down = server.call("GET", up.headers["location"], **authorization)
    assert down.body == content
    part = server.call("GET", up.headers["location"], Range="bytes=10-19", **authorization)
    assert (part.status, part.body) == (206, content[10:20])
    too_large = server.call("POST", "/v1/artifacts?name=b.bin", body=b"x" * 1_000_001, **authorization)
    assert too_large.status == 413


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer jy_secret\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 100 + b"\r\n", 431),
        (b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n", 501),
        (b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    ],
)
def test_what_is_no_http_is_answered_with_a_problem_and_its_text_is_not_logged(
    server: Server, request_: bytes, status: int
) -> None:
    with Wire(server.port) as wire:
        wire.send(request_)
        answer = wire.answer()
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["status"] == status
    assert answer.json["detail"]
    request_id = answer.headers["x-request-id"]
    assert answer.json["request_id"] == request_id
    until(lambda: bool(_lines_of(server, request_id)))
    (line,) = _lines_of(server, request_id)
    assert (line["event"], line["status"]) == ("request_malformed", status)
    assert "jy_secret" not in server.log.read_text()


UNKNOWN_KEY = b"Authorization: Bearer jy_unknown\r\n"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(413, id="too large to be read"),
        pytest.param(415, id="of another type"),
        pytest.param(401, id="without a good key"),
    ],
)
def test_a_connection_is_closed_with_the_answer_where_the_body_is_still_to_come(
    server: Server, key: str, status: int
) -> None:
    """What is sent next would be taken for the rest of it."""
    type_ = b"text/plain" if status == 415 else b"application/json"
    length = 100_000 if status == 413 else 100
    good = UNKNOWN_KEY if status == 401 else b"Authorization: Bearer " + key.encode() + b"\r\n"
    with Wire(server.port) as wire:
        wire.send(
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n" + good + b"Content-Type: " + type_ + b"\r\n"
            b"Content-Length: %d\r\n\r\nabc" % length
        )
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert wire.readable(1.0)  # at once, and not when the client has been silent for a while
        assert wire.rest() == b""


def test_a_client_that_goes_on_sending_gets_its_answer_all_the_same(server: Server, key: str) -> None:
    """A reset would take it away again, before the client looks for it."""
    with Wire(server.port) as wire:
        headers = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
        wire.request("POST", "/v1/jobs", body=b" " * 3_000_000, **headers)
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert wire.rest() == b""


def test_a_connection_is_kept_where_the_whole_body_is_there_though_nobody_reads_it(server: Server) -> None:
    with Wire(server.port) as wire:
        for _ in range(2):
            wire.request("POST", "/v1/jobs", body=b"{}", Authorization="Bearer jy_unknown")
            answer = wire.answer()
            assert (answer.status, answer.headers["connection"]) == (401, "keep-alive")


def _lines_of(server: Server, request_id: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line for line in lines if line.get("request_id") == request_id]


def test_every_line_of_the_log_is_json_and_a_request_is_told_by_its_id(
    server: Server, key: str, authorization: dict[str, str]
) -> None:
    server.call("GET", "/v1/kinds", X_Request_Id="find-me", **authorization)

    until(lambda: bool(_lines_of(server, "find-me")))
    (line,) = _lines_of(server, "find-me")
    assert (line["event"], line["route"], line["status"], line["client"]) == (
        "request",
        "/v1/kinds",
        200,
        "server",
    )
    assert key not in server.log.read_text()


def test_the_processes_share_one_page_of_metrics(server: Server, authorization: dict[str, str]) -> None:
    for _ in range(20):
        server.call("GET", "/v1/kinds", **authorization)
    counted = 'jobyard_api_request_seconds_count{method="GET",route="/v1/kinds",status="200"} '

    def requests() -> float:
        (line,) = (line for line in server.metrics().splitlines() if line.startswith(counted))
        return float(line.removeprefix(counted))

    until(lambda: requests() >= 20)
    assert 'jobyard_jobs_accepted_total{kind="web.fetch"}' in server.metrics()


def served_by(server: Server, wires: Sequence[Wire], **headers: str) -> Counter[int]:
    """How many of some connections each process serves."""
    mark = uuid4().hex
    for wire in wires:
        wire.request("GET", "/v1/jobs", X_Request_Id=mark, **headers)
    assert {wire.answer().status for wire in wires} == {200}
    lines = map(msgspec.json.decode, server.log.read_text().splitlines())
    return Counter(line["pid"] for line in lines if line.get("request_id") == mark)


def test_the_processes_share_the_connections_that_come_at_once(
    server: Server, authorization: dict[str, str]
) -> None:
    def connected(count: int) -> Counter[int]:
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(server.port)) for _ in range(count)]
            return served_by(server, wires, **authorization)

    ready: set[int] = set()

    def are_ready() -> bool:
        ready.update(connected(1))
        return len(ready) == PROCESSES

    until(are_ready)
    found = connected(64)
    assert min(found[pid] for pid in ready) >= 10, found


def test_a_stopping_server_answers_those_who_wait_and_ends_well(
    settings: Settings, tmp_path: Path, submission: dict[str, str]
) -> None:
    port, metrics_port = free_ports(2)
    other = msgspec.structs.replace(
        settings, home=str(tmp_path), api_port=port, api_metrics_port=metrics_port
    )
    with serving(other) as server, Wire(port) as wire:
        wire.request("POST", "/v1/jobs", body=SUBMISSION, Prefer="wait=50", **submission)
        until(lambda: "jobyard_api_waiters 1.0" in server.metrics())
        server.terminate()
        answer = wire.answer()
        assert (answer.status, answer.json["state"]) == (202, "queued")
        assert wire.rest() == b""
        assert server.exit_status() == 0
