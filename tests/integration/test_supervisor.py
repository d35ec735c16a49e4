"""The supervisor as an operator meets it: a process with children, signals, and a HOME."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from ops.embedded.home import Home
from ops.embedded.ports import free_ports
from ops.embedded.servers import embedded_servers
from ops.supervisor import ProcessState, Status, read_status
from ops.supervisor.leftovers import stop_roles
from worker.settings import Settings

ROOT = Path(__file__).parents[2]

# Roles of the table's names that do next to nothing; `worker` has a child, as a pool has.
UP = """
import os, sys
import msgspec
from loguru import logger
from ops.supervisor import Role, Supervisor
from worker.settings import Settings

logger.remove()

LISTEN = '''
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ[PORT])))
while True:
    server.accept()[0].close()
'''
WAIT = '''
import signal
signal.pause()
'''
POOL = '''
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("pool", child.pid, flush=True)
def drain(number, frame):
    print("drained", flush=True)
    child.kill()
    child.wait()
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
while True:
    signal.pause()
'''
STUBBORN = '''
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
'''
MIGRATE = '''
import os, psycopg2
if os.environ["JOBYARD_DATABASE_URL"].startswith("postgresql"):
    psycopg2.connect(os.environ["JOBYARD_DATABASE_URL"].replace("+psycopg2", "")).close()
print("migrated")
'''
HELD_UP = '''
import os, time
while not os.path.exists(os.path.join(os.environ["JOBYARD_HOME"], "go-on")):
    time.sleep(0.02)
'''

def python(name, role, code, **options):
    options = {"grace": 20.0, **options}
    return Role(name=name, role=role, argv=(sys.executable, "-c", code), **options)

def table(settings):
    migrate = "raise SystemExit('the schema is too new')" if "broken" in sys.argv else MIGRATE
    migrate = HELD_UP if "held-up" in sys.argv else migrate
    worker = STUBBORN if "stubborn" in sys.argv else POOL
    api, flower = ("127.0.0.1", settings.api_port), ("127.0.0.1", settings.flower_port)
    return [
        python("migrate", "migrate", migrate, once=True),
        python("api", "api", LISTEN.replace("PORT", "'JOBYARD_API_PORT'"), address=api, multiprocess=True),
        python("worker-web", "worker", worker, grace=60.0 if "stubborn" in sys.argv else 20.0),
        python("beat", "beat", WAIT),
        python("flower", "flower", LISTEN.replace("PORT", "'JOBYARD_FLOWER_PORT'"), address=flower),
    ]

