"""The API keeps to its description: schemathesis asks for whatever that allows, and for what it does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.integration.api.server import Server
from worker.contract import Scopes
from worker.ledger import clients
from worker.ledger.engines import Ledger
from worker.settings import Settings

CONFIG = Path(__file__).with_name("schemathesis.toml")
LINES = Path(__file__).with_name("ndjson.py")


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return msgspec.structs.replace(
        served,
        api_workers=Settings().api_workers,
        # Cut to whole seconds, that is to none: nobody works at the jobs, so nearly all would wait in vain.
        # `test_headers.py` compares answers of those who waited.
        api_max_wait=0.5,
    )


@pytest.mark.timeout(3600)
def test_every_answer_is_as_described(server: Server, ledger: Ledger, tmp_path: Path, examples: int) -> None:
    _try(server, _users(ledger, tmp_path, Scopes()), "--max-examples", str(examples))


@pytest.mark.timeout(3600)
def test_the_audit_log_is_as_described(server: Server, ledger: Ledger, tmp_path: Path, examples: int) -> None:
    users = _users(ledger, tmp_path, Scopes.of(["admin"]))
    _try(server, users, "--max-examples", str(examples), "--include-path", "/v1/audit")


@pytest.mark.timeout(3600)
def test_the_queues_are_as_described(server: Server, ledger: Ledger, tmp_path: Path, examples: int) -> None:
    users = _users(ledger, tmp_path, Scopes.of(["operate"]))
    _try(server, users, "--max-examples", str(examples), "--include-path-regex", "^/v1/(queues|failures)")


def _users(ledger: Ledger, folder: Path, scopes: Scopes) -> Path:
    """A file with the keys of two clients."""
    made = []
    with ledger.write() as connection:
        for name in ("ada", "bob"):
            client = clients.ensure_client(connection, name)
            made.append(_user(name, clients.add_key(connection, client.id, "test", scopes=scopes)[1]))
    users = folder / "users.json"
    users.write_text(json.dumps({"auth": made}))
    return users


def _try(server: Server, users: Path, *options: str) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(CONFIG)),
            *("run", f"http://127.0.0.1:{server.port}/openapi.json", *options),
        ],
        env=os.environ | {"JOBYARD_TEST_USERS": str(users), "SCHEMATHESIS_HOOKS": str(LINES)},
        cwd=users.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert '"request_failed"' not in server.log.read_text()


def _user(name: str, key: str) -> object:
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
