"""A client, its jobs that end, and a real beat and a real worker that tell it so over HTTPS."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.integration.ledger import situations
from tests.integration.web_fetch.servers import certificates
from worker.contract.states import State
from worker.ledger import clients
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.settings import Settings

ROLES = (("beat",), ("worker", "webhook"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callbacks")


@pytest.fixture(scope="module")
def settings(database_url: str, broker_url: str, folder: Path) -> Settings:
    return Settings(
        home=str(folder),
        database_url=database_url,
        broker_url=broker_url,
        web_allow="127.0.0.1/32",
        beat_tick=0.05,
        api_port=0,
    )


@pytest.fixture(scope="module")
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings, "test")
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def client(ledger: Ledger) -> Client:
    with ledger.write() as connection:
        return clients.ensure_client(connection, "acme")


@pytest.fixture(scope="module")
def tls(folder: Path) -> ssl.SSLContext:
    """Of a receiver, whose authority the worker trusts."""
    server, _ = certificates(folder, "IP:127.0.0.1")
    return server


@pytest.fixture(scope="module")
def roles(settings: Settings, folder: Path, tls: ssl.SSLContext) -> Iterator[None]:  # noqa: ARG001 - makes the authority
    """A beat and a worker of the queue `webhook`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    environment |= settings.environment() | {"SSL_CERT_FILE": str(folder / "ca.pem")}
    with (folder / "roles.log").open("wb") as log:
        started = [
            subprocess.Popen([sys.executable, "-m", "ops", *role], env=environment, stdout=log, stderr=log)
            for role in ROLES
        ]
        yield
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


End = Callable[..., UUID]


@pytest.fixture
def end(ledger: Ledger, client: Client) -> End:
    """Let a job end that something follows from."""

    def end(state: State = State.SUCCEEDED, **fields: Any) -> UUID:
        given = {"client_id": client.id, "followed": True}
        outcome = {key: fields.pop(key) for key in ("result", "error") if key in fields}
        with ledger.write() as connection:
            job_id, token = situations.claimed(connection, **given | fields)
            situations.finish(connection, job_id, token, state, **outcome)
        return job_id

    return end
