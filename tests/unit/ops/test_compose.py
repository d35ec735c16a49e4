import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import make_url

from ops.embedded.postgres import _CONFIGURATION
from ops.supervisor.roles import Role, role_table
from worker.contract.queues import WORKERS
from worker.settings import Settings, unknown_variables

TOP = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = msgspec.yaml.decode((TOP / "docker-compose.yml").read_bytes())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (TOP / "ops/docker/Dockerfile").read_text()
REQUIREMENTS = {lock: (TOP / lock).read_text() for lock in ("requirements.lock", "requirements-api.lock")}
# What is no role of ours, and the account that it runs as.
SERVERS = {
    "postgres": "postgres",
    "postgres-replica": "postgres",
    "redis": "redis",
    "rabbitmq": "rabbitmq",
    "mailpit": "nobody",
    "proxy": "nginx",
    "prometheus": "nobody",
    "alertmanager": "nobody",
    "grafana": "grafana",
}


def _secrets() -> dict[str, str]:
    """What the script makes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TOP / "ops/docker/secrets", folder], check=True)
        return {path.name: path.read_text() for path in Path(folder).iterdir()}


SECRETS = _secrets()


def environment(service: dict[str, Any], **given: str) -> dict[str, str]:
    """The variables of a service, with the values of its secrets in place of their files."""
    resolved = {name: _resolved(str(value), given) for name, value in service["environment"].items()}
    return {
        name.removesuffix("_FILE"): SECRETS[_mounted(service, value)].strip()
        if _is_file(name, value)
        else value
        for name, value in resolved.items()
    }


def _is_file(name: str, value: str) -> bool:
    return name.endswith("_FILE") and bool(value)


def _mounted(service: dict[str, Any], path: str) -> str:
    name = path.removeprefix("/run/secrets/")
    assert name in service["secrets"], f"{path} is not given to the service"
    return name


def _resolved(value: str, given: dict[str, str]) -> str:
    """What Compose makes of a value where these variables are given."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: given.get(match[1]) or match[2], value)


SETTINGS = Settings.from_environment(environment(SERVICES["api"]))
ROLES = {role.name: role for role in role_table(SETTINGS)}
LASTING = {name: role for name, role in ROLES.items() if not role.once}

each_role = pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
each_lasting_role = pytest.mark.parametrize("role", LASTING.values(), ids=LASTING)
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_services_are_the_servers_and_the_roles_of_the_supervisor() -> None:
    assert set(SERVICES) == set(SERVERS) | set(ROLES)


@each_role
def test_a_service_runs_the_command_of_its_role(role: Role) -> None:
    words = role.argv[3:]  # behind `python -m ops`
    expected = words[:1] if role.once else words  # the key that `up` makes is made by hand here
    assert SERVICES[role.name]["command"] == list(expected)


@each_lasting_role
def test_a_service_gets_the_grace_of_its_role_to_stop(role: Role) -> None:
    assert SERVICES[role.name]["stop_grace_period"] == f"{role.grace:g}s"


@each_role
def test_every_variable_of_a_role_is_a_setting_with_a_value_that_fits(role: Role) -> None:
    variables = environment(SERVICES[role.name])
    assert unknown_variables(variables) == []
    settings = Settings.from_environment(variables)
    assert settings.database_url
    assert settings.broker_url
    assert settings.smtp_url
    assert set(settings.sources) == {"warehouse"}


def test_the_warehouse_is_made_for_the_role_that_its_url_names() -> None:
    url = make_url(SETTINGS.sources["warehouse"])
    made = (TOP / "ops/docker/roles.sql").read_text()
    assert f"CREATE ROLE {url.username} " in made
    assert f"CREATE DATABASE {url.database} OWNER {url.username};" in made
    assert f"REVOKE ALL ON DATABASE {make_url(SETTINGS.database_url or '').database}, " in made
    assert "/run/secrets/warehouse_password" in made
    assert "warehouse_password" in SERVICES["postgres"]["secrets"]


@each_role
def test_a_replica_serves_lists_where_its_profile_and_its_url_are_given(role: Role) -> None:
    service = SERVICES[role.name]
    assert not Settings.from_environment(environment(service)).database_read_url
    variables = environment(service, JOBYARD_DATABASE_READ_URL_FILE="/run/secrets/database_read_url")
    url = make_url(Settings.from_environment(variables).database_read_url or "")
    assert url.set(host="postgres") == make_url(SETTINGS.database_url or "")
    assert SERVICES[url.host or ""]["profiles"] == ["replica"]


@each_role
def test_rabbitmq_carries_the_messages_where_its_profile_and_its_name_are_given(role: Role) -> None:
    service = SERVICES[role.name]
    broker = urlsplit(Settings.from_environment(environment(service)).broker_url or "")
    assert (broker.scheme, broker.hostname, broker.password) == (
        "redis",
        "redis",
        SECRETS["redis_password"],
    )
    url = urlsplit(
        Settings.from_environment(environment(service, JOBYARD_BROKER="rabbitmq")).broker_url or ""
    )
    assert SERVICES[url.hostname or ""]["profiles"] == ["rabbitmq"]
    assert f"default_user = {url.username}\ndefault_pass = {url.password}\n" == SECRETS["rabbitmq.conf"]


