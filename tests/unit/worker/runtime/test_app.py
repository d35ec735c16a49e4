"""The Celery app of a worker, made in a process of its own: it wires itself into what Celery shares."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
HEAD = """
from worker.contract import EMAIL, Context, Payload, kind
from worker.runtime.app import create_app
from worker.runtime.poolcare import PoolCare
from worker.settings import Settings

class Nothing(Payload, frozen=True): ...
class Telegraph: ...

@kind("sample.plain", queue=EMAIL)
def plain(payload: Nothing, ctx: Context) -> None: ...

@kind("sample.wired", queue=EMAIL)
def wired(payload: Nothing, ctx: Context, wire: Telegraph) -> None: ...

settings = Settings(database_url="postgresql://127.0.0.1:1/none", broker_url="redis://127.0.0.1:1/0")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HEAD + program], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_it_registers_one_task_per_kind_and_one_of_bundles_and_connects_to_nothing() -> None:
    done = run(
        "app = create_app(settings, {'sample.plain': plain}, {})\n"
        "print(sorted(name for name in app.tasks if not name.startswith('celery.')))\n"
        "print(PoolCare in app.steps['worker'], app.conf.accept_content)\n"
    )
    assert done.stdout.splitlines() == ["['jobyard.bundle', 'sample.plain']", "True ['json']"], done.stderr


def test_it_does_not_start_without_a_broker() -> None:
    done = run("create_app(Settings(), {'sample.plain': plain}, {})")
    assert done.returncode == 1
    assert "no broker: set JOBYARD_BROKER_URL" in done.stderr


def test_it_does_not_start_where_a_port_has_no_adapter() -> None:
    done = run("create_app(settings, {'sample.wired': wired}, {})")
    assert done.returncode == 1
    assert "sample.wired: no adapter serves its port wire: Telegraph" in done.stderr


def test_its_events_have_room_for_those_of_several_bundles() -> None:
    done = run(
        "app = create_app(settings, {'sample.plain': plain}, {})\n"
        "print(app.events.Dispatcher(app.connection_for_write(), enabled=False).buffer_limit)\n"
    )
    assert done.stdout.splitlines() == ["500"], done.stderr
