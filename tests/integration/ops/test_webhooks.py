"""The secrets of callbacks, as an operator sees them."""

import base64
from pathlib import Path

import msgspec
import pytest

from tests.integration.ops.test_keys import jobyard


@pytest.fixture(scope="module", autouse=True)
def client(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert jobyard(database_url, tmp_path_factory.mktemp("home"), "clients", "add", "acme").exit_code == 0


def secret(database_url: str, home: Path, *words: str) -> tuple[str, str]:
    result = jobyard(database_url, home, "webhooks", "secret", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip(), result.stderr


def test_a_secret_is_made_once_and_shown_again(database_url: str, tmp_path: Path) -> None:
    first, said = secret(database_url, tmp_path, "show", "acme")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32
    assert said == ""
    assert secret(database_url, tmp_path, "show", "acme") == (first, "")


def test_a_rotation_makes_another_one(database_url: str, tmp_path: Path) -> None:
    old, _ = secret(database_url, tmp_path, "show", "acme")
    new, said = secret(database_url, tmp_path, "rotate", "acme", "--overlap", "2")
    assert new != old
    assert "2 h more" in said
    shown, said = secret(database_url, tmp_path, "show", "acme")
    assert shown == new
    assert "1 older one signs too" in said


def test_every_look_is_in_the_audit_log_and_the_secret_is_not(database_url: str, tmp_path: Path) -> None:
    shown, _ = secret(database_url, tmp_path, "show", "acme")
    log = jobyard(database_url, tmp_path, "audit", "--json").stdout
    newest = msgspec.json.decode(log.splitlines()[0])
    assert (newest["act"], newest["subject"]) == ("webhook_secret.show", "acme")
    assert shown.removeprefix("whsec_") not in log


def test_a_client_that_there_is_not_has_none(database_url: str, tmp_path: Path) -> None:
    result = jobyard(database_url, tmp_path, "webhooks", "secret", "show", "nobody")
    assert result.exit_code == 1
    assert "there is no client 'nobody'" in result.stderr