def test_postgresql_has_the_same_room_for_locks_everywhere() -> None:
    """A replica with less than its primary does not start."""
    room = r"max_locks_per_transaction ?= ?(\d+)"
    given = re.findall(room, " ".join(SERVICES["postgres"]["command"]))
    assert given == re.findall(room, (TOP / "ops/docker/replica").read_text())
    assert given == re.findall(room, _CONFIGURATION)
    assert len(given) == 1


def test_mails_go_to_the_service_that_catches_them() -> None:
    assert SETTINGS.smtp_server is not None
    assert SETTINGS.smtp_server.host in SERVICES


@each_service
def test_every_image_is_one_version_of_something(service: dict[str, Any]) -> None:
    assert service["image"] in {"jobyard", "jobyard-api"} or re.fullmatch(
        r"[\w/]+:v?\d+(\.\d+)*", service["image"]
    )


@each_lasting_role
def test_a_role_is_ready_when_the_port_of_its_settings_answers(role: Role) -> None:
    service = SERVICES[role.name]
    settings = Settings.from_environment(environment(service))
    ports = {"api": settings.api_port, "flower": settings.flower_port}
    port = ports.get(role.name, settings.metrics_port)
    assert re.search(rf"127\.0\.0\.1[:/]{port}\b", " ".join(service["healthcheck"]["test"]))


@each_lasting_role
def test_a_role_starts_on_a_migrated_ledger_and_not_as_process_1(role: Role) -> None:
    service = SERVICES[role.name]
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service["init"] is True


@each_service
def test_no_service_has_rights_or_writes_beside_its_volumes(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_service_runs_as_root() -> None:
    assert int(re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1]) > 0
    for name, service in SERVICES.items():
        assert service.get("user") == SERVERS.get(name)


@each_service
def test_what_is_published_is_published_to_this_machine_alone(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_secret_is_a_file_that_the_script_makes() -> None:
    files = {name: secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert files == {name: f"${{JOBYARD_SECRETS:-./.secrets}}/{name}" for name in files}
    assert set(files) <= set(SECRETS)
    assert len({SECRETS[name] for name in SECRETS if name.endswith("_password")}) == 7
    assert "PASSWORD:" not in re.sub(r"PASSWORD(_FILE|__FILE):", "", str(SERVICES))


def test_the_script_keeps_the_secrets_that_there_are_and_the_folder_to_its_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for _ in range(2):
        subprocess.run([TOP / "ops/docker/secrets", tmp_path], check=True)
        (tmp_path / "redis_password").chmod(0o644)
        (tmp_path / "redis_password").write_text("mine")
    assert (tmp_path / "redis_password").read_text() == "mine"
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@each_service
def test_no_service_takes_more_than_its_share_of_the_machine(service: dict[str, Any]) -> None:
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


def test_a_worker_has_room_for_a_thread_for_each_of_its_jobs() -> None:
    for name, queues in WORKERS.items():
        limits = SERVICES[f"worker-{name}"]["deploy"]["resources"]["limits"]
        assert limits["pids"] >= 2 * sum(queue.concurrency for queue in queues)


def test_two_of_what_accepts_and_times_work_run_behind_one_address() -> None:
    assert {name for name, service in SERVICES.items() if service["deploy"].get("replicas") == 2} == {
        "api",
        "beat",
    }
    assert "ports" not in SERVICES["api"]
    proxy = (TOP / "ops/docker/proxy.conf").read_text()
    assert f"http://api:{SETTINGS.api_port};" in proxy
    waits = re.search(r"proxy_read_timeout (\d+)s", proxy)
    keeps = re.search(r"resolver .* valid=(\d+)s", proxy)
    assert waits
    assert keeps
    assert int(waits[1]) > SETTINGS.api_max_wait
    assert int(keeps[1]) < SETTINGS.api_drain_delay
    assert SERVICES["proxy"]["stop_grace_period"] == SERVICES["api"]["stop_grace_period"]


@each_role
def test_workers_alone_have_the_libraries_that_do_the_work(role: Role) -> None:
    assert SERVICES[role.name]["image"] == ("jobyard" if role.role == "worker" else "jobyard-api")


def test_the_image_of_the_api_has_the_versions_of_the_other_and_no_library_of_a_worker() -> None:
    whole, lean = (
        set(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)) for text in REQUIREMENTS.values()
    )
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert lean < whole
    assert not {name for name, _ in lean} & {re.split("[~=]", need)[0] for need in project["worker"]}
    assert {name for name, _ in whole} >= {re.split("[~=]", need)[0] for need in project["worker"]}


@each_service
def test_what_is_mounted_from_the_repository_is_there_and_cannot_be_written(service: dict[str, Any]) -> None:
    for source, _, *mode in (volume.split(":") for volume in service.get("volumes", [])):
        if source.startswith("./"):
            assert (TOP / source).exists(), source
            assert mode == ["ro"]


@each_role
def test_all_roles_share_the_folder_of_artifacts(role: Role) -> None:
    home = re.search(r"JOBYARD_HOME=(\S+)", DOCKERFILE)
    assert home
    assert SERVICES[role.name]["volumes"] == [f"home:{home[1]}"]
