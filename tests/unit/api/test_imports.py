import subprocess
import sys

# The import contracts cannot see what is imported dynamically; this looks at what is there in the end.
_FORBIDDEN = ("worker.runtime", "worker.adapters", "urllib3", "schedules", "ops")


def test_the_api_loads_nothing_of_what_does_the_work() -> None:
    program = "import sys, api.wsgi, worker.catalog; worker.catalog.load(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "api.app" in loaded
    assert [
        name for name in loaded if any(name == bad or name.startswith(bad + ".") for bad in _FORBIDDEN)
    ] == []


def test_the_master_loads_nothing_before_the_patching_that_makes_locks_or_connections() -> None:
    program = "import sys, api.metrics, api.serving, worker.logs; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"sqlalchemy", "psycopg2", "kombu", "redis", "falcon", "cachetools"}.isdisjoint(loaded)
