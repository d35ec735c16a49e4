"""Stopping and restarting the API while clients use it: real gunicorn, real connections."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from ops.embedded.ports import free_ports
from tests.integration.api.server import Server, Wire, serving, until
from worker.ledger import clients, jobs
from worker.ledger.engines import Ledger
from worker.settings import Settings

SUBMISSION = json.dumps({"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}}).encode()
CLIENTS = 6
DELAY = 1.5  # seconds that a balancer gets to see that /readyz is 503
LONG_DELAY = 5.0  # seconds, for tests that look at what happens meanwhile


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url, api_workers=2, api_drain_delay=DELAY)


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """The settings of one test's servers."""
    port, metrics_port = free_ports(2)
    return msgspec.structs.replace(
        settings, home=str(tmp_path / "home"), api_port=port, api_metrics_port=metrics_port
    )


@pytest.fixture
def hesitant(own: Settings) -> Settings:
    """The same, of a server that drains for longer."""
    return msgspec.structs.replace(own, api_drain_delay=LONG_DELAY)


@pytest.fixture(scope="module")
def authorization(ledger: Ledger) -> dict[str, str]:
    with ledger.write() as connection:
        client = clients.add_client(connection, "restarts")
        assert client is not None
        return {"Authorization": f"Bearer {clients.add_key(connection, client.id, 'test')[1]}"}


@pytest.fixture
def submission(authorization: dict[str, str]) -> dict[str, str]:
    return authorization | {"Content_Type": "application/json"}


def test_it_is_not_ready_first_and_closes_its_socket_later(hesitant: Settings) -> None:
    with serving(hesitant) as server:
        assert server.call("GET", "/readyz").status == 200
        server.terminate()
        began = time.monotonic()
        until(lambda: server.call("GET", "/readyz").status == 503)
        answer = server.call("GET", "/readyz")
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        assert server.call("GET", "/healthz").status == 200
        until(lambda: _refuses(server))
        assert time.monotonic() - began >= LONG_DELAY * 0.9
        assert server.exit_status() == 0


def test_while_it_drains_clients_are_told_to_go_elsewhere(hesitant: Settings) -> None:
    with serving(hesitant) as server, Wire(hesitant.api_port) as kept:
        kept.request("GET", "/healthz")
        assert kept.answer().headers["connection"] == "keep-alive"
        server.terminate()
        until(lambda: server.call("GET", "/readyz").status == 503)
        kept.request("GET", "/healthz")
        assert (kept.answer().headers["connection"], kept.rest()) == ("close", b"")


def test_who_waits_is_answered_with_what_is_known(own: Settings, submission: dict[str, str]) -> None:
    with serving(own) as server, Wire(own.api_port) as wire:
        wire.request("POST", "/v1/jobs", body=SUBMISSION, Prefer="wait=50", **submission)
        until(lambda: "jobyard_api_waiters 1.0" in server.metrics())
        server.terminate()
        answer = wire.answer()
        assert (answer.status, answer.json["state"]) == (202, "queued")
        assert answer.headers["preference-applied"] == "wait=50"
        assert answer.headers["connection"] == "close"
        assert wire.rest() == b""
        assert server.exit_status() == 0


