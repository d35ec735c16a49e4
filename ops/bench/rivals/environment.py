"""The peers' virtual environments, made on first use and again whenever their lock file changes."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from ops.bench.course import Course, Invalid

HERE = Path(__file__).parent
PROGRAMS = HERE / "peers"

# arq needs an older redis than the others run with.
_LOCKS = {"arq": "arq.lock"}
_LOCK = "requirements.lock"


def python(course: Course, peer: str = "") -> Path:
    """The interpreter of a peer, with all that it needs installed.

    Raises:
        Invalid: it cannot be installed here.
    """
    lock = HERE / _LOCKS.get(peer, _LOCK)
    folder = course.peers / lock.stem
    stamp = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    mark = folder / "installed"
    interpreter = folder / "bin" / "python"
    if not mark.exists() or mark.read_text() != stamp:
        course.say(f"installing {lock.stem} for the peers (once) …")
        venv.create(folder, with_pip=True, clear=True)
        _install(interpreter, lock)
        mark.write_text(stamp)
    return interpreter


def program(interpreter: Path, *words: str) -> tuple[str, ...]:
    """The command line of something that is installed with the peers."""
    return (str(interpreter.parent / words[0]), *words[1:])


def environ(redis_url: str, database_url: str) -> Mapping[str, str]:
    """The variables of every process of a peer; none of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    given = {"BENCH_REDIS": redis_url, "BENCH_DATABASE": database_url, "PYTHONPATH": str(PROGRAMS)}
    return kept | given


def _install(interpreter: Path, lock: Path) -> None:
    pip = (str(interpreter), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    done = subprocess.run(
        (*pip, "--require-hashes", "-r", str(lock)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Invalid(f"the peers cannot be installed: {done.stderr.strip()[-600:]}")
