"""What a process may load: the backstop of the import contracts, which cannot see the walk through kinds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = {"worker.runtime", "worker.adapters", "worker.celery"}
AT_ONCE = {"urllib3", "standardwebhooks"}  # vendors of the adapters
LAZY = {"jinja2", "typst", "vl_convert", "xlsxwriter"}  # vendors that the first job loads that needs them
VENDORS = AT_ONCE | LAZY
CARRIERS = {"celery", "kombu", "redis", "falcon"}

SETTINGS = """
from worker.settings import Settings
settings = Settings(database_url="postgresql://127.0.0.1:1/none", broker_url="redis://127.0.0.1:1/0")
"""
LOAD_KINDS = "from worker import catalog; assert catalog.load()\n"


@pytest.mark.parametrize(
    ("start", "forbidden"),
    [
        pytest.param(
            SETTINGS + "from api import wsgi; wsgi.Api(settings)",
            WORK | VENDORS | {"celery", "api.client"},
            id="an API process",
        ),
        pytest.param(
            SETTINGS + "from schedules import beat; beat.Beat(settings)",
            WORK | VENDORS | {"falcon"},
            id="a beat",
        ),
        pytest.param(LOAD_KINDS, WORK | VENDORS | CARRIERS | {"sqlalchemy"}, id="the kinds"),
        pytest.param("import worker.enqueue", WORK | VENDORS | {"celery", "falcon"}, id="enqueue"),
        pytest.param("import worker.publisher", WORK | VENDORS | {"celery", "falcon"}, id="the publisher"),
        pytest.param(
            "import worker.contract",
            WORK | VENDORS | CARRIERS | {"sqlalchemy", "psycopg2", "loguru", "gevent", "worker.settings"},
            id="the contract",
        ),
    ],
)
def test_a_process_loads_nothing_of_what_is_not_its_business(
    tmp_path: Path, start: str, forbidden: set[str]
) -> None:
    loaded = _loaded_by(start, tmp_path)
    assert {name for name in loaded if _under(name, forbidden)} == set()


def test_a_worker_of_the_platform_serves_every_port_of_every_kind(tmp_path: Path) -> None:
    """Its composition root refuses to start where an adapter is missing."""
    loaded = _loaded_by("import worker.celery", tmp_path)
    assert loaded >= WORK | AT_ONCE  # so the names above are those of real modules
    assert not loaded & LAZY  # six idle workers stay small


def _loaded_by(program: str, home: Path) -> set[str]:
    report = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + report],
        env={
            "PYTHONPATH": str(ROOT),
            "JOBYARD_HOME": str(home),
            "JOBYARD_DATABASE_URL": "postgresql://127.0.0.1:1/none",
            "JOBYARD_BROKER_URL": "redis://127.0.0.1:1/0",
        },
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def _under(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)