def test_who_waits_takes_no_place_from_those_who_come_last(
    own: Settings, submission: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--worker-connections=2")
    with serving(msgspec.structs.replace(own, api_workers=1)) as server, ExitStack() as stack:
        wires = [stack.enter_context(Wire(own.api_port)) for _ in range(4)]
        for wire in wires:
            wire.request("POST", "/v1/jobs", body=SUBMISSION, Prefer="wait=50", **submission)
        until(lambda: "jobyard_api_waiters 2.0" in server.metrics())
        server.terminate()
        assert [wire.answer().status for wire in wires] == [202] * 4
        assert server.exit_status() == 0


def test_an_upload_under_way_is_finished(own: Settings, authorization: dict[str, str]) -> None:
    content = b"x" * 100_000
    with serving(own) as server, Wire(own.api_port) as wire:
        wire.begin("POST", "/v1/artifacts?name=a", len(content), **authorization)
        wire.send(content[:10])
        server.terminate()
        until(lambda: _refuses(server))
        wire.send(content[10:])
        assert wire.answer().status == 201
        assert server.exit_status() == 0


def test_its_folder_of_metrics_is_gone_afterwards_also_after_a_reload(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(own) as server:
        assert list(tmp_path.glob("jobyard-api-metrics-*"))
        server.reload()
        until(lambda: server.log.read_text().count("Booting worker") >= 2 * own.api_workers)
        server.terminate()
        assert server.exit_status() == 0
    assert list(tmp_path.glob("jobyard-api-metrics-*")) == []


def test_a_reload_under_load_fails_no_request(
    own: Settings, submission: dict[str, str], ledger: Ledger
) -> None:
    with serving(own) as server, _load(own.api_port, submission) as load:
        for generation in (2, 3):
            load.goes_on()
            server.reload()
            until(lambda n=generation: _exited(server) >= (n - 1) * own.api_workers)  # type: ignore[misc]
        load.goes_on()
    assert load.failures == []
    assert load.refused == 0
    _all_are_there(ledger, load)


def test_a_restart_under_load_fails_no_request_but_by_refused_connections(
    own: Settings, submission: dict[str, str], ledger: Ledger
) -> None:
    with serving(own) as first, _load(own.api_port, submission) as load:
        load.goes_on()
        first.terminate()
        assert first.exit_status() == 0
        with serving(own):
            load.goes_on()
            load.stop()
    assert load.failures == []
    assert load.refused > 0
    _all_are_there(ledger, load)


@dataclass
class Load:
    """Clients that submit all the time and repeat only what was refused before it was sent."""

    port: int
    headers: dict[str, str]
    accepted: dict[str, str] = field(default_factory=dict)  # key of idempotency → id of the job
    failures: list[str] = field(default_factory=list)
    refused: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def goes_on(self) -> None:
        """Wait until each client was answered several times from now on."""
        so_far = len(self.accepted)
        until(lambda: len(self.accepted) >= so_far + 10 * CLIENTS or bool(self.failures))

    def stop(self) -> None:
        self.stopped.set()

    def run(self, *, keep: bool) -> None:
        """One client; `keep`: it keeps its connection as long as it may."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        key = str(uuid4())
        while not self.stopped.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
                self._submit(connection, key)
                key = str(uuid4())
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.02)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{error!r}, {keep=}")
                connection.close()
            if not keep:
                connection.close()
        connection.close()

    def _submit(self, connection: http.client.HTTPConnection, key: str) -> None:
        connection.request("POST", "/v1/jobs", SUBMISSION, {**self.headers, "Idempotency-Key": key})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 202:
            self.accepted[key] = json.loads(body)["id"]
        else:
            self.failures.append(f"{answer.status} {body!r}")


@contextmanager
def _load(port: int, headers: dict[str, str]) -> Iterator[Load]:
    load = Load(port, {name.replace("_", "-"): value for name, value in headers.items()})
    with ThreadPoolExecutor(CLIENTS) as threads:
        running: list[Future[None]] = [
            threads.submit(load.run, keep=number % 2 == 0) for number in range(CLIENTS)
        ]
        try:
            yield load
        finally:
            load.stop()
            for client in running:
                client.result()


def _exited(server: Server) -> int:
    return server.log.read_text().count("Worker exiting")


def _refuses(server: Server) -> bool:
    try:
        server.call("GET", "/healthz")
    except ConnectionRefusedError:
        return True
    except (OSError, IndexError):  # it closed the socket under this connection
        return False
    return False


def _all_are_there(ledger: Ledger, load: Load) -> None:
    """Each submission made one job, which is there."""
    ids = {UUID(job_id) for job_id in load.accepted.values()}
    assert len(ids) == len(load.accepted)
    with ledger.write() as connection:
        missing = [job_id for job_id in ids if jobs.find(connection, job_id) is None]
    assert missing == []
