import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ops.embedded.program import ServerError
from ops.supervisor.roles import (
    SERVERS,
    START_ORDER,
    STOP_ORDER,
    Role,
    RoleProgram,
    reachable,
    resolve,
    role_table,
    smtp_url,
)
from worker.contract.queues import QUEUES, WORKERS
from worker.settings import Settings

SETTINGS = Settings(api_port=0, flower_port=0)


def test_every_queue_has_a_worker_with_the_grace_of_its_table() -> None:
    workers = {role.name: role for role in role_table(SETTINGS) if role.role == "worker"}
    assert set(workers) == {f"worker-{name}" for name in WORKERS}
    assert {queue.name for queues in WORKERS.values() for queue in queues} == set(QUEUES)
    for name, queues in WORKERS.items():
        worker = workers[f"worker-{name}"]
        assert worker.argv[1:] == ("-m", "ops", "worker", *(queue.name for queue in queues))
        assert worker.grace > max(queue.grace for queue in queues)


def test_the_rest_are_single_and_named_as_their_command() -> None:
    rest = {role.name: role for role in role_table(SETTINGS) if role.role != "worker"}
    assert list(rest) == ["migrate", "mail", "api", "beat", "flower"]
    for name, role in rest.items():
        assert role.role == name
        command = {"mail": "mail-sink"}.get(name, name)
        assert role.argv[:4] == (sys.executable, "-m", "ops", command)
    assert [name for name, role in rest.items() if role.once] == ["migrate"]


def test_every_role_starts_and_stops_once() -> None:
    roles = {role.role for role in role_table(SETTINGS)} | SERVERS
    for order in (START_ORDER, STOP_ORDER):
        assert set().union(*order) == roles
        assert sum(map(len, order)) == len(roles)


def test_ports_that_are_nought_are_drawn_and_handed_to_all() -> None:
    resolved = resolve(SETTINGS)
    ports = {resolved.api_port, resolved.api_metrics_port, resolved.flower_port, resolved.mail_port}
    assert len(ports) == 4
    assert 0 not in ports
    assert Settings.from_environment(resolved.environment()) == resolved
    assert Path(resolved.home).is_absolute()


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is taken: set JOBYARD_FLOWER_PORT"):
            resolve(msgspec.structs.replace(SETTINGS, flower_port=port))


def test_mails_go_to_the_sink_where_no_mail_server_is_set() -> None:
    settings = resolve(SETTINGS)
    sink = next(role for role in role_table(settings) if role.role == "mail")
    assert sink.address == ("127.0.0.1", settings.mail_port)
    assert smtp_url(settings) == f"smtp://127.0.0.1:{settings.mail_port}"


def test_with_a_mail_server_there_is_no_sink_and_its_port_may_be_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = msgspec.structs.replace(SETTINGS, mail_port=server.getsockname()[1])
        with pytest.raises(ServerError, match="is taken: set JOBYARD_MAIL_PORT"):
            resolve(taken)
        settings = resolve(msgspec.structs.replace(taken, smtp_url="smtp://mail.example"))
    assert "mail" not in {role.role for role in role_table(settings)}
    assert smtp_url(settings) == "smtp://mail.example"


def test_the_sink_takes_mails_before_the_workers_start_and_until_they_have_drained() -> None:
    def turn(order: tuple[frozenset[str], ...], role: str) -> int:
        return next(number for number, roles in enumerate(order) if role in roles)

    assert turn(START_ORDER, "mail") < turn(START_ORDER, "worker")
    assert turn(STOP_ORDER, "mail") > turn(STOP_ORDER, "worker")


@pytest.mark.parametrize("first", [0, 9500])
def test_every_process_with_metrics_has_a_port_of_its_own(first: int) -> None:
    settings = msgspec.structs.replace(SETTINGS, metrics_port=first, api_metrics_port=9400)
    table = role_table(settings)
    ports = [role.metrics_port for role in table if role.metrics_port is not None]
    assert len(set(ports)) == len(ports) == len(WORKERS) + 2
    for role in table:
        if role.role in {"worker", "beat"}:
            assert role.env == {"JOBYARD_METRICS_PORT": str(role.metrics_port)}
            assert not first or first <= (role.metrics_port or 0) < first + len(ports)


def test_a_start_finds_no_metrics_of_the_dead(tmp_path: Path) -> None:
    role = Role(name="api", role="api", argv=("api",), grace=1, multiprocess=True, env={"OWN": "2"})
    program = RoleProgram(role, lambda: {"ALL": "1", "OWN": "1"}, tmp_path / "metrics" / "api")
    first = program.command()
    folder = Path(first.env["PROMETHEUS_MULTIPROC_DIR"])
    (folder / "counter_1.db").write_bytes(b"dead")
    assert program.command() == first
    assert list(folder.iterdir()) == []
    assert first.env.items() >= {"ALL": "1", "OWN": "2"}.items()


def test_a_role_with_an_address_is_ready_once_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        role = Role(name="api", role="api", argv=("api",), grace=1, address=server.getsockname())
        program = RoleProgram(role, dict, Path())
        assert program.ready(0)
        program.ensure_own(os.getpid())
    assert not program.ready(60)


def test_another_program_on_its_port_is_not_taken_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        role = Role(name="api", role="api", argv=("api",), grace=1, address=server.getsockname())
        program = RoleProgram(role, dict, Path())
        process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        try:
            with pytest.raises(ServerError, match=f"port {server.getsockname()[1]} of api is taken"):
                program.ensure_own(process.pid)
        finally:
            process.kill()
            process.wait()


def test_a_child_of_its_may_listen_for_it() -> None:
    code = (
        "import os, socket; server = socket.create_server(('127.0.0.1', 0));"
        " os.fork() and (server.close(), os.wait()); print(server.getsockname()[1], flush=True);"
        " server.accept()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        role = Role(name="worker-web", role="worker", argv=(), grace=1, address=address)
        try:
            RoleProgram(role, dict, Path()).ensure_own(process.pid)
        finally:
            socket.create_connection(address).close()
            process.kill()


def test_a_role_without_one_is_ready_once_it_has_settled() -> None:
    program = RoleProgram(Role(name="beat", role="beat", argv=("beat",), grace=1), dict, Path())
    assert not program.ready(0.1)
    assert program.ready(5)


@pytest.mark.parametrize(
    ("host", "through"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - nothing binds to it
        ("::", "::1"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_an_address_for_all_is_reached_on_loopback(host: str, through: str) -> None:
    assert reachable(host) == through