Supervisor(
    Settings.from_environment(os.environ),
    os.environ,
    roles=table,
    on_change=lambda status: print(msgspec.json.encode(status).decode(), flush=True),
).run()
"""

WITHOUT_SERVERS = {
    "JOBYARD_DATABASE_URL": "postgres://none.invalid",
    "JOBYARD_BROKER_URL": "redis://none.invalid",
}


class Platform:
    """A supervisor in a process of its own, and what it says."""

    def __init__(self, home: Path, *words: str, **environ: str) -> None:
        self.home = home
        self.last: Status | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, *words],
            cwd=ROOT,
            env={
                **os.environ,
                "JOBYARD_HOME": str(home),
                "JOBYARD_API_PORT": "0",
                "JOBYARD_FLOWER_PORT": "0",
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, holds: Callable[[Status], bool]) -> Status:
        while True:
            status = self.next()
            if holds(status):
                return status

    def next(self) -> Status:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.last = msgspec.json.decode(line, type=Status)
        return self.last

    def up(self) -> Status:
        return self.until(lambda status: all(p.state is ProcessState.RUNNING for p in status.processes))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


def pid(status: Status, name: str) -> int:
    found = next(process.pid for process in status.processes if process.name == name)
    assert found is not None
    return found


def family(status: Status) -> set[psutil.Process]:
    """Every process of the platform, but for its supervisor."""
    return set(psutil.Process(status.pid).children(recursive=True))


def every_url(status: Status) -> set[str]:
    named = msgspec.structs.asdict(status.urls)
    return {*named.pop("sources").values(), *named.values()}


def living(processes: set[psutil.Process]) -> set[psutil.Process]:
    return {p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def clear(home: Path) -> None:
    """Leave nothing of a test that failed between a kill and the next start."""
    stop_roles(Home(home))
    for server in embedded_servers(Settings(home=str(home))):
        server.clear()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    started: list[Platform] = []

    def begin(*words: str, home: Path = tmp_path / "home", **environ: str) -> Platform:
        started.append(Platform(home, *words, **environ))
        return started[-1]

    yield begin
    for platform in started:
        if platform.process.poll() is None:
            platform.process.send_signal(signal.SIGTERM)
            platform.process.send_signal(signal.SIGTERM)
            platform.process.communicate(timeout=60)
        clear(platform.home)


def test_brings_up_servers_then_the_schema_then_every_role(start: Callable[..., Platform]) -> None:
    platform = start()
    order: list[str] = []

    def note(status: Status) -> bool:
        order.extend(p.name for p in status.processes if p.pid is not None and p.name not in order)
        return all(p.state is ProcessState.RUNNING for p in status.processes)

    status = platform.until(note)
    assert order == ["postgres", "valkey", "migrate", "api", "worker-web", "beat", "flower"]
    assert [p.name for p in status.processes] == [name for name in order if name != "migrate"]
    with psycopg2.connect(status.urls.database.replace("+psycopg2", "")) as connection:
        assert connection.info.dbname == "jobyard"
    connection.close()
    with redis.Redis.from_url(status.urls.broker) as client:
        assert client.ping()
    for url in (status.urls.api, status.urls.flower):
        port = make_url(url).port
        socket.create_connection(("127.0.0.1", int(port or 0)), timeout=5).close()
    assert make_url(status.urls.flower).password


def test_the_status_file_is_the_owners_alone_and_tells_what_is_running(
    start: Callable[..., Platform],
) -> None:
    platform = start(**WITHOUT_SERVERS)
    status = platform.up()
    record = read_status(platform.home)
    assert record is not None
    assert record.alive
    assert record.status == status
    path = platform.home / "status.json"
    assert path.stat().st_mode & 0o777 == 0o600
    shown = json.loads(path.read_text())
    assert set(shown["urls"]) == {"api", "flower", "database", "broker", "smtp", "sources"}
    assert {"role": "worker", "name": "worker-web", "state": "running"}.items() <= shown["processes"][
        1
    ].items()
    assert shown["key_file"]
    platform.end()
    assert read_status(platform.home) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_the_platform_and_leaves_nothing(
    start: Callable[..., Platform], number: signal.Signals
) -> None:
    platform = start()
    status = platform.up()
    before = family(status)
    assert len(before) > 7
    assert platform.end(number) == ""
    assert platform.process.returncode == 0
    assert living(before) == set()
    assert "drained" in (platform.home / "logs" / "worker-web.log").read_text()
    assert "database system is shut down" in (platform.home / "logs" / "postgres.log").read_text()


def test_stops_what_brings_work_before_the_workers_and_the_servers_last(
    start: Callable[..., Platform],
) -> None:
    platform = start()
    platform.up()
    platform.process.send_signal(signal.SIGTERM)
    order: list[str] = []

    def note(status: Status) -> bool:
        stopped = [p.name for p in status.processes if p.state is ProcessState.STOPPED]
        order.extend(sorted(name for name in stopped if name not in order))
        return len(order) == 6

    platform.until(note)
    assert set(order[:2]) == {"api", "beat"}
    assert order[2:4] == ["worker-web", "flower"]
    assert set(order[4:]) == {"postgres", "valkey"}


def test_a_second_signal_cuts_the_grace_short(start: Callable[..., Platform]) -> None:
    platform = start("stubborn", **WITHOUT_SERVERS)
    status = platform.up()
    before = family(status)
    platform.process.send_signal(signal.SIGTERM)
    platform.until(
        lambda s: any(p.role == "worker" and p.state is ProcessState.STOPPING for p in s.processes)
    )
    platform.process.send_signal(signal.SIGTERM)
    platform.process.communicate(timeout=30)  # its grace is 60 s
    assert platform.process.returncode == 0
    assert living(before) == set()


def test_starts_again_what_dies_with_its_children_gone(start: Callable[..., Platform]) -> None:
    platform = start(**WITHOUT_SERVERS)
    status = platform.up()
    worker = psutil.Process(pid(status, "worker-web"))
    pool = worker.children()
    worker.kill()
    platform.until(lambda s: any(p.state is ProcessState.BACKING_OFF for p in s.processes))
    again = platform.up()
    assert pid(again, "worker-web") != worker.pid
    assert living(set(pool)) == set()
    assert pid(again, "api") == pid(status, "api")


def test_a_killed_postgres_comes_back_at_the_same_url_with_its_data(start: Callable[..., Platform]) -> None:
    platform = start()
    status = platform.up()
    url = status.urls.database.replace("+psycopg2", "")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (word text)")
        cursor.execute("INSERT INTO kept VALUES ('this')")
    connection.close()
    os.kill(pid(status, "postgres"), signal.SIGKILL)
    platform.until(lambda s: any(p.state is ProcessState.BACKING_OFF for p in s.processes))
    again = platform.up()
    assert again.urls == status.urls
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT word FROM kept")
        assert cursor.fetchone() == ("this",)
    connection.close()


def test_a_second_platform_in_the_same_folder_is_refused(start: Callable[..., Platform]) -> None:
    first = start(**WITHOUT_SERVERS)
    first.up()
    second = start(**WITHOUT_SERVERS)
    said = second.process.communicate(timeout=60)[1]
    assert second.process.returncode != 0
    assert f"already running here, pid {first.process.pid}" in said
    assert living(set(psutil.Process(first.process.pid).children()))


def test_two_platforms_live_side_by_side(start: Callable[..., Platform], tmp_path: Path) -> None:
    one, two = start(home=tmp_path / "one"), start(home=tmp_path / "two")
    first, second = one.up(), two.up()
    assert not every_url(first) & every_url(second)
    one.end()
    assert living({psutil.Process(pid(second, "postgres"))})
    with redis.Redis.from_url(second.urls.broker) as client:
        assert client.ping()


def test_the_next_start_recovers_from_a_killed_supervisor(start: Callable[..., Platform]) -> None:
    killed = start()
    status = killed.up()
    left = family(status)
    mains = {psutil.Process(process.pid) for process in status.processes if process.pid is not None}
    killed.kill()
    assert living(mains) == mains
    record = read_status(killed.home)
    assert record is not None
    assert not record.alive
    again = start()
    fresh = again.up()
    assert living(left) == set()
    assert living(family(fresh))
    assert "drained" in (again.home / "logs" / "worker-web.log").read_text()
    again.end()


def test_pool_children_whose_worker_died_with_its_supervisor_are_stopped_too(
    start: Callable[..., Platform],
) -> None:
    killed = start(**WITHOUT_SERVERS)
    status = killed.up()
    worker = psutil.Process(pid(status, "worker-web"))
    pool = set(worker.children())
    killed.kill()
    worker.kill()
    assert living(pool) == pool
    start(**WITHOUT_SERVERS).up()
    assert living(pool) == set()


def test_a_step_that_fails_ends_the_platform_and_quotes_its_log(start: Callable[..., Platform]) -> None:
    platform = start("broken")
    said = platform.process.communicate(timeout=60)[1]
    assert platform.process.returncode == 1
    assert "migrate failed" in said
    assert "the schema is too new" in said
    assert not (platform.home / "status.json").exists()


def test_a_port_that_is_taken_is_named(start: Callable[..., Platform]) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        platform = start(JOBYARD_API_PORT=str(port), **WITHOUT_SERVERS)
        said = platform.process.communicate(timeout=60)[1]
    assert platform.process.returncode == 1
    assert f"port {port} is taken: set JOBYARD_API_PORT" in said


def test_a_port_that_another_program_takes_in_the_last_moment_is_named(
    start: Callable[..., Platform],
) -> None:
    (port,) = free_ports(1)
    platform = start("held-up", JOBYARD_API_PORT=str(port), **WITHOUT_SERVERS)
    platform.until(lambda status: any(p.name == "migrate" and p.pid for p in status.processes))
    with socket.create_server(("127.0.0.1", port)):
        (platform.home / "go-on").touch()
        said = platform.process.communicate(timeout=60)[1]
    assert platform.process.returncode == 1
    assert f"port {port} of api is taken by another program" in said


def test_every_role_is_told_of_the_database_for_loading_and_of_the_mail_server(
    start: Callable[..., Platform],
) -> None:
    status = start().up()
    told = psutil.Process(pid(status, "worker-web")).environ()
    assert told["JOBYARD_SOURCE_WAREHOUSE_URL"] == status.urls.sources["warehouse"]
    assert told["JOBYARD_SMTP_URL"] == status.urls.smtp
    assert status.urls.smtp is not None
    assert status.urls.smtp.startswith("smtp://127.0.0.1:")


def test_ones_own_databases_and_mail_server_are_left_as_they_are(start: Callable[..., Platform]) -> None:
    own = {
        "JOBYARD_SOURCE_WAREHOUSE_URL": "postgresql://mine.invalid/data",
        "JOBYARD_SOURCE_SHOP_URL": "postgresql://shop.invalid/data",
        "JOBYARD_SMTP_URL": "smtp://mail.invalid",
    }
    status = start(**own).up()
    assert psutil.Process(pid(status, "worker-web")).environ().items() >= own.items()
    assert status.urls.sources == {"warehouse": own["JOBYARD_SOURCE_WAREHOUSE_URL"],
                                   "shop": own["JOBYARD_SOURCE_SHOP_URL"]}  # fmt: skip
    assert status.urls.smtp == own["JOBYARD_SMTP_URL"]


def test_an_idle_platform_leaves_the_processor_alone(start: Callable[..., Platform]) -> None:
    platform = start(**WITHOUT_SERVERS)
    status = platform.up()
    supervisor = psutil.Process(status.pid)
    before = supervisor.cpu_times()
    with pytest.raises(psutil.TimeoutExpired):
        supervisor.wait(timeout=3)  # lets time pass
    after = supervisor.cpu_times()
    assert after.user + after.system - before.user - before.system <= 0.03
